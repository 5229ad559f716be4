"""Members that each climb a posterior of their own: bootstraps, anchors, prior functions.

What makes members differ is drawn once: how often each counts an event (`bootstrap`), by how much
it mishears it (`perturb`), which prior draw it is pulled to (`anchor`), and the unknowns that a
model names in `anchors`, which nothing moves. Randomised maximum a posteriori, anchored and
perturbed, is exact where the model is linear-Gaussian. Not here: members that know each other.
Sources: Newton and Raftery (1994) and Oza and Russell (2001) for the bootstraps; Lu and Van Roy
(2017) for perturbed observations; Osband, Aslanides and Cassirer (2018) for prior functions;
Pearce, Leibfried and Brintrup (2020) for anchors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .ascent import ascent, finite_only
from .base import Array, Belief, Event, Info, Model, Options, Posterior, Span, UsageError
from .fading import history_fades
from .history import History, memory
from .outcomes import Scalar, outcome_kind
from .trailing import across
from .unknowns import Unknowns, fixed_continuous, needs_prior, uniform_draws

POISSON = np.cumsum([np.exp(-1) / float(np.prod(np.arange(1, k + 1))) for k in range(11)])
"""Chances of at most 0, 1, ... 10 where one is expected; more have a chance of 1e-8."""


@dataclass(frozen=True)
class Ensemble(Options):
    """particles: S members. bootstrap: how often a member counts an event, "poisson" (mean 1),
    "exponential" (mean 1) or "none" (once).

    anchor: each member's prior is centred on its own prior draw, not on the prior's mean: a Normal
    of the prior's standard deviations in unconstrained coordinates, exact for Normal priors.
    perturb: each member sees each Normal observation with noise of that Normal's scale added.
    step_size: Adam's, in prior standard deviations. capacity, full, batch: the memory
    (history.py). A folded event would count the same for all members, and they would come to agree
    for no reason: with a bootstrap or perturbed observations "auto" keeps a reservoir, or forgets
    where events have an order, and the members differ as the kept events alone would have them.
    """

    refine: ClassVar[int] = 5
    search: ClassVar[Any] = {
        "step_size": Span(1e-3, 1.0),
        "bootstrap": ("poisson", "exponential", "none"),
        "anchor": (True, False),
    }

    particles: int = 32
    bootstrap: str = "exponential"
    anchor: bool = True
    perturb: bool = False
    step_size: float = 0.1
    capacity: int = 512
    full: str = "auto"
    batch: int = 0


class State(NamedTuple):
    """members `[D, S]`, moments of Adam, the model's stats, the events climbed.

    Beside each of these shares and noise `[rows, S]`, None where there are none. anchors `[D, S]`,
    step_size `[]`.
    """

    members: Array
    moments: Any
    stats: Any
    history: History
    shares: Array | None
    noise: Array | None
    anchors: Array
    step_size: Array


def build(model: Model, config: Ensemble) -> Posterior:
    """Each member climbs the log posterior that is its own."""
    unknowns = fixed_continuous("ensemble", model)
    if config.anchor:
        needs_prior("ensemble", model, "anchor=false")
    if config.bootstrap not in SHARES:
        raise UsageError(f"bootstrap={config.bootstrap!r}: choose one of {', '.join(SHARES)}")
    draw = SHARES[config.bootstrap]
    mishear = scale_of(model, unknowns) if config.perturb else None
    full = config.full
    if draw is not None or mishear is not None:
        ordered = bool(jax.tree.leaves(model.init_stats()))
        full = ("forget" if ordered else "reservoir") if full == "auto" else full
        if full == "fold":
            raise UsageError(
                "posterior ensemble: full=fold counts an event once for all members: use forget "
                "or reservoir, or bootstrap=none:perturb=false"
            )
    count = config.particles
    store = memory(model, config.capacity, full, config.batch)
    climb = ascent(unknowns)
    spread = jnp.asarray(unknowns.gaussian()[1], unknowns.dtype)
    fixed = np.zeros(unknowns.size, bool)
    for name in model.anchors:
        fixed[unknowns.span(name)] = True

    def init(key: Array) -> State:
        members = unknowns.sample(key, count).T
        history = store.empty()
        beside = jnp.zeros((history.events.weight.shape[0], count), unknowns.dtype)
        return State(
            members,
            climb.init(members),
            model.init_stats(),
            history,
            None if draw is None else beside,
            None if mishear is None else beside,
            members,
            jnp.asarray(config.step_size, unknowns.dtype),
        )

    def absorb_one(state: State, item: tuple[Array, Event]) -> tuple[State, None]:
        key, event = item
        place_key, share_key, noise_key = jax.random.split(key, 3)
        placed = slot, keep, _ = store.place(place_key, state.history, event)
        shares, noise = state.shares, state.noise
        if draw is not None and shares is not None:
            new = draw(share_key, count).astype(shares.dtype)
            shares = shares.at[slot].set(jnp.where(keep, new, shares[slot]))
        if mishear is not None and noise is not None:
            # An event that counts w times is one of w times the precision.
            real = jnp.where(event.weight > 0, event.weight, 1.0)
            scale = mishear(state.members, state.stats, event.action) / jnp.sqrt(real)
            new = scale * jax.random.normal(noise_key, (count,), noise.dtype)
            noise = noise.at[slot].set(jnp.where(keep, new, noise[slot]))
        history = store.put(state.history, event, jnp.mean(state.members, axis=1), *placed)
        stats = model.update_stats(state.stats, event)
        return state._replace(stats=stats, history=history, shares=shares, noise=noise), None

    def absorb(key: Array, state: State, events: Event) -> State:
        keys = jax.random.split(key, events.weight.shape[0])
        return jax.lax.scan(absorb_one, state, (keys, events))[0]

    def anchored(state: State) -> tuple[Array, Array]:
        apart = (state.members - state.anchors) / spread[:, None]
        return -0.5 * jnp.sum(jnp.square(apart), axis=0), -apart / spread[:, None]

    def shared(state: State) -> tuple[Array, Array]:
        logs, pull = jax.vjp(lambda u: across(unknowns.log_prior, u), state.members)
        return logs, pull(jnp.ones_like(logs))[0]

    prior = anchored if config.anchor else shared

    def refine(key: Array, state: State) -> tuple[State, Info]:
        value, gradient = store.climb(key, state.history, state.members, state.shares, state.noise)
        log_prior, pull = prior(state)
        gradient, finite = finite_only(jnp.where(fixed[:, None], 0.0, gradient + pull))
        members, moments = climb.step(state.members, gradient, state.moments, state.step_size)
        healthy = finite & jnp.all(jnp.isfinite(members))
        work = (count * store.evaluated(state.history)).astype(members.dtype)
        info = Info(work, healthy, {"log_posterior": jnp.mean(value + log_prior)})
        return state._replace(members=members, moments=moments), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        return uniform_draws(state.members.T)

    in_memory = history_fades(store)

    def fade(key: Array, state: State, factor: Array) -> State:
        assert in_memory is not None
        state = in_memory(key, state, factor)
        if state.noise is None:
            return state
        # What counts for less is misheard by more, until it does not count at all.
        left = (state.history.events.weight > 0) & (factor > 0)
        louder = state.noise / jnp.sqrt(jnp.where(factor > 0, factor, 1.0))
        return state._replace(noise=jnp.where(left[:, None], louder, 0.0))

    return Posterior(init, absorb, refine, belief, in_memory and fade)


def poisson(key: Array, count: int) -> Array:
    """`[S]` counts of mean 1, by their cumulative distribution: no loop of unknown length."""
    uniforms = jax.random.uniform(key, (count,))
    return jnp.sum(uniforms[:, None] > jnp.asarray(POISSON, uniforms.dtype)[None, :], axis=1)


def exponential(key: Array, count: int) -> Array:
    """`[S]` shares of mean 1: Dirichlet weights, but for their sum."""
    return jax.random.exponential(key, (count,))


SHARES: dict[str, Callable[[Array, int], Array] | None] = {
    "poisson": poisson,
    "exponential": exponential,
    "none": None,
}


def scale_of(model: Model, unknowns: Unknowns) -> Callable[[Array, Any, Array], Array]:
    """`(members [D, S], stats, action) -> [S]`: the scale of the Normal that each predicts."""
    kind = outcome_kind(model)
    if not (isinstance(kind, Scalar) and kind.normal):
        raise UsageError(
            f"posterior ensemble perturbs Normal observations only; those of "
            f"{type(model).__name__} are not: use perturb=false"
        )

    def scale(members: Array, stats: Any, action: Array) -> Array:
        def one(u: Array) -> Array:
            return jnp.sqrt(model.predict(unknowns.constrain(u), stats, action).variance)

        return across(one, members)

    return scale
