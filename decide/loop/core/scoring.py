"""Score an event under the live belief, before it is learnt and outside the timed calls.

See also: predictive.py for the scores, e_process.py for the evidence.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ....posteriors.base import Draws, Summary
from ....posteriors.placeholders import example_event
from .batched_state import on_row
from .compiled import build_learn
from .e_process import initial_e_process, leading_fault, read_evidence, update_e_process
from .host_arrays import pack_result
from .packing import Packing, build_packing
from .predictive import predictive_score
from .step import JUDGE, Agent, step_key


@lru_cache(maxsize=64)
def build_score(agent: Agent, watched: bool = True) -> Any:
    """Compile the scoring of one event.

    It is a separate call, so that the latency of learning excludes it. It also updates the
    e-process, which needs the same belief and does not affect the next decision.

    agent: the agent.
    watched: whether the e-process is updated; else it is `()` and there is no evidence.

    Returns: `score(packed, event array, e-process) -> ([log_prob, gain, *evidence], e-process)`;
        None where nothing can be predicted with the belief.
    """
    learning = build_learn(agent)
    if isinstance(belief_shape(agent), Summary):
        return None
    layout = _e_process_layout()

    def score(packed: Any, flat: Any, packed_process: Any) -> tuple[jax.Array, Any]:
        state, event = learning.unpack(packed), learning.read_event(flat)
        # The keys of a replay, so that both say the same of the same log.
        belief_key, score_key, _ = jax.random.split(step_key(state, JUDGE), 3)
        belief = agent.posterior.belief(belief_key, state.posterior, event.time)
        seen = predictive_score(score_key, agent.model, belief, state.stats, event)
        if not watched:
            return pack_result((seen.log_prob, seen.gain)), packed_process
        process = update_e_process(layout.unpack(packed_process), seen.pit)
        scores = seen.log_prob, seen.gain, read_evidence(process)
        return pack_result(scores), layout.pack(process)

    call = jax.jit(on_row(score, agent.rows))
    blank = learning.write_event(jax.tree.map(np.asarray, example_event(agent.model)))
    jax.block_until_ready(
        call(learning.init(jax.random.key(0)), blank, initial_packed_e_process(watched))
    )
    return call


def count_draws(agent: Agent) -> int | None:
    """Count the draws of a belief that a decision looks at.

    agent: the agent.

    Returns: their number, of a Gaussian those that are drawn from it; None for a summary.
    """
    shape = belief_shape(agent)
    if isinstance(shape, Summary):
        return None
    return len(shape.log_weights) if isinstance(shape, Draws) else agent.particles


def _e_process_layout() -> Packing:
    """Conversions between an e-process and a few flat arrays."""
    return build_packing(jax.eval_shape(initial_e_process))


def initial_packed_e_process(watched: bool = True) -> tuple[jax.Array, ...]:
    """Build the packed e-process before any observation.

    watched: as in `build_score`.

    Returns: packed state; `()` if not watched.
    """
    return _initial_process()() if watched else ()


@lru_cache(maxsize=1)
def _initial_process() -> Any:
    """Compile the program that makes an e-process, once for all calls."""
    return jax.jit(lambda: _e_process_layout().pack(initial_e_process()))


def evidence_fields(values: list[float]) -> dict[str, Any]:
    """Name the numbers of an `Evidence`, as a reply has them; docs/formats.md lists the fields.

    values: numbers of the evidence, in the order of its leaves.

    Returns: the field `alarm` of a reply.
    """
    log_e, highest, change, half, most, n, leading = values
    return {
        "log_e": log_e, "highest": highest, "change": change, "within_50": half,
        "within_90": most, "n": int(n), "leading": leading_fault(log_e, leading),
    }  # fmt: skip


def belief_shape(agent: Agent) -> Any:
    """Trace the structure of the posterior's belief, without computing it.

    agent: the agent.

    Returns: draws, a Gaussian or a summary, of shape structures.
    """
    state = jax.eval_shape(agent.posterior.init, jax.random.key(0))
    return jax.eval_shape(agent.posterior.belief, jax.random.key(0), state, 0.0)
