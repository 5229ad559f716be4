"""Choose a configuration for a deadline from measured ones: the `auto` posterior.

Records of benches say what each configuration was worth and how long it took on their machine; the
best of those that should fit are timed on this machine before the first event, in that order.

See also: cli/live/auto_posterior.py for the records, ../../loop/server/ladder.py for cheaper
decisions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import numpy as np

from ....posteriors.errors import UsageError
from ....posteriors.placeholders import example_event
from ....posteriors.registry import MODELS, build_model
from ....posteriors.specs import parse_spec
from ....posteriors.units import NANOSECOND
from ...loop.core.compiled import build_live, pause_gc, timed_decide, timed_learn
from ...loop.core.step import Agent, blank_request
from ..records.mark_frontier import why_struck, worth
from ..records.record import Record

TRIED = 5
"""Configurations timed here, at most, but for the cheapest."""
ROUNDS = 2
"""The quicker one counts: a moment when something else ran is no property of a configuration."""
CALLS = 150
"""Decisions and updates of a round, unless they take longer than `PATIENCE`."""
FEWEST = 30
PATIENCE = 1.0
"""Seconds."""
WARM = 5
"""Of those left out in front."""


class Option(NamedTuple):
    """A configuration as it was measured."""

    posterior: str
    particles: int | None
    """S."""
    refine: int
    """k."""
    p99: float
    """Seconds of decide + learn."""
    worth: float
    """Nats above random actions if `informs`, else minus the regret."""
    informs: bool
    world: str
    """World that it was measured in."""
    steps: int
    """Events a run."""

    @property
    def name(self) -> str:
        """Posterior and sizes in a few words."""
        size = f" S={self.particles}" if self.particles else ""
        return f"{self.posterior}{size} k={self.refine}"


class WantedSpecs(NamedTuple):
    """Specs that records are looked up by."""

    model: str
    rule: str
    proposer: str | None = None


class Pick(NamedTuple):
    """The configuration chosen."""

    option: Option
    p99: float
    """Seconds of decide + learn on this machine."""
    fits: bool
    """Whether that meets the deadline."""
    of: int
    """Records compared."""
    within: int
    """Number of them that met the deadline where they were measured."""
    slow: tuple[tuple[Option, float], ...]
    """Options timed before that were too slow, with their p99 on this machine."""


def same_model(one: str, other: str) -> bool:
    """Return whether two specs name the same model.

    one: spec; that of a user's own model must be spelt the same.
    other: spec.
    """
    if one == other:
        return True
    if parse_spec(one).target != parse_spec(other).target or parse_spec(one).target not in MODELS:
        return False
    try:
        return build_model(one) == build_model(other)
    except UsageError:
        # A record of another version may name an option that is gone.
        return False


def _option_of(row: Record, asked: WantedSpecs) -> Option | None:
    """A record as an option; None if it is of something else or lacks a measure.

    Live runs under a deadline already used less when time was short, and refining between events is
    no
    part of a configuration: both are left out.
    """
    if row.rule != asked.rule or row.think:
        return None
    if row.deadline is not None or row.total is None or why_struck(row) is not None:
        return None
    if (row.config.get("proposer") or None) != asked.proposer:
        return None
    value = worth(row)
    if value is None or not same_model(row.model, asked.model):
        return None
    return Option(
        row.posterior, row.particles, row.refine, row.total.p99, value,
        bool(row.gain), row.world, row.steps,
    )  # fmt: skip


def comparable_options(rows: Iterable[Record], asked: WantedSpecs) -> list[Option]:
    """Select the largest set of options with the same world, steps and measure.

    Worlds whose truth is the model come first.

    rows: records.
    asked: specs to look up.
    Returns: the options; empty without a matching record.
    """
    groups: dict[tuple[bool, str, int], list[Option]] = {}
    for row in rows:
        option = _option_of(row, asked)
        if option is not None:
            groups.setdefault((option.informs, option.world, option.steps), []).append(option)

    def rank(key: tuple[bool, str, int]) -> tuple[bool, int, int]:
        return same_model(key[1], asked.model), len(groups[key]), key[2]

    return groups[max(groups, key=rank)] if groups else []


def options_in_time(options: list[Option], deadline: float) -> list[Option]:
    """Select the options that met a deadline where they were measured.

    options: to select from.
    deadline: seconds.
    Returns: the best first.
    """
    fitting = [option for option in options if option.p99 <= deadline]
    return sorted(fitting, key=lambda option: (-option.worth, option.p99))


def choose_option(options: list[Option], deadline: float, timed: Callable[[Option], float]) -> Pick:
    """Choose the best option that meets a deadline there and here, or the cheapest if none does.

    options: at least one.
    deadline: seconds of decide + learn.
    timed: returns an option's p99 of decide + learn on this machine, in seconds; it raises
        UsageError for an option that cannot be built.
    Returns: the option with the times it was chosen by.
    """
    fitting = options_in_time(options, deadline)
    slow: list[tuple[Option, float]] = []

    def picked(option: Option, p99: float) -> Pick:
        return Pick(option, p99, p99 <= deadline, len(options), len(fitting), tuple(slow))

    for option in fitting[:TRIED]:
        try:
            p99 = timed(option)
        except UsageError:
            # Measured by a version or with a file that is not here.
            continue
        if p99 <= deadline:
            return picked(option, p99)
        slow.append((option, p99))
    cheapest = min(options, key=lambda option: option.p99)
    known = dict(slow)
    return picked(cheapest, known[cheapest] if cheapest in known else timed(cheapest))


def measure_p99(agent: Agent, given: int = 0) -> float:
    """Measure the p99 of decide + learn on this machine, with the programs of the run.

    agent: to time.
    given: candidates that come from outside, as in `build_live`.
    Returns: seconds.
    """
    live = build_live(agent, given)
    packed = live.init(jax.random.key(0))
    request = live.write_request(jax.tree.map(np.asarray, blank_request(agent, given)))
    event = live.write_event(jax.tree.map(np.asarray, example_event(agent.model)))
    highs = []
    with pause_gc():
        for _ in range(ROUNDS):
            spent: list[int] = []
            began = time.perf_counter()
            while len(spent) < CALLS + WARM:
                _, decided = timed_decide(live, packed, request)
                packed, _, learnt = timed_learn(live, packed, event)
                spent.append(decided + learnt)
                if time.perf_counter() - began > PATIENCE and len(spent) >= FEWEST:
                    break
            highs.append(float(np.quantile(spent[WARM:], 0.99)))
    return min(highs) * NANOSECOND
