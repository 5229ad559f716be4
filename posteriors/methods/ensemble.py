"""Ensemble: members that each climb a posterior of their own.

Members differ by draws made once: how often each counts an event (`bootstrap`), the noise that it
adds to the event's observation (`perturb`), the prior draw that it is pulled to (`anchor`), and the
unknowns that a model names in `anchors`, which stay at their prior draw. Over a space of candidates
each member climbs by neighbours, on events counted by the bootstrap. Randomised maximum a
posteriori, anchored and perturbed, is exact where the model is linear-Gaussian.

Cost: a refine step is S gradients over the buffered events, with particles on the last axis.
Take it when: the model is a network, or the posterior has several modes.
Not when: there is room for a full covariance and the posterior is nearly Gaussian (see laplace).
Source: Newton and Raftery (1994) and Oza and Russell (2001) for the bootstraps; Lu and Van Roy
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

from ..base import Array, Belief, Event, Info, Model, Options, Posterior, Span
from ..errors import UsageError
from ..parts.buffer_likelihood import BufferLikelihood
from ..parts.draws import uniform_draws
from ..parts.optimiser import drop_nonfinite, scaled_adam
from ..parts.outcomes import Scalar, outcome_kind
from ..parts.replay_buffer import Buffer, ReplayBuffer
from ..parts.requirements import require_fixed_continuous, require_proper_prior
from ..parts.tempering import buffer_fade
from ..parts.unknowns import Unknowns
from ..parts.vmap_last import vmap_last
from ..searches.climbing import climb_objects
from ..searches.evidence import evidence_of
from ..spaces.base import require_ability

POISSON = np.cumsum([np.exp(-1) / float(np.prod(np.arange(1, k + 1))) for k in range(11)])
"""Chances of at most 0, 1, ... 10 where one is expected; more have a chance of 1e-8."""


@dataclass(frozen=True)
class Ensemble(Options):
    """Options of the members.

    particles: S members.
    bootstrap: how often a member counts an event, "poisson" (mean 1), "exponential" (mean 1) or
        "none" (once).
    anchor: centre each member's prior on its own prior draw instead of the prior's mean: a Normal
        of the prior's standard deviations in unconstrained coordinates, exact for Normal priors.
    perturb: add noise of its own scale to each Normal observation, drawn for each member.
    step_size: of Adam, in prior standard deviations.
    capacity: events in the replay buffer.
    full: policy of a full buffer (../parts/replay_buffer.py).
    batch: events behind a step, 0 for all.

    A folded event would count the same for all members, and they would come to agree for no reason:
    with a bootstrap or perturbed observations full=auto keeps a reservoir, or forgets where events
    have an order, and the members differ as the buffered events alone would have them.
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
    """State of the method.

    members: `[D, S]`.
    optimiser: moments of Adam.
    stats: the model's running statistics.
    buffer: the events climbed.
    shares, noise: `[rows, S]` beside the events, None if not used.
    anchors: `[D, S]`.
    step_size: `[]`.
    """

    members: Array
    optimiser: Any
    stats: Any
    buffer: Buffer
    shares: Array | None
    noise: Array | None
    anchors: Array
    step_size: Array


