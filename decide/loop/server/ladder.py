"""A ladder of cheaper calls for a deadline, compiled and timed before the first event.

The first rung is the full decision, the last looks at a few draws and candidates only. The largest
rung that should fit into the time left is used, the last one if none fits. The expected time of a
rung is its time on an idle machine, times the recent slowdown of all calls, plus the recent time
around the call (writing requests, reading replies).

See also: deadline.py for the clock.
Source: Zilberstein (1996), contract algorithms.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import numpy as np

from ....posteriors.base import Arms, Draws, Gaussian
from ....posteriors.placeholders import example_event
from ....posteriors.units import NANOSECOND
from ...rules.base import Rule
from ..core.compiled import DecideCalls, LearnCalls, build_decide, build_learn
from ..core.scoring import belief_shape
from ..core.step import Agent, blank_request, candidate_count

CUT = 4
"""Factor by which draws or candidates shrink from rung to rung."""
FEWEST = 4
"""Draws and candidates of the last rung, unless the full decision has fewer."""
RECENT = 64
"""Recent calls that measure the load of the machine."""
CHEAPER = 0.9
"""A rung is kept if it takes less than this share of the rung above."""
AGAIN = 20
"""Timed calls per rung before the first event."""
BEYOND = 3
"""Number of recent calls that may have been slower than the estimate."""
SPARE = 1.25
"""Safety factor: the deadline is for the slowest call in a thousand, beyond the recent ones."""


class Rung(NamedTuple):
    """Size of a decision.

    draws: draws of the belief; 0 where it has none.
    candidates: candidates scored.
    """

    draws: int
    candidates: int


class RecentHigh:
    """A high quantile of recent values; zero before there are any."""

    def __init__(self, *known: float) -> None:
        self._values: deque[float] = deque(known, maxlen=RECENT)
        self.high = max(known, default=0.0)

    def add(self, value: float) -> None:
        """Add a value.

        value: the newest value.
        """
        self._values.append(value)
        ordered = sorted(self._values)
        self.high = ordered[max(len(ordered) - 1 - BEYOND, len(ordered) // 2)]


class Load(RecentHigh):
    """Recent slowdown of calls against their idle time, one figure for all rungs.

    A rung that has not been used for long is thus judged by the present load.
    """

    def __init__(self) -> None:
        super().__init__(1.0)


class Ladder:
    """Calls of the same purpose at decreasing cost.

    idle_seconds: duration of each call on an idle machine.
    load: recent slowdown, shared between ladders.
    overhead: recent seconds between choice and reply outside the call.
    """

    def __init__(self, idle_seconds: Sequence[float], load: Load) -> None:
        self.idle_seconds, self.load, self.overhead = list(idle_seconds), load, RecentHigh()

    def pick(self, left: float) -> tuple[int, bool]:
        """Choose the first rung that should take no longer than the time left.

        left: seconds.

        Returns: number of the rung, the last one if none fits; whether it fits.
        """
        for rung, seconds in enumerate(self.idle_seconds):
            if seconds * self.load.high * SPARE + self.overhead.high <= left:
                return rung, True
        return len(self.idle_seconds) - 1, False

    def record_time(self, rung: int, seconds: float) -> None:
        """Record the duration of a call.

        rung: number of the rung.
        seconds: its duration.
        """
        self.load.add(seconds / self.idle_seconds[rung])


Variant = TypeVar("Variant")
Call = TypeVar("Call")


class Variants(NamedTuple, Generic[Variant, Call]):
    """Variants of one call, from the full one down.

    ladder: times of the variants on it.
    variants: those that are worth a rung, in the order of the ladder.
    calls: compiled call of every variant; an earlier reply may have used one that is now off the
        ladder.
    """

    ladder: Ladder
    variants: tuple[Variant, ...]
    calls: dict[Variant, Call]


DecideVariants = Variants[Rung, DecideCalls]
"""By draws and candidates."""
LearnVariants = Variants[int, LearnCalls]
"""By refine steps after an event."""


def rung_sizes(draws: int, candidates: int, fixed: bool) -> tuple[Rung, ...]:
    """List the rungs of a decision: draws and candidates are cut in turn.

    draws: draws of the full decision.
    candidates: candidates of the full decision.
    fixed: whether the number of candidates must not be cut.

    Returns: rungs, from the full decision down.
    """

    def fewer(count: int) -> int:
        return max(count // CUT, min(count, FEWEST))

    found = [Rung(draws, candidates)]
    while True:
        last = found[-1]
        cuts = [
            last._replace(draws=fewer(last.draws)),
            last if fixed else last._replace(candidates=fewer(last.candidates)),
        ]
        if len(found) % 2 == 0:
            cuts.reverse()
        smaller = [cut for cut in cuts if cut != last]
        if not smaller:
            return tuple(found)
        found.append(smaller[0])


def cheaper_rungs(idle_seconds: Sequence[float]) -> list[int]:
    """Select the rungs that are clearly cheaper than every selected rung above.

    idle_seconds: duration of each rung.

    Returns: numbers of the selected rungs.
    """
    kept = [0]
    for rung, seconds in enumerate(idle_seconds):
        if seconds < CHEAPER * idle_seconds[kept[-1]]:
            kept.append(rung)
    return kept


def build_decide_variants(
    agent: Agent, given: int, rule_of: Callable[[int], Rule], load: Load
) -> DecideVariants:
    """Compile and time the rungs of an agent's decision.

    agent: the agent.
    given: capacity of candidate sets listed by the client, whose size is never cut; 0 for none.
    rule_of: draws -> the agent's rule, looking at that many draws of a Gaussian belief.
    load: slowdown shared between ladders.

    Returns: variants by rung.
    """
    shape = belief_shape(agent)
    known = 0
    if isinstance(shape, Draws):
        known = min(len(shape.log_weights), agent.thin or len(shape.log_weights))
    elif isinstance(shape, Gaussian):
        known = agent.particles
    whole = given or candidate_count(agent)
    fixed = bool(given) or isinstance(agent.model.actions, Arms)
    rungs = rung_sizes(known, whole, fixed)
    calls = []
    for rung in rungs:
        cheaper = agent
        if rung != rungs[0]:
            name = f"{agent.name} thin {rung.draws} of {rung.candidates}" if agent.name else None
            thin = rung.draws if isinstance(shape, Draws) else 0
            rule = rule_of(rung.draws) if isinstance(shape, Gaussian) else agent.rule
            cheaper = agent._replace(
                rule=rule, thin=thin, candidates=rung.candidates, name=name,
                particles=rung.draws or agent.particles,
            )  # fmt: skip
        calls.append(build_decide(cheaper, given, agent))
    packed = build_learn(agent).init(jax.random.key(0))
    asked = [
        c.write_request(_blank_for_rung(agent, given, r)) for c, r in zip(calls, rungs, strict=True)
    ]
    idle_seconds = [
        median_seconds(lambda c=c, a=a: np.asarray(c.decide(packed, a)))
        for c, a in zip(calls, asked, strict=True)
    ]
    return _build_variants(idle_seconds, load, dict(zip(rungs, calls, strict=True)))


def _build_variants(
    idle_seconds: Sequence[float], load: Load, calls: dict[Variant, Call]
) -> Variants[Variant, Call]:
    """Variants with their durations, from the full one down."""
    kept, every = cheaper_rungs(idle_seconds), list(calls)
    ladder = Ladder([idle_seconds[n] for n in kept], load)
    return Variants(ladder, tuple(every[n] for n in kept), calls)


def _blank_for_rung(agent: Agent, given: int, rung: Rung) -> Any:
    """A request for as many candidates as the rung has, as host arrays."""
    request = blank_request(agent._replace(candidates=rung.candidates), given)
    return jax.tree.map(np.asarray, request)


def build_learn_variants(agent: Agent, load: Load) -> LearnVariants:
    """Compile and time learning with all refine steps, half of them, and so on to none.

    agent: the agent.
    load: slowdown shared between ladders.

    Returns: variants by number of refine steps.
    """
    steps = [agent.refine]
    while steps[-1]:
        steps.append(steps[-1] // 2)
    calls, idle_seconds = [], []
    for k in steps:
        name = f"{agent.name} refine {k}" if agent.name and k != agent.refine else agent.name
        learning = build_learn(agent._replace(refine=k, name=name))
        packed = [learning.init(jax.random.key(0))]
        event = learning.write_event(jax.tree.map(np.asarray, example_event(agent.model)))

        def once(learning: LearnCalls = learning, packed: list[Any] = packed, event=event) -> None:
            packed[0], out = learning.learn(packed[0], event)
            np.asarray(out)

        calls.append(learning)
        idle_seconds.append(median_seconds(once))
    return _build_variants(idle_seconds, load, dict(zip(steps, calls, strict=True)))


def median_seconds(call: Callable[[], Any]) -> float:
    """Time a call repeatedly, leaving out its first run.

    call: the call.

    Returns: median seconds.
    """
    call()
    spent = []
    for _ in range(AGAIN):
        begin = time.perf_counter_ns()
        call()
        spent.append(time.perf_counter_ns() - begin)
    return float(np.median(spent)) * NANOSECOND
