"""Build an experiment from a configuration and the options of a command line.

See also: bench.py and sweep.py for running it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ...decide.judge.measures.experiment import Experiment, Grid, check_experiment
from ...decide.judge.measures.experiment_toml import load_experiment
from ...posteriors.errors import UsageError
from ...posteriors.registry import POSTERIORS, build_model, build_posterior
from ...streams.worlds.registry import agent_model_spec
from ..commands.experiment import ExperimentOptions
from ..options import keys_of


def build_experiment(
    options: ExperimentOptions,
    world: str | None,
    config: str | None,
    settle: Callable[[Experiment], Experiment] = lambda found: found,
) -> Experiment:
    """Return the configuration with the command line's changes, checked.

    options: of the command.
    world: named on the command line, None for the configuration's.
    config: name or path of a configuration, None for the default.
    settle: fills in parts that the command line leaves open, such as `auto`.
    Raises: UsageError if options contradict each other or the configuration.
    """
    source = config or ("default" if world is None else None)
    experiment = load_experiment(source) if source else Experiment()
    given = {
        key: {name: value for name in keys_of(ExperimentOptions, key)
              if (value := getattr(options, name)) not in (None, ()) and value is not False}
        for key in ("setting", "grid")
    }  # fmt: skip
    changes: dict[str, Any] = given["setting"] | ({} if world is None else {"world": world})
    if options.joint:
        changes["joint"] = options.joint[0] if len(options.joint) == 1 else list(options.joint)
    lists = {name: list(values) for name, values in given["grid"].items()}
    if options.posterior or source is None:
        grid = msgspec.structs.replace(experiment.grid or Grid(), **lists)
        posterior = grid.posterior or default_posteriors(world, options.model)
        changes |= {"cells": [], "grids": []}
        changes["grid"] = msgspec.structs.replace(grid, posterior=posterior)
    elif lists:
        changes |= {"cells": [], "grid": None, "grids": _widened(experiment, lists)}
    try:
        experiment = msgspec.structs.replace(experiment, **changes)
        experiment = settle(_overruled(experiment, changes))
    except TypeError as error:
        raise UsageError(str(error)) from error
    return check_experiment(experiment, config or "bench")


def _widened(experiment: Experiment, lists: dict[str, Any]) -> list[Grid]:
    """Return all parts of an experiment as grids with these lists in place of their own.

    Random actions stay as they are, for comparison.
    """
    parts = []
    for row in experiment.cells:
        given = {name: getattr(row, name) for name in row.__struct_fields__}
        runs = given.pop("seeds")
        single = {name: [value] for name, value in given.items() if value is not None}
        parts.append(Grid(**single, seeds=runs))
    parts += [*([experiment.grid] if experiment.grid else []), *experiment.grids]
    return [
        part if part.rule == ["random"] else msgspec.structs.replace(part, **lists)
        for part in parts
    ]


def _overruled(experiment: Experiment, changes: dict[str, Any]) -> Experiment:
    """Return the experiment without those settings of its cells that an option replaces."""
    replaced = [name for name in ("world", "model", "steps", "seeds") if name in changes]

    def bare(part: Any) -> Any:
        defaults = type(part)(posterior=part.posterior)
        # A model beside a world of its own was believed of that world.
        other = ["model"] if "world" in replaced and part.world else []
        return msgspec.structs.replace(
            part, **{n: getattr(defaults, n) for n in [*replaced, *other]}
        )

    parts = {name: [bare(p) for p in getattr(experiment, name)] for name in ("cells", "grids")}
    grid = None if experiment.grid is None else bare(experiment.grid)
    return msgspec.structs.replace(experiment, grid=grid, **parts)


def default_posteriors(world: str | None, model: str | None) -> list[str]:
    """Return the posteriors to compare by default: all that can handle the world's model.

    world: None for location finding.
    model: None for the world's own.
    """
    believed = build_model(agent_model_spec(world or "location", model))
    found = []
    for name in POSTERIORS:
        try:
            build_posterior(name, believed)
        except UsageError:
            continue
        found.append(name)
    return found
