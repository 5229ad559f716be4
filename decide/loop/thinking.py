"""Thinking while waiting: refine steps between events, when no decision waits for them.

One compiled call is one slice of `agent.think` steps, and a live loop does as many slices as the
time allows. Not here: the refining itself (step.py), or who waits for what (serve.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from statistics import median
from typing import Any

import jax

from .kept import kept
from .live import build_learn, learning_step, name_of
from .rows import changing
from .step import Agent

Packed = tuple[Any, ...]
TIMED = 9
"""Slices before the first event, of which the median says how long one takes."""
SHARE = 0.5
"""Of a deadline that a slice may take: an event may come when it has just begun."""


@lru_cache(maxsize=64)
def build_think(agent: Agent) -> Callable[[Packed, int], Packed]:
    """think(packed, number) -> packed: one slice, compiled; it consumes `packed`.

    number: of the slice since the last event, so that no two draw the same noise.
    """
    learning = build_learn(agent)
    step = learning_step(agent)

    def traced(packed: Packed, number: Any) -> tuple[Packed, Any]:
        return learning.pack(step.think(learning.unpack(packed), number)[0]), ()

    body = kept(changing(traced, agent.rows), name_of(agent, "think"))
    call = jax.jit(lambda packed, number: body(packed, number)[0], donate_argnums=0)
    jax.block_until_ready(call(learning.init(jax.random.key(0)), 0))
    return call


class Thoughts:
    """Slices of thinking in a live loop: at most `most` between two events, counted. Compiles when
    made.

    deadline: seconds to an answer. seconds: that a slice takes. fits: whether a slice leaves time
    for the answer; where it does not there is no thinking at all.
    """

    def __init__(self, agent: Agent, most: int, deadline: float | None = None) -> None:
        self._call, self._most = build_think(agent), most
        self._since = self._untold = 0
        packed, taken = build_learn(agent).init(jax.random.key(0)), []
        for number in range(TIMED):
            began = time.perf_counter()
            packed = jax.block_until_ready(self._call(packed, number))
            taken.append(time.perf_counter() - began)
        self.seconds = median(taken)
        self.fits = deadline is None or self.seconds <= SHARE * deadline

    @property
    def left(self) -> bool:
        """Whether there is anything to think about still."""
        return self.fits and self._since < self._most

    def slice(self, packed: Packed) -> Packed:
        """One slice; it consumes `packed`."""
        packed = jax.block_until_ready(self._call(packed, self._since))
        self._since += 1
        self._untold += 1
        return packed

    def again(self, packed: Packed, told: int) -> Packed:
        """As many slices as were done before `told` said so, however the clock goes now."""
        while self._untold < told:
            packed = self.slice(packed)
        return packed

    def learnt(self) -> None:
        """There is something new to think about."""
        self._since = 0

    def told(self) -> int:
        """Slices since this was asked last."""
        untold, self._untold = self._untold, 0
        return untold

    @property
    def counts(self) -> list[int]:
        """What a checkpoint has to know: slices since the last event, and those not told yet."""
        return [self._since, self._untold]

    @counts.setter
    def counts(self, counts: list[int]) -> None:
        self._since, self._untold = counts
