"""`--posterior auto`: the records that it chooses from, what it chose and how that is said.

Not here: choosing (decide/judge/frontier.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .environment import Environment

if TYPE_CHECKING:
    from ..decide.judge.experiment import Experiment, Grid
    from ..decide.judge.frontier import Asked, Option, Pick
    from ..decide.loop.step import Agent
    from .run import Run

AUTO = "auto"
SHIPPED = "measured.ndjson"
"""Records that come with the tool, in uncertain.configs; benchmarks/measured.py makes the file."""
MILLISECONDS = 1e3
"""In one second."""
OWN_SIZES = "--posterior auto chooses S and k itself: leave --particles and --refine out"
WITHOUT = "--frontier is what --posterior auto chooses from: leave it out, or add that"
SIZES = (("S", "particles"), ("k", "refine"))
Say = Callable[[str], None]


def wanted(text: str) -> bool:
    """Whether a posterior is to be chosen; options of it are refused, for it has none."""
    from ..posteriors.base import UsageError
    from ..posteriors.loading import parse

    spec = parse(text)
    if spec.target == AUTO and spec.settings:
        raise UsageError(f"posterior {text}: auto takes no options; it chooses S and k itself")
    return spec.target == AUTO


def records(frontier: str | None, environment: Environment) -> tuple[str, list[dict[str, Any]]]:
    """What the records are called, and the records: those of a file or store, else ours."""
    from importlib import resources

    import msgspec

    from .results import load

    if frontier is not None:
        return frontier, [result.record for result in load(frontier, environment)]
    text = (resources.files("uncertain.configs") / SHIPPED).read_bytes()
    return "records that come with uncertain", [msgspec.json.decode(r) for r in text.splitlines()]


def chosen(
    asked: Asked,
    deadline: float | None,
    frontier: str | None,
    agent_of: Callable[[Option], tuple[Agent, int]],
    environment: Environment,
    tell: Say,
) -> Option:
    """The option to run, told in one line.

    agent_of(option): the agent it would be, and the candidates it is given from outside.
    """
    from ..decide.judge.frontier import choose, comparable, p99_here
    from ..posteriors.base import UsageError

    if deadline is None:
        raise UsageError("--posterior auto chooses by what there is time for: add --deadline 5ms")
    name, rows = records(frontier, environment)
    options = comparable(rows, asked)
    if not options:
        raise UsageError(missing(name, rows, asked))
    pick = choose(options, deadline, lambda option: p99_here(*agent_of(option)))
    tell(said(pick, deadline, name))
    return pick.option


def with_choice(options: Run, environment: Environment, tell: Say) -> Run:
    """The options with the posterior to run in place of `auto`, if that was asked for.

    A run that is resumed goes on with what was chosen when it began: its checkpoint names it.
    """
    from ..decide.judge.frontier import Asked
    from ..posteriors.base import Arms, UsageError
    from ..posteriors.registry import build_model
    from .arms import with_arms
    from .keeping import choice_of
    from .run import agent_for

    if not wanted(options.posterior):
        if options.frontier is not None:
            raise UsageError(WITHOUT)
        return options
    if options.particles is not None or options.refine is not None:
        raise UsageError(OWN_SIZES)
    if kept := choice_of(options.keep):
        found = replace(options, **kept)
        sizes = [f"{letter}={kept[name]}" for letter, name in SIZES if kept[name] is not None]
        tell(" ".join(["auto:", found.posterior, *sizes]) + ", as chosen when the run began")
        return found
    text = with_arms(options)
    model = build_model(text)

    def configured(option: Option) -> Run:
        return replace(
            options, posterior=option.posterior, particles=option.particles, refine=option.refine
        )

    def agent_of(option: Option) -> tuple[Agent, int]:
        agent, _ = agent_for(configured(option), model)
        made = agent.proposer is not None or isinstance(model.actions, Arms)
        return agent, 0 if made else options.candidates

    asked = Asked(text, options.rule, options.proposer)
    return configured(
        chosen(asked, options.deadline, options.frontier, agent_of, environment, tell)
    )


def missing(name: str, rows: list[dict[str, Any]], asked: Asked) -> str:
    """That no record helps, what there is instead, and how to make some."""
    from ..decide.judge.frontier import same_model

    rules = sorted({row["rule"] for row in rows if same_model(row["model"], asked.model)})
    there = f"of that model they have rule {', '.join(rules)}" if rules else "none of that model"
    proposer = f", proposer {asked.proposer}" if asked.proposer else ""
    return (
        f"--posterior auto: {name}: no timed result of model {asked.model}, rule "
        f"{asked.rule}{proposer}; {there}: measure it with uncertain bench {asked.model} --rule "
        f"{asked.rule} --export-json FILE, and name that as --frontier FILE"
    )


def said(pick: Pick, deadline: float, name: str) -> str:
    """What was chosen and from which figures, in one line."""
    option = pick.option
    what = "nats above random" if option.informs else "of regret"
    value = option.worth if option.informs else -option.worth
    parts = [
        f"auto: {option.name}, {value:.3g} {what} in {option.steps} steps of {option.world}",
        f"decide + learn p99 {milliseconds(option.p99)} there, {milliseconds(pick.p99)} here, "
        f"deadline {milliseconds(deadline)}",
        f"{pick.within} of {pick.of} configurations were fast enough in {name}",
    ]
    if pick.slow:
        tried = ", ".join(f"{one.name} ({milliseconds(p99)})" for one, p99 in pick.slow)
        parts.append(f"too slow here: {tried}")
    if not pick.fits:
        parts.append("none fits here, so it is the cheapest")
    return "; ".join(parts)


def milliseconds(seconds: float) -> str:
    """A latency for a person."""
    return f"{seconds * MILLISECONDS:.3g} ms"


def settled(
    experiment: Experiment, frontier: str | None, environment: Environment
) -> Experiment:  # fmt: skip
    """The experiment with what was chosen in place of every `auto`, for each world and rule."""
    import msgspec

    from ..decide.judge.experiment import Grid
    from ..posteriors.base import UsageError

    own = ("posterior", "rule", "particles", "refine", "proposer", "world", "model", "steps",
           "think")  # fmt: skip
    rows = [row for row in experiment.cells if not wanted(row.posterior)]
    grids = [
        Grid(**{n: [v] for n in own if (v := getattr(row, n)) is not None}, seeds=row.seeds)
        for row in experiment.cells
        if wanted(row.posterior)
    ]
    grids += [*([experiment.grid] if experiment.grid else []), *experiment.grids]
    if not any(map(wanted, [p for grid in grids for p in grid.posterior])):
        if frontier is not None:
            raise UsageError(WITHOUT)
        return experiment
    found: list[Grid] = []
    for grid in grids:
        others = [p for p in grid.posterior if not wanted(p)]
        if others:
            found.append(msgspec.structs.replace(grid, posterior=others))
        if len(others) < len(grid.posterior):
            found += split(grid, experiment, frontier, environment)
    return msgspec.structs.replace(experiment, cells=rows, grid=None, grids=found)


def split(
    grid: Grid, experiment: Experiment, frontier: str | None, environment: Environment
) -> list[Grid]:
    """The `auto` of a grid: one grid for each world, model, rule and proposer of it."""
    import msgspec

    from ..decide.judge.frontier import Asked
    from ..decide.judge.quality import agent_and_world
    from ..posteriors.base import UsageError
    from ..streams.worlds.registry import believed

    if grid.particles or grid.refine:
        raise UsageError(OWN_SIZES)
    found = []
    combinations = [
        (world, model, rule, proposer)
        for world in grid.world or [None]
        for model in grid.model or [None]
        for rule in grid.rule or [experiment.rule]
        for proposer in grid.proposer or [experiment.proposer]
    ]
    for world, model, rule, proposer in combinations:
        place = world or experiment.world
        belief = believed(place, model or (None if world else experiment.model))
        asked = Asked(belief, rule, proposer)
        single = msgspec.structs.replace(
            grid, world=[place], model=[belief], rule=[rule],
            proposer=[proposer] if proposer else [],
        )  # fmt: skip

        def grid_of(option: Option, single: Grid = single) -> Grid:
            sizes = [] if option.particles is None else [option.particles]
            return msgspec.structs.replace(
                single, posterior=[option.posterior], particles=sizes, refine=[option.refine]
            )

        def agent_of(option: Option, grid_of: Callable[[Option], Grid] = grid_of):
            plain = msgspec.structs.replace(experiment, cells=[], grid=grid_of(option), grids=[])
            return agent_and_world(plain.resolved()[0])[0], 0

        option = chosen(
            asked, experiment.deadline, frontier, agent_of, environment, environment.say
        )
        found.append(grid_of(option))
    return found
