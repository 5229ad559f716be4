"""Score an event under the live belief, before it is learnt and outside the timed calls.

Not here: the formulas (foresight.py), or learning.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ...posteriors.base import Summary, example_event
from .alarm import BETS, bet, quiet_alarm, verdict
from .foresight import foresee
from .live import build_learn, pack_result
from .packing import Packing, packing
from .rows import reading
from .step import JUDGE, Agent, step_key


@lru_cache(maxsize=64)
def build_foresight(agent: Agent, watched: bool = True) -> Any:
    """`score(packed, event array, alarm) -> ([log_prob, gain, *verdict], alarm)`, or None where the
    belief cannot be read.

    A call of its own, so that the latency of learning is that of learning alone. The alarm goes
    with it: it needs the same belief, and what it learns is of no use to the next decision. Where
    the model is not watched there is no verdict, and the alarm is `()`.
    """
    learning = build_learn(agent)
    if isinstance(belief_shape(agent), Summary):
        return None
    layout = alarm_layout()

    def score(packed: Any, flat: Any, packed_alarm: Any) -> tuple[jax.Array, Any]:
        state, event = learning.unpack(packed), learning.read_event(flat)
        # The keys of a replay, so that both say the same of the same log.
        belief_key, score_key, _ = jax.random.split(step_key(state, JUDGE), 3)
        belief = agent.posterior.belief(belief_key, state.posterior, event.time)
        seen = foresee(score_key, agent.model, belief, state.stats, event)
        if not watched:
            return pack_result((seen.log_prob, seen.gain)), packed_alarm
        alarm = bet(layout.unpack(packed_alarm), seen.place)
        said = seen.log_prob, seen.gain, verdict(alarm)
        return pack_result(said), layout.pack(alarm)

    call = jax.jit(reading(score, agent.rows))
    blank = learning.write_event(jax.tree.map(np.asarray, example_event(agent.model)))
    jax.block_until_ready(call(learning.init(jax.random.key(0)), blank, unalarmed(watched)))
    return call


def alarm_layout() -> Packing:
    """An alarm as a few flat arrays."""
    return packing(jax.eval_shape(quiet_alarm))


def unalarmed(watched: bool = True) -> tuple[jax.Array, ...]:
    """A packed alarm before anything is observed; `()` where the model is not watched."""
    if not watched:
        return ()
    return jax.jit(lambda: alarm_layout().pack(quiet_alarm()))()


def told(values: list[float]) -> dict[str, Any]:
    """A verdict in the order of its fields, as a reply says it; formats.md has the fields."""
    log_e, highest, change, half, most, n, leading = values
    # The best of bets that have all lost says nothing.
    winning = BETS[int(leading)] if log_e > 0 else None
    return {
        "log_e": log_e, "highest": highest, "change": change, "within_50": half,
        "within_90": most, "n": int(n), "leading": winning,
    }  # fmt: skip


def belief_shape(agent: Agent) -> Any:
    """What the posterior's belief looks like, without computing one."""
    state = jax.eval_shape(agent.posterior.init, jax.random.key(0))
    return jax.eval_shape(agent.posterior.belief, jax.random.key(0), state, 0.0)
