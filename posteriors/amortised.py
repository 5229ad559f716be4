"""A trained policy's memory: the summed code of all events, and the next action from it.

No belief about the unknowns is there at all, so nothing but the rule `policy` can read it: no draws
to predict with, to score other rules' candidates by, or to judge. `refine` is the identity. Not
here: the network (policy.py), its file (artefact.py), or its training (decide/training).
Source: Foster, Ivanova, Malik and Rainforth (2021), Deep Adaptive Design.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from .artefact import fitting
from .base import Array, Belief, Event, Model, Options, Posterior, Summary, UsageError
from .idle import nothing_to_refine
from .policy import Weights


@dataclass(frozen=True)
class Amortised(Options):
    """file: a policy that `uncertain train` made. capacity: events that a run will bring, where
    that is known; more than the policy was trained for are refused."""

    refine: ClassVar[int] = 0
    learns_at_once: ClassVar[bool] = True
    rule: ClassVar[str | None] = "policy"

    file: str = ""
    capacity: int = 0


class State(NamedTuple):
    """code `[E]`, the sum over events; seen `[]`, how many."""

    code: Array
    seen: Array


class Intention(NamedTuple):
    """What the summary says: the action `[size]` to take next, and after how many events `[]`."""

    action: Array
    seen: Array


def build(model: Model, config: Amortised) -> Posterior:
    """Sum the codes of a file's encoder."""
    name = type(model).__name__
    if not config.file:
        raise UsageError(
            f"posterior amortised has no policy for {name}: write amortised:file=FILE.npz, which "
            "uncertain train makes"
        )
    artefact, policy = fitting(config.file, model)
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
        counted = jnp.where(real[:, None], events.weight[:, None] * codes, 0.0)
        code = state.code + jnp.sum(counted, axis=0)
        return State(code, state.seen + jnp.sum(real).astype(state.seen.dtype))

    def belief(key: Array, state: State, now: Array) -> Belief:
        action = policy.action(policy.emit(weights(), state.code))
        return Summary(Intention(action, state.seen))

    return Posterior(init, absorb, nothing_to_refine(), belief)
