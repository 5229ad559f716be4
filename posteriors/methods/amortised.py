"""Amortised policy: the summed code of all events, from which a trained network acts.

The state holds no belief about the unknowns, so only the rule `policy` can read it: there are no
draws to predict with, to score candidates by, or to judge.

Cost: one pass of the encoder an event and of the emitter a decision; there is nothing to refine.
Take it when: a policy was trained for the model and decisions have to take microseconds.
Not when: beliefs, predictions or rules other than `policy` are needed, or the model changes.
Source: Foster, Ivanova, Malik and Rainforth (2021), Deep Adaptive Design.
See also: ../parts/policy_network.py for the network, ../parts/policy_file.py for its file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Belief, Event, Model, Options, Posterior, Summary
from ..errors import UsageError
from ..parts.no_refine import no_refine
from ..parts.policy_file import load_fitting_policy
from ..parts.policy_network import Weights


@dataclass(frozen=True)
class Amortised(Options):
    """Options of the trained policy.

    file: a policy that `uncertain train` wrote.
    capacity: number of events of the run, where that is known; more than the policy was trained
        for are refused.
    """

    refine: ClassVar[int] = 0
    learns_at_once: ClassVar[bool] = True
    rule: ClassVar[str | None] = "policy"

    file: str = ""
    capacity: int = 0


class State(NamedTuple):
    """State of the method.

    code: `[E]`, sum over events.
    seen: `[]`, number of events.
    """

    code: Array
    seen: Array


class Intention(NamedTuple):
    """Content of the summary.

    action: `[size]`, the action to take next.
    seen: `[]`, number of events before it.
    """

    action: Array
    seen: Array


def build(model: Model, config: Amortised) -> Posterior:
    """Build a posterior that sums the codes of a trained encoder.

    model: the model that the policy was trained for.
    config: the options.

    Raises: UsageError if the file is missing, damaged, for another model, or for shorter runs.
    """
    name = type(model).__name__
    if not config.file:
        raise UsageError(
            f"posterior amortised has no policy for {name}: write amortised:file=FILE.npz, which "
            "uncertain train makes"
        )
    artefact, policy = load_fitting_policy(config.file, model)
    if config.capacity > artefact.horizon:
        raise UsageError(
            f"posterior amortised: {config.file} was trained for runs of {artefact.horizon} events "
            f"of {name}, not for {config.capacity}: take fewer steps, or train another"
        )

    def weights() -> Weights:
        return {key: jnp.asarray(x, jnp.result_type(float)) for key, x in artefact.weights.items()}

    def init(key: Array) -> State:
        return State(policy.start(), jnp.zeros(()))

    def absorb(key: Array, state: State, events: Event) -> State:
        held = weights()
        codes = jax.vmap(lambda a, y: policy.encode(held, policy.raw(a), y))(
            events.action, events.observation
        )
        real = events.weight > 0
        weighted = jnp.where(real[:, None], events.weight[:, None] * codes, 0.0)
        code = state.code + jnp.sum(weighted, axis=0)
        return State(code, state.seen + jnp.sum(real).astype(state.seen.dtype))

    def belief(key: Array, state: State, now: Array) -> Belief:
        action = policy.action(policy.emit(weights(), state.code))
        return Summary(Intention(action, state.seen))

    return Posterior(init, absorb, no_refine(), belief)
