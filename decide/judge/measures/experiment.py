"""An experiment as data: one world, and a grid or list of cells to run in it.

See also: experiment_toml.py for its text, ../engine/bench.py for running it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec

from ....posteriors.base import provides
from ....posteriors.errors import UsageError
from ....posteriors.specs import parse_spec
from ...loop.core.agent import check_draws, with_attend, with_half_life
from ..records.record import BASELINE

NotNegative = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
"""inf is one: a half-life of it forgets nothing."""


@dataclass(frozen=True)
class Cell:
    """One row of a bench. Specs are as typed; particles and refine are S and k."""

    world: str
    model: str
    posterior: str
    rule: str
    proposer: str | None
    particles: int | None
    refine: int
    candidates: int
    explore: float
    steps: int
    seed: int
    seeds: int
    think: int = 0
    """Refine steps between events, after learning and before the next decision."""

    @property
    def is_baseline(self) -> bool:
        """Whether actions are random, so that other cells are compared with this one."""
        return self.rule == BASELINE


def shape_of(cell: Cell) -> Cell:
    """Return the cell without its runs, which is all that its programs depend on.

    cell: any cell.
    """
    return replace(cell, seed=0, seeds=1)


class Row(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One [[cells]] table; missing fields are those of the experiment."""

    posterior: str
    rule: str | None = None
    particles: int | None = None
    refine: int | None = None
    proposer: str | None = None
    world: str | None = None
    model: str | None = None
    steps: int | None = None
    seeds: int | None = None
    think: NotNegative = 0
    half_life: Positive | None = None
    attend: int | str | None = None
    """Draws of the belief that a decision looks at; "all"."""


