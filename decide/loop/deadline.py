"""A deadline as a promise: ever cheaper ways to decide and learn, compiled and timed beforehand.

A ladder has the whole decision on its first rung and one of a few draws and candidates on its last;
the largest that should fit into the time left is taken, the last one where none does. What a rung
will take is what it took when nothing else ran, times how much slower calls have been of late, and
what comes before and after the call: requests written, replies read. Not
here: where time begins (serve.py, or the judge's punctual.py).
Source: Zilberstein (1996), contract algorithms.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import numpy as np

from ...posteriors.base import Arms, Draws, Gaussian, example_event
from ..rules.base import Rule
from .live import Deciding, Learning, build_decide, build_learn
from .scoring import belief_shape
from .step import Agent, blank_request, candidate_count

CUT = 4
"""How many times fewer draws or candidates the next rung has."""
FEWEST = 4
"""Draws and candidates of the last rung, unless there are fewer from the start."""
RECENT = 64
"""Calls that say how slow the machine is now."""
CHEAPER = 0.9
"""Share of a dearer rung's time that another must stay below to be worth having."""
AGAIN = 20
"""Calls that time a rung before the first event."""
BEYOND = 3
"""Of the recent calls, how many may have been slower than what is reckoned with."""
SPARE = 1.25
"""Times that: a promise is of the slowest in a thousand, of which the recent calls say little."""
NANO = 1e-9


class Rung(NamedTuple):
    """What one decision looks at: draws of the belief, 0 where it has none, and candidates."""

    draws: int
    candidates: int


class Recent:
    """What all but the slowest few of the recent ones came to; zero before there are any."""

    def __init__(self, *known: float) -> None:
        self._values: deque[float] = deque(known, maxlen=RECENT)
        self.high = max(known, default=0.0)

    def add(self, value: float) -> None:
        self._values.append(value)
        ordered = sorted(self._values)
        self.high = ordered[max(len(ordered) - 1 - BEYOND, len(ordered) // 2)]


class Load(Recent):
    """How many times longer than when timed calls have been taking.

    One figure for all rungs, so that one that was not used for long is not misjudged.
    """

    def __init__(self) -> None:
        super().__init__(1.0)


class Ladder:
    """Calls that do the same at different cost, the dearest first.

    usual: seconds that each takes on an idle machine. around: seconds between a choice and its
    answer that were not the call's.
    """

    def __init__(self, usual: Sequence[float], load: Load) -> None:
        self.usual, self.load, self.around = list(usual), load, Recent()

    def pick(self, left: float) -> tuple[int, bool]:
        """The first rung that should take no longer than `left` seconds, and whether there is one;
        the last rung where there is none."""
        for rung, seconds in enumerate(self.usual):
            if seconds * self.load.high * SPARE + self.around.high <= left:
                return rung, True
        return len(self.usual) - 1, False

    def took(self, rung: int, seconds: float) -> None:
        """Remember how long a call took."""
        self.load.add(seconds / self.usual[rung])


Way = TypeVar("Way")
Call = TypeVar("Call")


class Ways(NamedTuple, Generic[Way, Call]):
    """Ways of doing the same, and the compiled call of each.

    ways: those that are worth a rung of the ladder. calls: also of the others, which may have been
    worth one when a reply was given.
    """

    ladder: Ladder
    ways: tuple[Way, ...]
    calls: dict[Way, Call]


Choices = Ways[Rung, Deciding]
"""What a decision looks at."""
Lessons = Ways[int, Learning]
"""Refine steps after an event."""


def sizes(draws: int, candidates: int, fixed: bool) -> tuple[Rung, ...]:
    """Rungs from the whole decision down: draws and candidates are cut in turn.

    fixed: whether the number of candidates is not ours to choose.
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


def worthwhile(usual: Sequence[float]) -> list[int]:
    """The rungs that are clearly cheaper than every dearer one that is kept."""
    kept = [0]
    for rung, seconds in enumerate(usual):
        if seconds < CHEAPER * usual[kept[-1]]:
            kept.append(rung)
    return kept


def build_choices(agent: Agent, given: int, rule_of: Callable[[int], Rule], load: Load) -> Choices:
    """Compile and time the rungs of an agent's decision.

    given: capacity of candidates that come from outside, whose number is never cut. rule_of(draws):
    the agent's rule, looking at so many draws of a Gaussian belief.
    """
    shape = belief_shape(agent)
    known = 0
    if isinstance(shape, Draws):
        known = len(shape.log_weights)
    elif isinstance(shape, Gaussian):
        known = agent.particles
    whole = given or candidate_count(agent)
    fixed = bool(given) or isinstance(agent.model.actions, Arms)
    rungs = sizes(known, whole, fixed)
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
    asked = [c.write_request(blank(agent, given, r)) for c, r in zip(calls, rungs, strict=True)]
    usual = [
        median_seconds(lambda c=c, a=a: np.asarray(c.decide(packed, a)))
        for c, a in zip(calls, asked, strict=True)
    ]
    return on_a_ladder(usual, load, dict(zip(rungs, calls, strict=True)))


def on_a_ladder(usual: Sequence[float], load: Load, calls: dict[Way, Call]) -> Ways[Way, Call]:
    """Ways with the seconds that each takes, the dearest first."""
    kept, every = worthwhile(usual), list(calls)
    ladder = Ladder([usual[n] for n in kept], load)
    return Ways(ladder, tuple(every[n] for n in kept), calls)


def blank(agent: Agent, given: int, rung: Rung) -> Any:
    """A request for as many candidates as the rung has, as host arrays."""
    request = blank_request(agent._replace(candidates=rung.candidates), given)
    return jax.tree.map(np.asarray, request)


def build_lessons(agent: Agent, load: Load) -> Lessons:
    """Compile and time learning with all refine steps, half of them, and so on to none."""
    steps = [agent.refine]
    while steps[-1]:
        steps.append(steps[-1] // 2)
    calls, usual = [], []
    for k in steps:
        name = f"{agent.name} refine {k}" if agent.name and k != agent.refine else agent.name
        learning = build_learn(agent._replace(refine=k, name=name))
        packed = [learning.init(jax.random.key(0))]
        event = learning.write_event(jax.tree.map(np.asarray, example_event(agent.model)))

        def once(learning: Learning = learning, packed: list[Any] = packed, event=event) -> None:
            packed[0], out = learning.learn(packed[0], event)
            np.asarray(out)

        calls.append(learning)
        usual.append(median_seconds(once))
    return on_a_ladder(usual, load, dict(zip(steps, calls, strict=True)))


def median_seconds(call: Callable[[], Any]) -> float:
    """Median seconds of a call, its first one left out."""
    call()
    spent = []
    for _ in range(AGAIN):
        begin = time.perf_counter_ns()
        call()
        spent.append(time.perf_counter_ns() - begin)
    return float(np.median(spent)) * NANO
