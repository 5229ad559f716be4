"""Forgetting by a half-life, for any method that can fade.

At time T an event of time t counts 2^(-(T - t) / half_life) of its full weight: the log posterior
is the log prior plus the sum of the events' log likelihoods, so weighted. Before an event is
absorbed the past is faded by the time elapsed; an event older than the latest one is absorbed with
the weight that it would have by now, so that its late arrival makes no difference.

See also: tempering.py for how states fade, dynamics.py for unknowns that move by the model.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Belief, Event, Info, Model, Posterior
from ..errors import UsageError
from ..units import parse_duration

FADE = 2**31 - 2
"""Folded into a key; too large to be the number of a split."""


class State(NamedTuple):
    """State of a method that forgets.

    inner: the method's own, in which events count as of `time`.
    time: `[]`, seconds, of the latest event.
    half_life: `[]`, seconds.
    """

    inner: Any
    time: Array
    half_life: Array


def read_half_life(value: Any, target: str) -> float:
    """Read the half-life of a spec: a number of seconds, as records hold it, or `10m` or inf.

    value: a number or a text.
    target: the posterior's name, for the error.

    Returns: seconds.
    Raises: UsageError if it is neither, or not above 0.
    """
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = _seconds_of_text(value) if isinstance(value, str) else 0.0
    if isinstance(value, bool) or not seconds > 0:
        raise UsageError(
            f"posterior {target}: half_life={value}: must be seconds above 0, or inf to forget "
            "nothing"
        )
    return seconds


def _seconds_of_text(text: str) -> float:
    """Seconds of a duration, 0 where the text is none."""
    try:
        return parse_duration(text)
    except UsageError:
        return 0.0


def check_can_fade(target: str, half_life: float, model: Model) -> None:
    """Refuse a model whose log posterior is more than a sum over events.

    target: the posterior's name, for the error.
    half_life: seconds, for the error.
    model: the model.

    Raises: UsageError if its unknowns move or it keeps statistics of past events.
    """
    name, posterior = type(model).__name__, f"posterior {target}: half_life={half_life:g}"
    if model.latent:
        raise UsageError(
            f"{posterior}: the unknowns of {name} move by its own dynamics, which forget already: "
            "leave half_life out, or name a model whose unknowns stand still"
        )
    if jax.tree.leaves(model.init_stats()):
        raise UsageError(
            f"{posterior}: {name} keeps a summary of all past events, which does not fade: leave "
            "half_life out"
        )


def no_fade_error(target: str, half_life: float, model: Model, full: str | None) -> UsageError:
    """Make the error for a posterior without `fade`.

    target: the posterior's name.
    half_life: seconds.
    model: the model.
    full: its policy of a full buffer, None without one.
    """
    name = type(model).__name__
    why = "has no fade(): see Posterior in posteriors/base.py"
    if full is not None:
        why = f"keeps a sample of all its past (full={full}): use full=forget"
    return UsageError(f"posterior {target} on {name}: half_life={half_life:g}, but it {why}")


def with_half_life(posterior: Posterior, half_life: float) -> Posterior:
    """Wrap a posterior so that it forgets.

    posterior: with a `fade`.
    half_life: seconds.
    """
    fade = posterior.fade
    assert fade is not None

    def share_after(elapsed: Array, state: State) -> Array:
        """Share of an event's weight after `elapsed` seconds."""
        return jnp.exp2(-jnp.maximum(elapsed, 0.0) / state.half_life)

    def fade_by(key: Array, state: State, elapsed: Array) -> Any:
        return fade(jax.random.fold_in(key, FADE), state.inner, share_after(elapsed, state))

    def init(key: Array) -> State:
        real = jnp.result_type(float)
        return State(posterior.init(key), jnp.zeros((), real), jnp.asarray(half_life, real))

    def absorb_one(state: State, item: tuple[Array, Event]) -> tuple[State, None]:
        key, event = item
        # A masked event carries no time of its own.
        elapsed = jnp.where(event.weight > 0, event.time - state.time, 0.0)
        aged = event._replace(weight=event.weight * share_after(-elapsed, state))
        block = jax.tree.map(lambda x: x[None], aged)
        inner = posterior.absorb(key, fade_by(key, state, elapsed), block)
        time = jnp.where(elapsed > 0, event.time, state.time)
        return State(inner, time, state.half_life), None

    def absorb(key: Array, state: State, events: Event) -> State:
        count = events.weight.shape[0]
        # One event is absorbed under the same key as without a half-life.
        keys = key[None] if count == 1 else jax.random.split(key, count)
        return jax.lax.scan(absorb_one, state, (keys, events))[0]

    def refine(key: Array, state: State) -> tuple[State, Info]:
        inner, info = posterior.refine(key, state.inner)
        return state._replace(inner=inner), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        return posterior.belief(key, fade_by(key, state, now - state.time), now)

    return Posterior(init, absorb, refine, belief)
