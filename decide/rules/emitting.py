"""The rule and the proposer of a trained policy, which says what to do instead of scoring it.

Both read the one belief that nobody else can: a `Summary` that holds the action. Not here: the
network (posteriors/policy.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from ...posteriors.base import Arms, Array, Belief, Model, Summary, UsageError
from .base import Candidates, Choice, Rule, best
from .proposing import Proposer, space


@dataclass(frozen=True)
class Policy:
    """The candidate nearest to what a trained policy (posterior amortised) says, in widths of the
    action space's box; that very action unless candidates come from elsewhere."""


@dataclass(frozen=True)
class Emitted:
    """The one action that a trained policy (posterior amortised) says."""


def emitted(belief: Any) -> Array:
    """The action `[size]` of a trained policy's summary."""
    if not isinstance(belief, Summary) or not hasattr(belief.value, "action"):
        raise UsageError(
            "rule policy reads the summary of a trained policy, and this posterior's belief is "
            f"{type(belief).__name__}: use --posterior amortised:file=FILE.npz, or another rule"
        )
    return belief.value.action


def policy(config: Policy, model: Model) -> Rule:
    if isinstance(model.actions, Arms):
        raise UsageError(
            f"rule policy emits numbers, and the actions of {type(model).__name__} are arms: use "
            "another rule"
        )
    box = model.actions

    def choose(
        key: Array, belief: Belief, model: Model, stats: Any, candidates: Candidates
    ) -> Choice:
        wanted = emitted(belief)
        apart = (candidates.features - wanted[None, :]) / (box.high - box.low)
        return best(key, -jnp.sum(jnp.square(apart), axis=1), candidates.valid)

    return choose


def alone(config: Emitted, model: Model) -> Proposer:
    space("emitted", model)

    def propose(key: Array, draws: Any, model: Model, stats: Any, count: int) -> Array:
        # As many as were asked for, so that whatever counts candidates is right; all the same one.
        return jnp.broadcast_to(emitted(draws)[None, :], (count, emitted(draws).shape[0]))

    return propose
