"""Refine while idle: refine steps between events, when no decision waits for them.

One compiled call is one slice of `agent.think` steps; a live loop runs as many slices as the time
allows.

See also: decide/loop/core/step.py for the refine steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from statistics import median
from typing import Any

import jax

from ..core.batched_state import updating_row
from ..core.compiled import build_learn, learning_step, program_name
from ..core.program_cache import cached_program
from ..core.step import Agent

Packed = tuple[Any, ...]
TIMED = 9
"""Timed slices before the first event."""
SHARE = 0.5
"""Share of a deadline that a slice may take: an event may arrive when it has just begun."""


@lru_cache(maxsize=64)
def build_background_refine(agent: Agent) -> Callable[[Packed, int], Packed]:
    """Compile one slice of refining; it consumes the packed state.

    agent: the agent.

    Returns: `call(packed, number) -> packed`, where `number` counts the slices since the last event
        so that each has its own noise.
    """
    learning = build_learn(agent)
    step = learning_step(agent)

    def traced(packed: Packed, number: Any) -> tuple[Packed, Any]:
        return learning.pack(step.think(learning.unpack(packed), number)[0]), ()

    body = cached_program(updating_row(traced, agent.rows), program_name(agent, "think"))
    call = jax.jit(lambda packed, number: body(packed, number)[0], donate_argnums=0)
    jax.block_until_ready(call(learning.init(jax.random.key(0)), 0))
    return call


class BackgroundRefine:
    """Slices of refining in a live loop, at most `most` between two events. Compiles when made.

    agent: the agent.
    most: slices.
    deadline: seconds to a reply; None for no deadline.
    seconds: median duration of a slice.
    fits: whether a slice leaves time to reply within the deadline; if not, no slice is run.
    """

    def __init__(self, agent: Agent, most: int, deadline: float | None = None) -> None:
        self._call, self._most = build_background_refine(agent), most
        self._since = self._unreported = 0
        packed, taken = build_learn(agent).init(jax.random.key(0)), []
        for number in range(TIMED):
            began = time.perf_counter()
            packed = jax.block_until_ready(self._call(packed, number))
            taken.append(time.perf_counter() - began)
        self.seconds = median(taken)
        self.fits = deadline is None or self.seconds <= SHARE * deadline

    @property
    def has_work(self) -> bool:
        """Whether more slices may run before the next event."""
        return self.fits and self._since < self._most

    def refine_slice(self, packed: Packed) -> Packed:
        """Run one slice.

        packed: packed state; consumed.

        Returns: the new packed state.
        """
        packed = jax.block_until_ready(self._call(packed, self._since))
        self._since += 1
        self._unreported += 1
        return packed

    def repeat_slices(self, packed: Packed, reported: int) -> Packed:
        """Run as many slices as an earlier reply reported, whatever the clock says now.

        packed: packed state; consumed.
        reported: slices that the reply reported.

        Returns: the new packed state.
        """
        while self._unreported < reported:
            packed = self.refine_slice(packed)
        return packed

    def restart(self) -> None:
        """Allow all slices again, because an event was learnt."""
        self._since = 0

    def take_unreported(self) -> int:
        """Count the slices since the last call of this method."""
        count, self._unreported = self._unreported, 0
        return count

    @property
    def counts(self) -> list[int]:
        """For a checkpoint: slices since the last event, and slices not yet reported."""
        return [self._since, self._unreported]

    @counts.setter
    def counts(self, counts: list[int]) -> None:
        """Restore them.

        counts: as read before.
        """
        self._since, self._unreported = counts
