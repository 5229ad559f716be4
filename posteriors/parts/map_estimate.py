"""Maximum a posteriori estimation by Adam on the buffered events.

Shared by point, dropout, swag, epinet, bonus, last-layer and subspace-ekf.

See also: buffer_likelihood.py for the log likelihood, optimiser.py for Adam.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Event, Info, Options, Span
from .buffer_likelihood import BufferLikelihood
from .optimiser import ScaledAdam, scaled_adam
from .replay_buffer import Buffer
from .unknowns import Unknowns


@dataclass(frozen=True)
class MapOptions(Options):
    """Options of every method that climbs one estimate.

    step_size: of Adam, in prior standard deviations.
    capacity: events in the replay buffer.
    full: policy of a full buffer (replay_buffer.py).
    batch: events behind a step, 0 for all.
    jitter: distance of the start from the prior mean, in prior standard deviations; a model with
        exchangeable parts has a saddle at the mean itself.
    """

    refine: ClassVar[int] = 5
    search: ClassVar[Any] = {"step_size": Span(1e-3, 1.0)}

    step_size: float = 0.1
    capacity: int = 512
    full: str = "auto"
    batch: int = 0
    jitter: float = 0.1


class MapState(NamedTuple):
    """An estimate and the events that it climbs.

    params: `[D]`, unconstrained.
    optimiser: moments of Adam.
    buffer: the events.
    """

    params: Array
    optimiser: Any
    buffer: Buffer


@dataclass(frozen=True, eq=False)
class MapEstimator:
    """Pure functions over a `MapState`.

    unknowns: the model's coordinates.
    likelihood: of the buffered events.
    jitter: as in `MapOptions`.
    """

    unknowns: Unknowns
    likelihood: BufferLikelihood
    jitter: float
    _adam: ScaledAdam = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Build the optimiser outside any trace."""
        object.__setattr__(self, "_adam", scaled_adam(self.unknowns))

    def init(self, key: Array) -> MapState:
        """Start near the prior mean.

        key: for the jitter.
        """
        dtype = self.unknowns.dtype
        mean, sd = (jnp.asarray(x, dtype) for x in self.unknowns.gaussian())
        params = mean + self.jitter * sd * jax.random.normal(key, mean.shape)
        return MapState(params, self._adam.init(params), self.likelihood.store.empty())

    def observe(self, key: Array, state: MapState, events: Event) -> MapState:
        """Write a block of events to the buffer.

        key: for the buffer.
        state: before the events.
        events: a block `[N, ...]`.
        """
        store = self.likelihood.store
        return state._replace(buffer=store.extend(key, state.buffer, events, state.params))

    def step(self, key: Array, state: MapState, step_size: Array) -> tuple[MapState, Info]:
        """Take one Adam step on the log posterior.

        key: for the minibatch.
        state: before the step.
        step_size: `[]`, in prior standard deviations.

        Returns: the new state and its `Info`; see `apply_gradient`.
        """
        value, gradient = self.likelihood.estimate_gradient(
            key, state.buffer, state.params[:, None]
        )
        return self.apply_gradient(state, value[0], gradient[:, 0], step_size)

    def apply_gradient(
        self, state: MapState, value: Array, gradient: Array, step_size: Array, sweeps: int = 1
    ) -> tuple[MapState, Info]:
        """Take one Adam step, given the log likelihood; the prior is added here.

        state: before the step.
        value: `[]`, log likelihood at `state.params`.
        gradient: `[D]`, of that.
        step_size: `[]`, in prior standard deviations.
        sweeps: sweeps over the events that the gradient took.

        Returns: the new state and its `Info`. A step that is not finite is not taken, and
        `healthy` is False.
        """
        prior, prior_grad = jax.value_and_grad(self.unknowns.log_prior)(state.params)
        after = self._adam.step(state.params, gradient + prior_grad, state.optimiser, step_size)
        healthy = jnp.all(jnp.isfinite(after[0]))
        params, optimiser = jax.tree.map(
            lambda new, old: jnp.where(healthy, new, old), after, (state.params, state.optimiser)
        )
        work = sweeps * self.likelihood.evaluations(state.buffer).astype(params.dtype)
        info = Info(work, healthy, {"log_posterior": value + prior})
        return MapState(params, optimiser, state.buffer), info
