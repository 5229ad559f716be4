"""A posterior that forgets by a half-life, whatever its method.

At time T an event of time t counts 2^(-(T - t) / half_life) of what it would: the log posterior is
the log prior plus the sum of the events' log likelihoods, so weighted. Before an event is absorbed
the past is faded by the time that has gone by; one that comes late, its time before the latest one,
is absorbed with the weight that it would have by now, so that its coming late makes no difference
of its own. Not here: how a state fades (each backend's `fade`), or motion that is part of what is
believed (a model's `dynamics`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .base import Array, Belief, Event, Info, Model, Posterior, UsageError

FADE = 2**31 - 2
"""Folded into a key; too large to be the number of a split."""


class State(NamedTuple):
    """inner: the posterior's own, in which events count what they do at `time` `[]`, seconds, the
    latest of an event so far. half_life `[]` seconds."""

    inner: Any
    time: Array
    half_life: Array


def seconds_of(value: Any, target: str) -> float:
    """A half-life as given in a spec."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = 0.0
    if isinstance(value, bool) or not found > 0:
        raise UsageError(
            f"posterior {target}: half_life={value}: must be seconds above 0, or inf to forget "
            "nothing"
        )
    return found


def refuse_what_cannot_fade(target: str, half_life: float, model: Model) -> None:
    """Raise UsageError for a model whose past is more than a sum over events."""
    name, said = type(model).__name__, f"posterior {target}: half_life={half_life:g}"
    if model.latent:
        raise UsageError(
            f"{said}: the unknowns of {name} move by its own dynamics, which forget already: leave "
            "half_life out, or name a model whose unknowns stand still"
        )
    if jax.tree.leaves(model.init_stats()):
        raise UsageError(
            f"{said}: {name} keeps a summary of all past events, which does not fade: leave "
            "half_life out"
        )


def cannot(target: str, half_life: float, model: Model, full: str | None) -> UsageError:
    """The refusal of a posterior that has no `fade`."""
    name = type(model).__name__
    why = "has no fade(): see Posterior in posteriors/base.py"
    if full is not None:
        why = f"keeps a sample of all its past (full={full}): use full=forget"
    return UsageError(f"posterior {target} on {name}: half_life={half_life:g}, but it {why}")


def forgetting(posterior: Posterior, half_life: float) -> Posterior:
    """The posterior, forgetting; it must have a `fade`."""
    fade = posterior.fade
    assert fade is not None

    def left(elapsed: Array, state: State) -> Array:
        """What an event counts after `elapsed` seconds."""
        return jnp.exp2(-jnp.maximum(elapsed, 0.0) / state.half_life)

    def at(key: Array, state: State, elapsed: Array) -> Any:
        return fade(jax.random.fold_in(key, FADE), state.inner, left(elapsed, state))

    def init(key: Array) -> State:
        real = jnp.result_type(float)
        return State(posterior.init(key), jnp.zeros((), real), jnp.asarray(half_life, real))

    def absorb_one(state: State, item: tuple[Array, Event]) -> tuple[State, None]:
        key, event = item
        # A masked event carries no time of its own.
        elapsed = jnp.where(event.weight > 0, event.time - state.time, 0.0)
        aged = event._replace(weight=event.weight * left(-elapsed, state))
        block = jax.tree.map(lambda x: x[None], aged)
        inner = posterior.absorb(key, at(key, state, elapsed), block)
        time = jnp.where(elapsed > 0, event.time, state.time)
        return State(inner, time, state.half_life), None

    def absorb(key: Array, state: State, events: Event) -> State:
        count = events.weight.shape[0]
        # One event is learnt under the key that it would be learnt under without a half-life.
        keys = key[None] if count == 1 else jax.random.split(key, count)
        return jax.lax.scan(absorb_one, state, (keys, events))[0]

    def refine(key: Array, state: State) -> tuple[State, Info]:
        inner, info = posterior.refine(key, state.inner)
        return state._replace(inner=inner), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        return posterior.belief(key, at(key, state, now - state.time), now)

    return Posterior(init, absorb, refine, belief)


__all__ = ["forgetting"]