def build(model: Model, config: Ensemble) -> Posterior:
    """Build a posterior whose members each climb their own log posterior.

    model: a model with fixed continuous unknowns.
    config: the options.

    Raises: UsageError if the model or the options do not fit.
    """
    if config.bootstrap not in SHARES:
        raise UsageError(f"bootstrap={config.bootstrap!r}: choose one of {', '.join(SHARES)}")
    if evidence := evidence_of(model):
        require_ability("posterior ensemble", evidence.space, "neighbours", "use exact")
        return climb_objects(evidence, config.particles, SHARES[config.bootstrap])
    unknowns = require_fixed_continuous("ensemble", model)
    if config.anchor:
        require_proper_prior("ensemble", model, "anchor=false")
    draw = SHARES[config.bootstrap]
    noise_scale = _noise_scale_of(model, unknowns) if config.perturb else None
    full = config.full
    if draw is not None or noise_scale is not None:
        ordered = bool(jax.tree.leaves(model.init_stats()))
        full = ("forget" if ordered else "reservoir") if full == "auto" else full
        if full == "fold":
            raise UsageError(
                "posterior ensemble: full=fold counts an event once for all members: use forget "
                "or reservoir, or bootstrap=none:perturb=false"
            )
    count = config.particles
    store = ReplayBuffer(model, config.capacity, full)
    likelihood = BufferLikelihood(store, config.batch)
    adam = scaled_adam(unknowns)
    spread = jnp.asarray(unknowns.gaussian()[1], unknowns.dtype)
    fixed = np.zeros(unknowns.size, bool)
    for name in model.anchors:
        fixed[unknowns.span(name)] = True

    def init(key: Array) -> State:
        members = unknowns.sample(key, count).T
        buffer = store.empty()
        beside = jnp.zeros((buffer.events.weight.shape[0], count), unknowns.dtype)
        return State(
            members,
            adam.init(members),
            model.init_stats(),
            buffer,
            None if draw is None else beside,
            None if noise_scale is None else beside,
            members,
            jnp.asarray(config.step_size, unknowns.dtype),
        )

    def absorb_one(state: State, item: tuple[Array, Event]) -> tuple[State, None]:
        key, event = item
        slot_key, share_key, noise_key = jax.random.split(key, 3)
        placement = slot, stored, _ = store.find_slot(slot_key, state.buffer, event)
        shares, noise = state.shares, state.noise
        if draw is not None and shares is not None:
            new = draw(share_key, count).astype(shares.dtype)
            shares = shares.at[slot].set(jnp.where(stored, new, shares[slot]))
        if noise_scale is not None and noise is not None:
            # An event that counts w times is one of w times the precision.
            real = jnp.where(event.weight > 0, event.weight, 1.0)
            scale = noise_scale(state.members, state.stats, event.action) / jnp.sqrt(real)
            new = scale * jax.random.normal(noise_key, (count,), noise.dtype)
            noise = noise.at[slot].set(jnp.where(stored, new, noise[slot]))
        mean = jnp.mean(state.members, axis=1)
        buffer = store.write(state.buffer, event, mean, *placement)
        stats = model.update_stats(state.stats, event)
        return state._replace(stats=stats, buffer=buffer, shares=shares, noise=noise), None

    def absorb(key: Array, state: State, events: Event) -> State:
        keys = jax.random.split(key, events.weight.shape[0])
        return jax.lax.scan(absorb_one, state, (keys, events))[0]

    def anchored(state: State) -> tuple[Array, Array]:
        apart = (state.members - state.anchors) / spread[:, None]
        return -0.5 * jnp.sum(jnp.square(apart), axis=0), -apart / spread[:, None]

    def shared(state: State) -> tuple[Array, Array]:
        return unknowns.log_prior_and_grad(state.members)

    prior = anchored if config.anchor else shared

    def refine(key: Array, state: State) -> tuple[State, Info]:
        value, gradient = likelihood.estimate_gradient(
            key, state.buffer, state.members, state.shares, state.noise
        )
        log_prior, pull = prior(state)
        gradient, finite = drop_nonfinite(jnp.where(fixed[:, None], 0.0, gradient + pull))
        members, optimiser = adam.step(state.members, gradient, state.optimiser, state.step_size)
        healthy = finite & jnp.all(jnp.isfinite(members))
        work = (count * likelihood.evaluations(state.buffer)).astype(members.dtype)
        info = Info(work, healthy, {"log_posterior": jnp.mean(value + log_prior)})
        return state._replace(members=members, optimiser=optimiser), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        return uniform_draws(state.members.T)

    fade_events = buffer_fade(store)

    def fade(key: Array, state: State, factor: Array) -> State:
        assert fade_events is not None
        state = fade_events(key, state, factor)
        if state.noise is None:
            return state
        # An event that counts for less has more noise, until it does not count at all.
        left = (state.buffer.events.weight > 0) & (factor > 0)
        louder = state.noise / jnp.sqrt(jnp.where(factor > 0, factor, 1.0))
        return state._replace(noise=jnp.where(left[:, None], louder, 0.0))

    return Posterior(init, absorb, refine, belief, fade_events and fade)


def draw_poisson(key: Array, count: int) -> Array:
    """Draw counts of mean 1 by their cumulative distribution: no loop of unknown length.

    key: for the draws.
    count: S.

    Returns: `[S]`.
    """
    uniforms = jax.random.uniform(key, (count,))
    return jnp.sum(uniforms[:, None] > jnp.asarray(POISSON, uniforms.dtype)[None, :], axis=1)


def draw_exponential(key: Array, count: int) -> Array:
    """Draw shares of mean 1: Dirichlet weights, but for their sum.

    key: for the draws.
    count: S.

    Returns: `[S]`.
    """
    return jax.random.exponential(key, (count,))


SHARES: dict[str, Callable[[Array, int], Array] | None] = {
    "poisson": draw_poisson,
    "exponential": draw_exponential,
    "none": None,
}


def _noise_scale_of(model: Model, unknowns: Unknowns) -> Callable[[Array, Any, Array], Array]:
    """Build `(members [D, S], stats, action) -> [S]`: the scale of the Normal that each
    predicts.
    """
    kind = outcome_kind(model)
    if not (isinstance(kind, Scalar) and kind.normal):
        raise UsageError(
            f"posterior ensemble perturbs Normal observations only; those of "
            f"{type(model).__name__} are not: use perturb=false"
        )

    def scale(members: Array, stats: Any, action: Array) -> Array:
        def one(u: Array) -> Array:
            return jnp.sqrt(model.predict(unknowns.constrain(u), stats, action).variance)

        return vmap_last(one, members)

    return scale
