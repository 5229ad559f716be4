"""Decide and learn within a deadline, or in full where there is none.

See also: ladder.py for the cheaper calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ....posteriors.units import NS_PER_S
from ...rules.base import Rule
from ..core.compiled import FloatArray, LiveCalls, timed_decide, timed_learn
from ..core.step import Agent, Decision, Learned, Request
from .ladder import (
    DecideVariants,
    Ladder,
    LearnVariants,
    Load,
    Rung,
    build_decide_variants,
    build_learn_variants,
)

Packed = tuple[Any, ...]
ReplyFields = dict[str, Any]
"""Fields of a reply about its rung; empty without a deadline."""


class DeadlineControl:
    """Chooses the calls of an agent by the time left. Compiles when made.

    agent: the agent.
    learner: its live calls to learn with.
    calls: its live calls to decide with, each with the capacity of its listed candidates.
    deadline: seconds from the arrival of an input to its reply; None compiles no ladder.
    rule_of: as in `build_decide_variants`; needed with a deadline.
    """

    def __init__(
        self,
        agent: Agent,
        learner: LiveCalls,
        calls: Mapping[LiveCalls, int],
        deadline: float | None = None,
        rule_of: Callable[[int], Rule] | None = None,
    ) -> None:
        self.deadline = deadline
        self._learner, self._lives = learner, list(calls)
        self._decide_variants: dict[LiveCalls, DecideVariants] = {}
        self._learn_variants: LearnVariants | None = None
        self._due: int | None = None
        self._earlier: ReplyFields = {}
        # Of the last call: its ladder, and the time at which it would have ended on its own.
        self._open: tuple[Ladder, int] | None = None
        if deadline is not None:
            assert rule_of is not None
            load = Load()
            self._decide_variants = {
                live: build_decide_variants(agent, given, rule_of, load)
                for live, given in calls.items()
            }
            self._learn_variants = build_learn_variants(agent, load)

    def begin(
        self,
        deadline: float | None = None,
        arrived: int | None = None,
        earlier: ReplyFields | None = None,
    ) -> None:
        """Start the clock of an input.

        deadline: seconds that this input allows; None for the default.
        arrived: time of its arrival by `time.perf_counter_ns`; None for now.
        earlier: the reply to the same input before a restart, whose rungs are used again.
        """
        self._earlier, self._open = earlier or {}, None
        allowed = self.deadline if deadline is None else deadline
        began = time.perf_counter_ns() if arrived is None else arrived
        self._due = None if allowed is None else began + int(allowed * NS_PER_S)

    def seconds_left(self) -> float | None:
        """Compute the seconds left for the current input; None without a deadline."""
        return None if self._due is None else (self._due - time.perf_counter_ns()) / NS_PER_S

    def decide(
        self, live: LiveCalls, packed: Packed, request: Request, flat: FloatArray
    ) -> tuple[Decision, int, ReplyFields]:
        """Decide on the largest rung that fits into the time left.

        live: the calls for this request.
        packed: packed state; not consumed.
        request: the request as host arrays.
        flat: the request array of `live`.

        Returns: the decision; nanoseconds it took; fields for the reply, empty without a deadline.
        """
        left = self.seconds_left()
        if left is None or live not in self._decide_variants:
            out, taken = timed_decide(live, packed, flat)
            return live.read_decision(out), taken, {}
        variants, began = self._decide_variants[live], time.perf_counter_ns()
        if (before := self._earlier.get("rung")) is not None:
            number, fits = before["number"], not self._earlier["fallback"]
            rung = Rung(before["draws"], before["candidates"])
        else:
            number, fits = variants.ladder.pick(left)
            rung = variants.variants[number]
        call = variants.calls[rung]
        if rung.candidates < len(request.valid):
            kept = slice(rung.candidates)
            cut = request._replace(valid=request.valid[kept], cost=request.cost[kept])
            flat = call.write_request(cut)
        out, taken = timed_decide(call, packed, flat)
        if before is None:
            variants.ladder.record_time(number, taken / NS_PER_S)
            self._open = variants.ladder, began + taken
        report = {"rung": {"number": number, **rung._asdict()}, "fallback": not fits}
        return call.read_decision(out), taken, report

    def learn(self, packed: Packed, flat: FloatArray) -> tuple[Packed, Learned, int, ReplyFields]:
        """Learn one event with as many refine steps as fit into the time left.

        packed: packed state; consumed.
        flat: event array.

        Returns: the new packed state; the report of learning; nanoseconds it took; fields for the
            reply.
        """
        left = self.seconds_left()
        if left is None or self._learn_variants is None:
            packed, out, taken = timed_learn(self._learner, packed, flat)
            return packed, self._learner.read_learned(out), taken, {}
        variants, began = self._learn_variants, time.perf_counter_ns()
        number, steps = None, self._earlier.get("refine")
        if steps is None:
            number, _ = variants.ladder.pick(left)
            steps = variants.variants[number]
        call = variants.calls[steps]
        packed, out, taken = timed_learn(call, packed, flat)
        if number is not None:
            variants.ladder.record_time(number, taken / NS_PER_S)
            self._open = variants.ladder, began + taken
        return packed, call.read_learned(out), taken, {"refine": steps}

    def answered_in_time(self) -> bool | None:
        """Test whether the current input is answered in time, when its reply is ready.

        The time spent around the call is recorded for the next choice.

        Returns: None without a deadline.
        """
        if self._open is not None:
            ladder, ended = self._open
            ladder.overhead.add((time.perf_counter_ns() - ended) / NS_PER_S)
            self._open = None
        left = self.seconds_left()
        return None if left is None else self._earlier.get("deadline_met", left >= 0)

    def traces(self) -> int:
        """Count the traces of all calls; constant once made."""
        rungs = [
            call for variants in self._decide_variants.values() for call in variants.calls.values()
        ]
        variants = self._learn_variants.calls.values() if self._learn_variants else ()
        return sum(call.traces() for call in [*self._lives, *rungs, *variants])