class Grid(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The [grid] table, or one of several [[grids]]: every combination is a cell."""

    posterior: list[str] = []
    rule: list[str] = []
    particles: list[int] = []
    refine: list[int] = []
    proposer: list[str] = []
    world: list[str] = []
    model: list[str] = []
    steps: list[int] = []
    seeds: int | None = None
    think: list[NotNegative] = []
    half_life: list[Positive] = []
    attend: list[int | str] = []


class Experiment(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A whole configuration."""

    world: str = "location"
    model: str | None = None
    steps: int = 30
    seeds: int = 32
    seed: int = 0
    rule: str = "eig"
    proposer: str | None = None
    candidates: int = 32
    explore: float = 0.0
    live: int = 20
    """Runs that time a cell."""
    samples: int = 2000
    """Draws behind ACE and VNMC."""
    reference: int = 2048
    """Particles of the judge's own inference."""
    spce: int | None = None
    """L of sPCE and sNMC; without samples and spce gain is not measured."""
    joint: int | list[int] | None = None
    """tau, or several."""
    settle: int = 0
    """Refine steps after the last event, before the final belief is judged."""
    fidelity: bool = False
    deadline: float | None = None
    """Seconds a decision, which then uses less if it would be late; runs are then live."""
    rate: float | None = None
    """Events a second; None: each event when the last one is finished."""
    workers: int = 0
    """Worker processes; 0 is one a core."""
    cells: list[Row] = []
    grid: Grid | None = None
    grids: list[Grid] = []

    @property
    def taus(self) -> tuple[int, ...]:
        """Numbers of observations predicted jointly."""
        if self.joint is None:
            return ()
        return tuple(self.joint) if isinstance(self.joint, list) else (self.joint,)

    @property
    def gain(self) -> bool:
        """Whether the gain is bounded at all."""
        return bool(self.samples or self.spce)

    @property
    def timed(self) -> bool:
        """Whether there are live runs, which need a core of their own."""
        return bool(self.live) or self.deadline is not None

    def resolved(self) -> list[Cell]:
        """Return the cells in order, without duplicates, as of a grid over a missing option."""
        from ....posteriors.registry import option_default, options_class, takes_option

        rows = list(self.cells)
        for g in [*([self.grid] if self.grid else []), *self.grids]:
            rows += [
                Row(posterior, rule, particles, refine, proposer, world, model, steps, g.seeds,
                    think, half_life, attend)
                for world in g.world or [None]
                for model in g.model or [None]
                for steps in g.steps or [None]
                for posterior in g.posterior
                for rule in g.rule or [None]
                for particles in g.particles or [None]
                for refine in g.refine or [None]
                for proposer in g.proposer or [None]
                for think in g.think or [0]
                for half_life in g.half_life or [None]
                for attend in g.attend or [None]
            ]  # fmt: skip
        found: dict[Cell, None] = {}
        for row in rows:
            spec = parse_spec(row.posterior)
            moves = options_class(spec.target).refine
            refine = row.refine if row.refine is not None and moves else moves
            refine = dict(spec.settings).get("refine", refine)
            bare = ":".join(p for p in row.posterior.split(":") if not p.startswith("refine="))
            bare = with_attend(with_half_life(bare, row.half_life), row.attend)
            # A belief that one rule alone can read is chosen by with that one.
            own = options_class(spec.target).rule
            rule = row.rule or own or self.rule
            particles = dict(spec.settings).get("particles", row.particles)
            if not takes_option(bare, "particles"):
                particles = None
            elif particles is None:
                particles = option_default(bare, "particles")
            world = row.world or self.world
            cell = Cell(
                world,
                row.model or (None if row.world else self.model) or world,
                bare,
                rule,
                row.proposer or (None if own else self.proposer),
                particles,
                refine,
                self.candidates,
                self.explore,
                row.steps or self.steps,
                self.seed,
                row.seeds or self.seeds,
                # Nothing to do between events where there is nothing to refine.
                row.think if moves else 0,
            )
            found[cell] = None
        return list(found)


MOST_CELLS = 20_000
"""Cells of one experiment; each takes seconds at least."""
MOST = 2**31 - 1
"""Of anything that is counted, and of a seed."""
TOO_LARGE = f": too large: must be at most {MOST}"
LEAST = {
    "steps": 1, "seeds": 1, "seed": 0, "candidates": 1, "live": 0, "samples": 0, "spce": 1,
    "joint": 1, "reference": 2, "workers": 0, "settle": 0,
}  # fmt: skip
COUNTS = ("particles", "refine", "steps", "seeds", "think")
"""Of a cell."""


def check_size(experiment: Experiment, where: str) -> None:
    """Check that an experiment has not too many cells to be listed.

    experiment: to check.
    where: file or command, for errors.
    Raises: UsageError if it has more than `MOST_CELLS`.
    """
    grids = [*([experiment.grid] if experiment.grid else []), *experiment.grids]
    lists = [[v for v in msgspec.structs.astuple(g) if isinstance(v, list)] for g in grids]
    count = len(experiment.cells) + sum(math.prod(max(len(v), 1) for v in some) for some in lists)
    if count > MOST_CELLS:
        raise UsageError(
            f"{where}: its grids make {count} cells, at most {MOST_CELLS} are taken: shorten lists"
        )


def check_experiment(experiment: Experiment, where: str) -> Experiment:
    """Check an experiment.

    experiment: to check.
    where: file or command, for errors.
    Returns: the experiment.
    Raises: UsageError if a number is out of range, options are at odds, or there is no cell.
    """
    for name, least in LEAST.items():
        value = getattr(experiment, name)
        for one in value if isinstance(value, list) else [value]:
            if one is not None and not least <= one <= MOST:
                told = f" = {value}: must be at least {least}" if one < least else TOO_LARGE
                raise UsageError(f"{where}: {name}{told}")
    check_size(experiment, where)
    every = experiment.resolved()
    for cell in every:
        for name in COUNTS:
            count = getattr(cell, name)
            if not isinstance(count, int | None):
                raise UsageError(f"{where}: {name}={count!r}: must be a whole number")
            if abs(count or 0) > MOST:
                raise UsageError(f"{where}: {name}{TOO_LARGE}")
    if not experiment.gain and not experiment.taus and not _paying(experiment):
        raise UsageError(
            f"{where}: samples = 0 leaves no bound on the gain, and nothing else is judged: also "
            "set spce or joint"
        )
    for cell in every if experiment.taus else []:
        check_draws(cell.posterior, "joint prediction")
    for name in ("deadline", "rate"):
        value = getattr(experiment, name)
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{where}: {name} = {value}: must be above 0")
    if experiment.rate is not None and experiment.deadline is None:
        raise UsageError(f"{where}: rate says when events arrive: also set deadline")
    if experiment.deadline is not None:
        wanted = {
            "joint": experiment.taus,
            "fidelity": experiment.fidelity,
            "settle": experiment.settle,
        }
        if names := [name for name, value in wanted.items() if value]:
            raise UsageError(f"{where}: {names[0]} is not there under a deadline: leave one out")
        thinking = any(cell.think for cell in every)
        if thinking and experiment.rate is None:
            raise UsageError(
                f"{where}: think has no time under a deadline where one event follows the other at "
                "once: also set rate"
            )
    if not 0 <= experiment.explore <= 1:
        raise UsageError(f"{where}: explore = {experiment.explore}: must lie between 0 and 1")
    if not any([experiment.cells, *(g.posterior for g in experiment.grids)]) and not (
        experiment.grid and experiment.grid.posterior
    ):
        raise UsageError(f"{where}: no cells; add a [[cells]] table with a posterior")
    return experiment


def _paying(experiment: Experiment) -> bool:
    """Whether regret can be judged in every world of an experiment."""
    from ....streams.worlds.registry import build_world

    def pays(name: str) -> bool:
        world = build_world(name)
        rewarding = world.model is not None and provides(world.model, "reward")
        return world.pays is not None or rewarding

    return all(pays(name) for name in {cell.world for cell in experiment.resolved()})
