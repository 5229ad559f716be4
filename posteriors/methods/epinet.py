"""Epinet: a point estimate whose head is shifted linearly by a random index.

The estimate is climbed alone, at index 0. A draw shifts its head by sum_k z_k (V_k + P_k), z
normal: P_k are fixed directions of the prior, V_k are learnt so that a shifted head explains the
events while V stays small. Far from events the shift is the prior's; near many events it vanishes.
For a model that names no head all unknowns are shifted: a linear hypermodel. The body does not see
the shifts, and the epinet is not itself a network.

Cost: a refine step is one gradient of 2 + 2 pairs columns (width more with `perturb`).
Take it when: a network needs a belief whose draws cost no more than a product of matrices.
Not when: uncertainty about the network's body matters; only the head is shifted.
Source: Osband et al. (2023), epinets; Dwaracherla et al. (2020), hypermodels and index noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..base import Array, Belief, Event, Info, Model, Posterior, Span
from ..errors import UsageError
from ..parts.buffer_likelihood import BufferLikelihood
from ..parts.draws import uniform_draws
from ..parts.map_estimate import MapEstimator, MapOptions, MapState
from ..parts.optimiser import scaled_adam
from ..parts.replay_buffer import ReplayBuffer
from ..parts.requirements import require_fixed_continuous, require_proper_prior
from ..parts.tempering import estimate_fade


@dataclass(frozen=True)
class Epinet(MapOptions):
    """Options besides those of point.

    particles: indices of the belief.
    width: K, numbers in an index.
    pairs: indices z that a step averages over, each together with -z.
    prior_scale: of the directions P, in prior standard deviations.
    perturb: how strongly each event pulls the indices apart, by its own score in a direction drawn
        once: 1 makes up for the noise of the observations, 0 disables.
    """

    search: ClassVar[Any] = {
        "step_size": Span(1e-3, 1.0), "prior_scale": Span(0.1, 10.0), "perturb": (0.0, 1.0),
    }  # fmt: skip

    particles: int = 32
    width: int = 8
    pairs: int = 4
    prior_scale: float = 1.0
    perturb: float = 0.0


class State(NamedTuple):
    """State of the method.

    estimate: the estimate and the events it climbs.
    learnt: `[D, K]`, V, 0 outside the head.
    optimiser: moments of Adam for V.
    directions: `[D, K]`, P before its scale, 0 outside the head.
    signs: `[rows, K]` beside the buffered events, of length 1 a row; None unless `perturb`.
    step_size, prior_scale, perturb: `[]`.
    """

    estimate: MapState
    learnt: Array
    optimiser: Any
    directions: Array
    signs: Array | None
    step_size: Array
    prior_scale: Array
    perturb: Array


def build(model: Model, config: Epinet) -> Posterior:
    """Build a posterior that climbs the log posterior and the shifts of each index.

    model: a model with fixed continuous unknowns and a proper prior.
    config: the options.

    Raises: UsageError if the model does not fit or an option is out of range.
    """
    unknowns = require_fixed_continuous("epinet", model)
    require_proper_prior("epinet", model, "hmc")
    for name in ("width", "pairs"):
        if getattr(config, name) < 1:
            raise UsageError(
                f"posterior epinet: {name}={getattr(config, name)}: must be at least 1"
            )
    perturbs, full = config.perturb > 0, config.full
    if perturbs and full == "auto":
        full = "forget" if jax.tree.leaves(model.init_stats()) else "reservoir"
    if perturbs and full == "fold":
        raise UsageError(
            "posterior epinet: full=fold forgets how events pull: use forget or reservoir, or "
            "perturb=0"
        )
    width, pairs = config.width, config.pairs
    store = ReplayBuffer(model, config.capacity, full)
    likelihood = BufferLikelihood(store, config.batch)
    estimator, adam = MapEstimator(unknowns, likelihood, config.jitter), scaled_adam(unknowns)
    spread = jnp.asarray(unknowns.gaussian()[1], unknowns.dtype)[:, None]
    shifted = np.zeros((unknowns.size, 1))
    for name in model.head:
        shifted[unknowns.span(name)] = 1
    head = jnp.asarray(shifted if model.head else np.ones_like(shifted), unknowns.dtype)

    def init(key: Array) -> State:
        start_key, direction_key = jax.random.split(key)
        estimate = estimator.init(start_key)
        learnt = jnp.zeros((unknowns.size, width), unknowns.dtype)
        noise = jax.random.normal(direction_key, learnt.shape, unknowns.dtype)
        signs = jnp.zeros((estimate.buffer.events.weight.shape[0], width), unknowns.dtype)
        scalars = config.step_size, config.prior_scale, config.perturb
        return State(
            estimate,
            learnt,
            adam.init(learnt),
            head * spread * noise / np.sqrt(width),
            signs if perturbs else None,
            *(jnp.asarray(x, unknowns.dtype) for x in scalars),
        )

    def absorb_one(state: State, item: tuple[Array, Event]) -> tuple[State, None]:
        slot_key, sign_key = jax.random.split(item[0])
        estimate, signs = state.estimate, state.signs
        placement = slot, stored, _ = store.find_slot(slot_key, estimate.buffer, item[1])
        buffer = store.write(estimate.buffer, item[1], estimate.params, *placement)
        if signs is not None:
            new = jax.random.rademacher(sign_key, (width,), signs.dtype) / np.sqrt(width)
            signs = signs.at[slot].set(jnp.where(stored, new, signs[slot]))
        return state._replace(estimate=estimate._replace(buffer=buffer), signs=signs), None

    def absorb(key: Array, state: State, events: Event) -> State:
        keys = jax.random.split(key, events.weight.shape[0])
        return jax.lax.scan(absorb_one, state, (keys, events))[0]

    def shift(state: State, index: Array) -> Array:
        """Shift `[D, n]` of the unknowns for each index `[n, K]`."""
        return (state.learnt + state.prior_scale * state.directions) @ index.T

    def refine(key: Array, state: State) -> tuple[State, Info]:
        index_key, batch_key = jax.random.split(key)
        half = jax.random.normal(index_key, (pairs, width), state.learnt.dtype)
        index = jnp.concatenate([half, -half])
        estimate, alone = state.estimate, state.estimate.params[:, None]
        columns, shares = [alone, alone + shift(state, index)], None
        if state.signs is not None:
            columns.append(jnp.repeat(alone, width, axis=1))
            once = jnp.ones((state.signs.shape[0], 1 + 2 * pairs), state.signs.dtype)
            shares = jnp.concatenate([once, 1 + state.signs], axis=1)
        particles = jnp.concatenate(columns, axis=1)
        value, gradient = likelihood.estimate_gradient(
            batch_key, estimate.buffer, particles, shares
        )
        pull = gradient[:, 1 : 1 + 2 * pairs] @ index / (2 * pairs)
        if state.signs is not None:
            pull += state.perturb * (gradient[:, 1 + 2 * pairs :] - gradient[:, :1])
        pull = head * (pull - state.learnt / jnp.square(spread))
        after = adam.step(state.learnt, pull, state.optimiser, state.step_size)
        estimate, info = estimator.apply_gradient(
            estimate, value[0], gradient[:, 0], state.step_size, particles.shape[1]
        )
        healthy = jnp.all(jnp.isfinite(after[0]))
        learnt, optimiser = jax.tree.map(
            lambda new, old: jnp.where(healthy, new, old), after, (state.learnt, state.optimiser)
        )
        state = state._replace(estimate=estimate, learnt=learnt, optimiser=optimiser)
        return state, info._replace(healthy=info.healthy & healthy)

    def belief(key: Array, state: State, now: Array) -> Belief:
        index = jax.random.normal(key, (config.particles, width), state.learnt.dtype)
        return uniform_draws((state.estimate.params[:, None] + shift(state, index)).T)

    return Posterior(init, absorb, refine, belief, estimate_fade(store))
