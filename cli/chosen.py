"""From a configuration and the options of a command line to an experiment.

Not here: running it (bench.py, sweep.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..decide.judge.experiment import Experiment, Grid


@dataclass
class BenchOptions:
    """What the command line said; None, () or False where it said nothing."""

    world: str | None = None
    config: str | None = None
    model: str | None = None
    posterior: tuple[str, ...] = ()
    particles: tuple[int, ...] = ()
    refine: tuple[int, ...] = ()
    think: tuple[int, ...] = ()
    half_life: tuple[float, ...] = ()
    rule: tuple[str, ...] = ()
    proposer: str | None = None
    candidates: int | None = None
    steps: int | None = None
    seeds: int | None = None
    seed: int | None = None
    explore: float | None = None
    live: int | None = None
    samples: int | None = None
    spce: int | None = None
    joint: tuple[int, ...] = ()
    settle: int | None = None
    workers: int | None = None
    fidelity: bool = False
    deadline: float | None = None
    rate: float | None = None
    frontier: str | None = None
    export_json: str | None = None
    export_csv: str | None = None
    export_markdown: str | None = None
    max_p99: float | None = None
    min_gain: float | None = None
    print_config: bool = False
    plot: bool = True


def chosen(
    options: BenchOptions, settle: Callable[[Experiment], Experiment] = lambda found: found
) -> Experiment:
    """The configuration with the command line's changes, checked.

    settle: puts in what the command line leaves open.
    """
    import msgspec

    from ..decide.judge.experiment import Experiment, Grid, check
    from ..decide.judge.written import load
    from ..posteriors.base import UsageError

    source = options.config or ("default" if options.world is None else None)
    experiment = load(source) if source else Experiment()
    changes = {
        name: getattr(options, name)
        for name in (
            "world", "model", "proposer", "candidates", "steps", "seeds", "seed", "explore",
            "live", "samples", "spce", "settle", "workers", "deadline", "rate",
        )
        if getattr(options, name) is not None
    }  # fmt: skip
    if options.fidelity:
        changes["fidelity"] = True
    if options.joint:
        changes["joint"] = options.joint[0] if len(options.joint) == 1 else list(options.joint)
    lists = {
        name: list(getattr(options, name))
        for name in ("posterior", "rule", "particles", "refine", "think", "half_life")
        if getattr(options, name)
    }
    if options.posterior or source is None:
        grid = msgspec.structs.replace(experiment.grid or Grid(), **lists)
        posterior = grid.posterior or usual(options)
        changes |= {"cells": [], "grids": []}
        changes["grid"] = msgspec.structs.replace(grid, posterior=posterior)
    elif lists:
        changes |= {"cells": [], "grid": None, "grids": widened(experiment, lists)}
    try:
        experiment = msgspec.structs.replace(experiment, **changes)
        experiment = settle(overruled(experiment, changes))
    except TypeError as error:
        raise UsageError(str(error)) from error
    return check(experiment, options.config or "bench")


def widened(experiment: Experiment, lists: dict[str, Any]) -> list[Grid]:
    """All that an experiment runs as grids, with these lists in place of their own.

    Random actions stay as they are: they are there to compare with.
    """
    import msgspec

    from ..decide.judge.experiment import Grid

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


def overruled(experiment: Experiment, changes: dict[str, Any]) -> Experiment:
    """The experiment with what its cells say for themselves dropped where an option says it."""
    import msgspec

    said = [name for name in ("world", "model", "steps", "seeds") if name in changes]

    def bare(part: Any) -> Any:
        defaults = type(part)(posterior=part.posterior)
        # A model beside a world of its own was believed of that world.
        other = ["model"] if "world" in said and part.world else []
        return msgspec.structs.replace(part, **{n: getattr(defaults, n) for n in [*said, *other]})

    parts = {name: [bare(p) for p in getattr(experiment, name)] for name in ("cells", "grids")}
    grid = None if experiment.grid is None else bare(experiment.grid)
    return msgspec.structs.replace(experiment, grid=grid, **parts)


def usual(options: BenchOptions) -> list[str]:
    """Posteriors to compare when none is named: all that can handle the world's model."""
    from ..posteriors.base import UsageError
    from ..posteriors.registry import POSTERIORS, build_model, build_posterior
    from ..streams.worlds.registry import believed

    model = build_model(believed(options.world or "location", options.model))
    found = []
    for name in POSTERIORS:
        try:
            build_posterior(name, model)
        except UsageError:
            continue
        found.append(name)
    return found
