"""`--posterior auto`: pick the best measured configuration that fits a deadline.

See also: decide/judge/measures/frontier.py for the choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import resources

import msgspec

from ...decide.judge.measures.experiment import Experiment, Grid
from ...decide.judge.measures.frontier import (
    Option,
    Pick,
    WantedSpecs,
    choose_option,
    comparable_options,
    measure_p99,
    same_model,
)
from ...decide.judge.measures.quality import agent_and_world
from ...decide.judge.records.read_record import record_of
from ...decide.judge.records.record import Record
from ...decide.loop.core.step import Agent
from ...posteriors.base import Arms
from ...posteriors.errors import UsageError
from ...posteriors.registry import build_model
from ...posteriors.specs import parse_spec
from ...posteriors.units import MS_PER_S
from ...streams.worlds.registry import agent_model_spec
from ..commands.run import RunOptions
from ..environment import Environment
from ..tables.results import load_results
from .arms import agent_for, with_arms
from .checkpointing import choice_of

AUTO = "auto"
SHIPPED = "measured.ndjson"
"""Records shipped in uncertain.configs; benchmarks/measured.py makes the file."""
OWN_SIZES = "--posterior auto chooses S and k itself: leave --particles and --refine out"
WITHOUT = "--frontier is what --posterior auto chooses from: leave it out, or add that"
SIZES = (("S", "particles"), ("k", "refine"))
Say = Callable[[str], None]


def _wanted(text: str) -> bool:
    """Return whether a posterior is `auto`, which takes no options."""
    spec = parse_spec(text)
    if spec.target == AUTO and spec.settings:
        raise UsageError(f"posterior {text}: auto takes no options; it chooses S and k itself")
    return spec.target == AUTO


def _records(frontier: str | None, environment: Environment) -> tuple[str, list[Record]]:
    """Return the records and their name: a file's or store's, else the shipped ones."""
    if frontier is not None:
        return frontier, [result.record for result in load_results(frontier, environment)]
    text = (resources.files("uncertain.configs") / SHIPPED).read_bytes()
    rows = [record_of(msgspec.json.decode(line), SHIPPED) for line in text.splitlines()]
    return "records that come with uncertain", rows


def _chosen(
    asked: WantedSpecs,
    deadline: float | None,
    frontier: str | None,
    agent_of: Callable[[Option], tuple[Agent, int]],
    environment: Environment,
    tell: Say,
) -> Option:
    """Return the option to run, and print the choice in one line.

    agent_of(option): its agent, and the number of candidates that requests bring.
    """
    if deadline is None:
        raise UsageError("--posterior auto chooses by what there is time for: add --deadline 5ms")
    name, rows = _records(frontier, environment)
    options = comparable_options(rows, asked)
    if not options:
        raise UsageError(_missing(name, rows, asked))
    pick = choose_option(options, deadline, lambda option: measure_p99(*agent_of(option)))
    tell(_choice_text(pick, deadline, name))
    return pick.option


def with_choice(options: RunOptions, environment: Environment, tell: Say) -> RunOptions:
    """Replace `auto` by the chosen posterior, S and k.

    A resumed run keeps the choice of its first start, which its checkpoint names.
    options: of the command.
    environment: standard input.
    tell: prints a line.
    Raises: UsageError without a deadline or without a suitable record.
    """
    if not _wanted(options.posterior):
        if options.frontier is not None:
            raise UsageError(WITHOUT)
        return options
    if options.particles is not None or options.refine is not None:
        raise UsageError(OWN_SIZES)
    if kept := choice_of(options):
        found = replace(options, **kept)
        sizes = [f"{letter}={kept[name]}" for letter, name in SIZES if kept[name] is not None]
        tell(" ".join(["auto:", found.posterior, *sizes]) + ", as chosen when the run began")
        return found
    text = with_arms(options)
    model = build_model(text)

    def configured(option: Option) -> RunOptions:
        return replace(
            options, posterior=option.posterior, particles=option.particles, refine=option.refine
        )

    def agent_of(option: Option) -> tuple[Agent, int]:
        agent, _ = agent_for(configured(option), model)
        made = agent.proposer is not None or isinstance(model.actions, Arms)
        return agent, 0 if made else options.candidates

    asked = WantedSpecs(text, options.rule, options.proposer)
    return configured(
        _chosen(asked, options.deadline, options.frontier, agent_of, environment, tell)
    )


def _missing(name: str, rows: list[Record], asked: WantedSpecs) -> str:
    """Format an error: no record fits, the records at hand, and the command that makes some."""
    rules = sorted({row.rule for row in rows if same_model(row.model, asked.model)})
    there = f"of that model they have rule {', '.join(rules)}" if rules else "none of that model"
    proposer = f", proposer {asked.proposer}" if asked.proposer else ""
    return (
        f"--posterior auto: {name}: no timed result of model {asked.model}, rule "
        f"{asked.rule}{proposer}; {there}: measure it with uncertain bench {asked.model} --rule "
        f"{asked.rule} --export-json FILE, and name that as --frontier FILE"
    )


def _choice_text(pick: Pick, deadline: float, name: str) -> str:
    """Format the choice and its figures in one line."""
    option = pick.option
    unit = "nats above random" if option.informs else "of regret"
    value = option.worth if option.informs else -option.worth
    parts = [
        f"auto: {option.name}, {value:.3g} {unit} in {option.steps} steps of {option.world}",
        f"decide + learn p99 {_milliseconds(option.p99)} there, {_milliseconds(pick.p99)} here, "
        f"deadline {_milliseconds(deadline)}",
        f"{pick.within} of {pick.of} configurations were fast enough in {name}",
    ]
    if pick.slow:
        tried = ", ".join(f"{one.name} ({_milliseconds(p99)})" for one, p99 in pick.slow)
        parts.append(f"too slow here: {tried}")
    if not pick.fits:
        parts.append("none fits here, so it is the cheapest")
    return "; ".join(parts)


def _milliseconds(seconds: float) -> str:
    """Format a latency."""
    return f"{seconds * MS_PER_S:.3g} ms"


def resolve_auto(
    experiment: Experiment, frontier: str | None, environment: Environment
) -> Experiment:  # fmt: skip
    """Replace every `auto` of an experiment by its choice, for each world and rule.

    experiment: as configured.
    frontier: file or store of records, None for the shipped ones.
    environment: standard input and messages.
    Raises: UsageError without a deadline or without a suitable record.
    """
    own = ("posterior", "rule", "particles", "refine", "proposer", "world", "model", "steps",
           "think")  # fmt: skip
    rows = [row for row in experiment.cells if not _wanted(row.posterior)]
    grids = [
        Grid(**{n: [v] for n in own if (v := getattr(row, n)) is not None}, seeds=row.seeds)
        for row in experiment.cells
        if _wanted(row.posterior)
    ]
    grids += [*([experiment.grid] if experiment.grid else []), *experiment.grids]
    if not any(map(_wanted, [p for grid in grids for p in grid.posterior])):
        if frontier is not None:
            raise UsageError(WITHOUT)
        return experiment
    found: list[Grid] = []
    for grid in grids:
        others = [p for p in grid.posterior if not _wanted(p)]
        if others:
            found.append(msgspec.structs.replace(grid, posterior=others))
        if len(others) < len(grid.posterior):
            found += _split(grid, experiment, frontier, environment)
    return msgspec.structs.replace(experiment, cells=rows, grid=None, grids=found)


def _split(
    grid: Grid, experiment: Experiment, frontier: str | None, environment: Environment
) -> list[Grid]:
    """Replace the `auto` of a grid by one grid for each world, model, rule and proposer."""
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
        belief = agent_model_spec(place, model or (None if world else experiment.model))
        asked = WantedSpecs(belief, rule, proposer)
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

        option = _chosen(
            asked, experiment.deadline, frontier, agent_of, environment, environment.say
        )
        found.append(grid_of(option))
    return found
