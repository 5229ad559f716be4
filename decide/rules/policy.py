"""Rule and proposer of a trained policy, whose network emits the next action.

Both read a `Summary` that holds the action, the belief of posterior amortised.
See also: posteriors/parts/policy_network.py for the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from ...posteriors.base import Arms, Array, Belief, Model, Summary
from ...posteriors.errors import UsageError
from .base import Candidates, Choice, Rule, choose_best
from .proposers import Proposer, require_vector


@dataclass(frozen=True)
class Policy:
    """Candidate nearest to the action that a trained policy (posterior amortised) emits.

    Distances are in widths of the action space's box.
    """


@dataclass(frozen=True)
class Emitted:
    """The one action that a trained policy (posterior amortised) emits."""


def _action_of(belief: Any) -> Array:
    """The action `[size]` of a trained policy's summary."""
    if not isinstance(belief, Summary) or not hasattr(belief.value, "action"):
        raise UsageError(
            "rule policy reads the summary of a trained policy, and this posterior's belief is "
            f"{type(belief).__name__}: use --posterior amortised:file=FILE.npz, or another rule"
        )
    return belief.value.action


def build_policy(config: Policy, model: Model) -> Rule:
    """Build the rule that follows a trained policy.

    config: no options.
    model: has vector actions.

    Returns: the `choose` function; its scores are minus squared distances.
    Raises: UsageError if the model's actions are arms.
    """
    if isinstance(model.actions, Arms):
        raise UsageError(
            f"rule policy emits numbers, and the actions of {type(model).__name__} are arms: use "
            "another rule"
        )
    box = model.actions

    def choose(
        key: Array, belief: Belief, model: Model, stats: Any, candidates: Candidates
    ) -> Choice:
        emitted = _action_of(belief)
        apart = (candidates.features - emitted[None, :]) / (box.high - box.low)
        return choose_best(key, -jnp.sum(jnp.square(apart), axis=1), candidates.valid)

    return choose


def build_emitted(config: Emitted, model: Model) -> Proposer:
    """Build the proposer that offers a trained policy's action.

    config: no options.
    model: has vector actions.

    Returns: the `propose` function, which repeats the action `count` times.
    Raises: UsageError if the model's actions are arms.
    """
    require_vector("emitted", model)

    def propose(key: Array, draws: Any, model: Model, stats: Any, count: int) -> Array:
        # Repeated, so that the number of candidates is the requested one.
        action = _action_of(draws)
        return jnp.broadcast_to(action[None, :], (count, action.shape[0]))

    return propose
