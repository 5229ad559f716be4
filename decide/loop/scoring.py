"""Score an event under the live belief, before it is learnt and outside the timed calls.

Not here: the formulas (foresight.py), or learning.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ...posteriors.base import Summary, example_event
from .foresight import foresee
from .live import build_learn, pack_result
from .rows import reading
from .step import JUDGE, Agent, step_key


@lru_cache(maxsize=64)
def build_foresight(agent: Agent) -> Any:
    """`score(packed, event array) -> [log_prob, gain]`, or None where the belief cannot be read.

    A call of its own, so that the latency of learning is that of learning alone.
    """
    learning = build_learn(agent)
    if isinstance(belief_shape(agent), Summary):
        return None

    def score(packed: Any, flat: Any) -> jax.Array:
        state, event = learning.unpack(packed), learning.read_event(flat)
        # The keys of a replay, so that both say the same of the same log.
        belief_key, score_key, _ = jax.random.split(step_key(state, JUDGE), 3)
        belief = agent.posterior.belief(belief_key, state.posterior, event.time)
        seen = foresee(score_key, agent.model, belief, state.stats, event)
        return pack_result((seen.log_prob, seen.gain))

    call = jax.jit(reading(score, agent.rows))
    blank = learning.write_event(jax.tree.map(np.asarray, example_event(agent.model)))
    np.asarray(call(learning.init(jax.random.key(0)), blank))
    return call


def belief_shape(agent: Agent) -> Any:
    """What the posterior's belief looks like, without computing one."""
    state = jax.eval_shape(agent.posterior.init, jax.random.key(0))
    return jax.eval_shape(agent.posterior.belief, jax.random.key(0), state, 0.0)
