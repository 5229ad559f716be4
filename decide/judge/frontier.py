"""The best configuration on the measured frontier for a deadline: what the `auto` posterior is.

Records of benches say what each configuration was worth and what it took where they were made; the
best of those that should fit are timed here, before the first event, in that order. Not here: where
records lie (cli/auto.py), or looking at less when a decision is late (decide/loop/deadline.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from ...posteriors.base import UsageError, example_event
from ...posteriors.loading import parse
from ...posteriors.registry import MODELS, build_model
from ..loop.live import build_live, quiet, timed_decide, timed_learn
from ..loop.step import Agent, blank_request
from .record import worth

Row = dict[str, Any]
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
NANO = 1e-9


class Option(NamedTuple):
    """A configuration as it was measured.

    particles, refine: S and k. p99: seconds of decide + learn. worth: as records are compared by,
    nats above random actions where `informs`, else regret spared. world, steps: where.
    """

    posterior: str
    particles: int | None
    refine: int
    p99: float
    worth: float
    informs: bool
    world: str
    steps: int

    @property
    def name(self) -> str:
        """In a few words."""
        size = f" S={self.particles}" if self.particles else ""
        return f"{self.posterior}{size} k={self.refine}"


class Asked(NamedTuple):
    """What records are looked for by: specs as typed."""

    model: str
    rule: str
    proposer: str | None = None


class Pick(NamedTuple):
    """What was chosen. p99: seconds of decide + learn here. fits: whether that is within the
    deadline. of: records compared; within: how many of them were fast enough where they were made.
    slow: those that were tried before and took too long, with their p99 here."""

    option: Option
    p99: float
    fits: bool
    of: int
    within: int
    slow: tuple[tuple[Option, float], ...]


def same_model(one: str, other: str) -> bool:
    """Whether two specs stand for the same model; of a user's own only the same words do."""
    if one == other:
        return True
    if parse(one).target != parse(other).target or parse(one).target not in MODELS:
        return False
    try:
        return build_model(one) == build_model(other)
    except UsageError:
        # A record of another version may name an option that is gone.
        return False


def option_of(row: Row, asked: Asked) -> Option | None:
    """A record as something to choose, None where it is of something else or lacks a measure.

    Live runs under a deadline already looked at less where time was short, and what was thought
    between events is no part of a configuration: both are left out.
    """
    if row.get("rule") != asked.rule or row.get("think"):
        return None
    if row.get("deadline") is not None or not row.get("total"):
        return None
    if (row["config"].get("proposer") or None) != asked.proposer:
        return None
    value = worth(row)
    if value is None or not same_model(row["model"], asked.model):
        return None
    return Option(
        row["posterior"], row["particles"], row["refine"], row["total"]["p99"], value,
        bool(row["gain"]), row["world"], row["steps"],
    )  # fmt: skip


def comparable(rows: Iterable[Row], asked: Asked) -> list[Option]:
    """The largest set of options whose worth can be compared: same world, steps and measure.

    Worlds that are as the model says come first. Empty where there is no record at all.
    """
    groups: dict[tuple[bool, str, int], list[Option]] = {}
    for row in rows:
        option = option_of(row, asked)
        if option is not None:
            groups.setdefault((option.informs, option.world, option.steps), []).append(option)

    def rank(key: tuple[bool, str, int]) -> tuple[bool, int, int]:
        return same_model(key[1], asked.model), len(groups[key]), key[2]

    return groups[max(groups, key=rank)] if groups else []


def in_order(options: list[Option], deadline: float) -> list[Option]:
    """Options that were fast enough where they were measured, the best first."""
    fitting = [option for option in options if option.p99 <= deadline]
    return sorted(fitting, key=lambda option: (-option.worth, option.p99))


def choose(options: list[Option], deadline: float, timed: Callable[[Option], float]) -> Pick:
    """The best option that fits `deadline` seconds there and here, the cheapest where none does.

    timed(option): its p99 of decide + learn here, in seconds; UsageError where it cannot be built.
    options: at least one.
    """
    fitting = in_order(options, deadline)
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


def p99_here(agent: Agent, given: int = 0) -> float:
    """Seconds that deciding and learning take together on this machine, all but one in a hundred.

    given: candidates that come from outside, as in `build_live`. The programs are those of the run.
    """
    live = build_live(agent, given)
    packed = live.init(jax.random.key(0))
    request = live.write_request(jax.tree.map(np.asarray, blank_request(agent, given)))
    event = live.write_event(jax.tree.map(np.asarray, example_event(agent.model)))
    highs = []
    with quiet():
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
    return min(highs) * NANO
