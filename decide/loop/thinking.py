"""Thinking while waiting: refine steps between events, when no decision waits for them.

One compiled call is one slice of `agent.think` steps; whoever waits decides how many slices fit.
Not here: the refining itself (step.py), or clocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax

from .kept import kept
from .live import build_learn, learning_step, name_of
from .step import Agent

Packed = tuple[Any, ...]


@lru_cache(maxsize=64)
def build_think(agent: Agent) -> Callable[[Packed, int], Packed]:
    """think(packed, number) -> packed: one slice, compiled; it consumes `packed`.

    number: of the slice since the last event, so that no two draw the same noise.
    """
    learning = build_learn(agent)
    step = learning_step(agent)

    def traced(packed: Packed, number: Any) -> Packed:
        return learning.pack(step.think(learning.unpack(packed), number)[0])

    call = jax.jit(kept(traced, name_of(agent, "think")), donate_argnums=0)
    jax.block_until_ready(call(learning.init(jax.random.key(0)), 0))
    return call
