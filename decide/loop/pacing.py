"""Decide and learn within a deadline, or in full where there is none.

Not here: what is cheaper than what (deadline.py), or whose deadline it is (serve.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ..rules.base import Rule
from .deadline import Choices, Ladder, Lessons, Load, Rung, build_choices, build_lessons
from .live import FloatArray, Live, timed_decide, timed_learn
from .step import Agent, Decision, Learned, Request

SECOND = 1e9
"""In nanoseconds."""
Packed = tuple[Any, ...]
Said = dict[str, Any]
"""How something was done, for the reply: empty where it was done in full anyway."""


class Pace:
    """The calls of an agent, taken as the time allows. Compiles when made.

    calls: its live calls, with the number of candidates that each is given from outside. deadline:
    seconds from an input's arrival to its answer unless it says another; None compiles no ladder.
    rule_of: as in `build_choices`, needed with a deadline.
    """

    def __init__(
        self,
        agent: Agent,
        learner: Live,
        calls: Mapping[Live, int],
        deadline: float | None = None,
        rule_of: Callable[[int], Rule] | None = None,
    ) -> None:
        self.deadline = deadline
        self._learner, self._lives = learner, list(calls)
        self._choices: dict[Live, Choices] = {}
        self._lessons: Lessons | None = None
        self._due: int | None = None
        self._followed: Said = {}
        # Of the last call: its ladder, and when it would have ended had there been nothing else.
        self._open: tuple[Ladder, int] | None = None
        if deadline is not None:
            assert rule_of is not None
            load = Load()
            self._choices = {
                live: build_choices(agent, given, rule_of, load) for live, given in calls.items()
            }
            self._lessons = build_lessons(agent, load)

    def begin(
        self,
        deadline: float | None = None,
        arrived: int | None = None,
        followed: Said | None = None,
    ) -> None:
        """An input has come. deadline: its own. arrived: by `time.perf_counter_ns`, else now.

        followed: what was said when the same input was answered before, to be done the same way.
        """
        self._followed, self._open = followed or {}, None
        allowed = self.deadline if deadline is None else deadline
        began = time.perf_counter_ns() if arrived is None else arrived
        self._due = None if allowed is None else began + int(allowed * SECOND)

    def left(self) -> float | None:
        """Seconds until the input at hand should be answered, None where there is no hurry."""
        return None if self._due is None else (self._due - time.perf_counter_ns()) / SECOND

    def decide(
        self, live: Live, packed: Packed, request: Request, flat: FloatArray
    ) -> tuple[Decision, int, Said]:
        """The decision, the nanoseconds it took, and the rung it was taken on.

        flat: the request, as `live` writes it.
        """
        left = self.left()
        if left is None or live not in self._choices:
            out, taken = timed_decide(live, packed, flat)
            return live.read_decision(out), taken, {}
        choices, began = self._choices[live], time.perf_counter_ns()
        if (before := self._followed.get("rung")) is not None:
            number, fits = before["number"], not self._followed["fallback"]
            rung = Rung(before["draws"], before["candidates"])
        else:
            number, fits = choices.ladder.pick(left)
            rung = choices.ways[number]
        call = choices.calls[rung]
        if rung.candidates < len(request.valid):
            kept = slice(rung.candidates)
            cut = request._replace(valid=request.valid[kept], cost=request.cost[kept])
            flat = call.write_request(cut)
        out, taken = timed_decide(call, packed, flat)
        if before is None:
            choices.ladder.took(number, taken / SECOND)
            self._open = choices.ladder, began + taken
        said = {"rung": {"number": number, **rung._asdict()}, "fallback": not fits}
        return call.read_decision(out), taken, said

    def learn(self, packed: Packed, flat: FloatArray) -> tuple[Packed, Learned, int, Said]:
        """The new state, what learning reported, its nanoseconds, and how far it refined."""
        left = self.left()
        if left is None or self._lessons is None:
            packed, out, taken = timed_learn(self._learner, packed, flat)
            return packed, self._learner.read_learned(out), taken, {}
        lessons, began = self._lessons, time.perf_counter_ns()
        number, steps = None, self._followed.get("refine")
        if steps is None:
            number, _ = lessons.ladder.pick(left)
            steps = lessons.ways[number]
        call = lessons.calls[steps]
        packed, out, taken = timed_learn(call, packed, flat)
        if number is not None:
            lessons.ladder.took(number, taken / SECOND)
            self._open = lessons.ladder, began + taken
        return packed, call.read_learned(out), taken, {"refine": steps}

    def punctual(self) -> bool | None:
        """Whether the input at hand is answered in time, None where there is no hurry.

        To be asked when the answer is there: what was spent around the call is remembered."""
        if self._open is not None:
            ladder, ended = self._open
            ladder.around.add((time.perf_counter_ns() - ended) / SECOND)
            self._open = None
        left = self.left()
        return None if left is None else self._followed.get("deadline_met", left >= 0)

    def traces(self) -> int:
        """How often anything was traced; constant once made."""
        rungs = [call for choices in self._choices.values() for call in choices.calls.values()]
        lessons = self._lessons.calls.values() if self._lessons else ()
        return sum(call.traces() for call in [*self._lives, *rungs, *lessons])
