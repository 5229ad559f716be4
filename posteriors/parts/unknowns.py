"""A model's unknowns as one flat vector; the change-of-variables term is counted here alone."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import (
    ImproperUniform,
    biject_to,
)

from ..base import Array, Distribution, Model, Params
from ..errors import UsageError
from ..spaces.base import has_ability, space_of
from ..targets.base import Start, Target, overrides
from .outcomes import base_distribution, is_discrete, is_normal, log_prob
from .vmap_last import vmap_last

MOMENT_DRAWS = 4096
"""Prior draws behind the moments of a non-normal prior."""


class Unknowns:
    """Flat coordinates `u [D]` of a model's unknowns.

    discrete: every unknown is an integer (then `u` is int32 and there is no transformation).
    space: the space of candidates that the unknowns are an object of; None for named numbers.
    latent: `[D]` numpy bool, which coordinates move.
    proper: the prior is that of the named distributions, and `sample` draws from it; only a static
        target's may be flat, have another factor, or start elsewhere.
    """

    def __init__(self, model: Model) -> None:
        """Read the prior of a model, refusing one that has no coordinates."""
        self.prior = model.prior()
        if not self.prior:
            raise UsageError(f"model {type(model).__name__} has no unknowns: nothing to learn")
        kinds = {is_discrete(d) for d in self.prior.values()}
        if len(kinds) > 1:
            raise UsageError(
                f"model {type(model).__name__} mixes discrete and continuous unknowns: "
                "make all of one kind"
            )
        self.discrete = kinds.pop()
        self.space = space_of(type(model).__name__, self.prior)
        self.dtype = jnp.int32 if self.discrete else jnp.result_type(float)
        self._parts: dict[str, tuple[slice, tuple[int, ...]]] = {}
        start = 0
        for name, d in self.prior.items():
            if d.batch_shape:
                raise UsageError(
                    f"model {type(model).__name__}: prior of {name!r} has batch shape "
                    f"{d.batch_shape}; end it with .to_event({len(d.batch_shape)})"
                )
            shape = d.event_shape
            if not self.discrete:
                shape = biject_to(d.support).inverse_shape(d.event_shape)
            size = int(np.prod(shape, dtype=int))
            self._parts[name] = (slice(start, start + size), tuple(shape))
            start += size
        self.size = start
        self.latent = np.zeros(start, bool)
        for name in model.latent:
            if name not in self._parts:
                raise UsageError(f"model {type(model).__name__}: latent {name!r} has no prior")
            self.latent[self._parts[name][0]] = True
        self.blocks = self._blocks(model)
        self._moments: tuple[np.ndarray, np.ndarray] | None = None
        self._factor = None
        if isinstance(model, Target) and overrides(model, "log_factor"):
            self._factor = model.log_factor
        self._starts = self._find_starts(model)
        self.proper = self._factor is None and not self._starts

    def _find_starts(self, model: Model) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Centre and width, in the shape of its coordinates, of unknowns with a stated start."""
        given: dict[str, Start] = dict(model.start()) if isinstance(model, Target) else {}
        name = type(model).__name__
        for unknown, d in self.prior.items():
            if isinstance(d, ImproperUniform) and unknown not in given:
                raise UsageError(
                    f"model {name}: the prior of {unknown!r} is flat, so that nobody can draw from "
                    "it: let a static target's start() say a centre and a width"
                )
        starts = {}
        for unknown, start in given.items():
            if unknown not in self._parts:
                raise UsageError(f"model {name}: start() names {unknown!r}, which has no prior")
            shape = self._parts[unknown][1]
            try:
                center, width = (np.broadcast_to(np.asarray(x, float), shape) for x in start)
            except ValueError as error:
                raise UsageError(
                    f"model {name}: start() of {unknown!r} does not fit its {shape} coordinates"
                ) from error
            starts[unknown] = center, width
        return starts

    def _blocks(self, model: Model) -> np.ndarray:
        """Masks `[M, D]` of the coordinates that a proposal may change alone."""
        groups = model.blocks or tuple(
            tuple(range(s.start, s.stop)) for s, _ in self._parts.values()
        )
        masks = np.zeros((len(groups), self.size), bool)
        for row, group in zip(masks, groups, strict=True):
            row[list(group)] = True
        return masks

    def span(self, name: str) -> slice:
        """Find the coordinates of one named unknown.

        name: of the unknown.

        Returns: a slice of `u`.
        """
        return self._parts[name][0]

    def constrain(self, u: Array) -> Params:
        """Map coordinates to the unknowns by name, on their own supports.

        u: `[D]`.
        """
        params = {}
        for name, (span, shape) in self._parts.items():
            part = u[span].reshape(shape)
            params[name] = part if self.discrete else biject_to(self.prior[name].support)(part)
        return params

    def flatten(self, params: Params) -> Array:
        """Map the unknowns by name to coordinates.

        params: by name.

        Returns: `[D]`.
        """
        parts = []
        for name, d in self.prior.items():
            value = jnp.asarray(params[name])
            if not self.discrete:
                value = biject_to(d.support).inv(value)
            parts.append(jnp.ravel(value).astype(self.dtype))
        return jnp.concatenate(parts)

    def log_prior(self, u: Array) -> Array:
        """Compute the log prior density `[]` in the unconstrained coordinates.

        u: `[D]`.
        """
        total, values = jnp.zeros(()), {}
        for name, (span, shape) in self._parts.items():
            part, d = u[span].reshape(shape), self.prior[name]
            if self.discrete:
                values[name] = part
                total += jnp.sum(d.log_prob(part))
                continue
            transform = biject_to(d.support)
            values[name] = value = transform(part)
            total += jnp.sum(d.log_prob(value))
            total += jnp.sum(transform.log_abs_det_jacobian(part, value))
        return total if self._factor is None else total + self._factor(values)

    def log_prior_and_grad(self, particles: Array) -> tuple[Array, Array]:
        """Compute the log prior of particles and its gradient.

        particles: `[D, S]`.

        Returns: values `[S]` and gradients `[D, S]`.
        """
        logs, pull = jax.vjp(lambda u: vmap_last(self.log_prior, u), particles)
        return logs, pull(jnp.ones_like(logs))[0]

    def add_log_prior(self, particles: Array, value: Array, gradient: Array) -> tuple[Array, Array]:
        """Turn a log likelihood and its gradient into those of the log posterior.

        particles: `[D, S]`.
        value: `[S]`.
        gradient: `[D, S]`.
        """
        logs, pull = jax.vjp(lambda u: vmap_last(self.log_prior, u), particles)
        return value + logs, gradient + pull(jnp.ones_like(logs))[0]

    def sample(self, key: Array, n: int) -> Array:
        """Draw from the prior; for unknowns with a stated start, from that.

        key: for the draws.
        n: number of draws.

        Returns: `[n, D]`, independent.
        """
        keys = jax.random.split(key, n)

        def part(key: Array, name: str, d: Distribution) -> Array:
            if name in self._starts:
                center, width = self._starts[name]
                noise = jax.random.normal(key, center.shape, self.dtype)
                return jnp.ravel(center + width * noise).astype(self.dtype)
            value = jnp.asarray(d.sample(key))
            if not self.discrete:
                value = biject_to(d.support).inv(value)
            return jnp.ravel(value).astype(self.dtype)

        def one(key: Array) -> Array:
            names = zip(jax.random.split(key, len(self.prior)), self.prior.items(), strict=True)
            return jnp.concatenate([part(k, name, d) for k, (name, d) in names])

        return jax.vmap(one)(keys)

    def gaussian(self) -> tuple[np.ndarray, np.ndarray]:
        """Compute the prior mean and standard deviation of `u`.

        Closed form for normal priors and stated starts; otherwise from draws of a fixed key.

        Returns: two arrays `[D]`.
        """
        if self._moments is not None:
            return self._moments
        draws = None
        mean, sd = np.zeros(self.size), np.ones(self.size)
        for name, (span, _) in self._parts.items():
            d = self.prior[name]
            if name in self._starts:
                mean[span], sd[span] = (np.ravel(x) for x in self._starts[name])
            elif is_normal(d):
                mean[span] = np.ravel(d.mean)
                sd[span] = np.sqrt(np.ravel(d.variance))
            else:
                if draws is None:
                    draws = np.asarray(self.sample(jax.random.key(0), MOMENT_DRAWS))
                mean[span] = draws[:, span].mean(0)
                sd[span] = draws[:, span].std(0)
        mean.flags.writeable = sd.flags.writeable = False
        self._moments = mean, sd
        return mean, sd

    @property
    def normal(self) -> bool:
        """Whether the prior is an independent normal on every coordinate."""
        return self.proper and all(is_normal(d) for d in self.prior.values())

    @property
    def separable(self) -> bool:
        """Whether the prior is a product over single numbers, so that its moments describe it."""
        bases = [base_distribution(d) for d in self.prior.values()]
        return self.proper and not any(d.event_shape for d in bases)

    def enumerate(self, limit: int) -> tuple[np.ndarray, np.ndarray] | None:
        """List all values of discrete unknowns.

        limit: most values.

        Returns: values `[H, D]` and prior log probabilities `[H]`, or None if infinite or too many.
        """
        if not self.discrete:
            return None
        if self.space is not None:
            return self.space.list_objects(limit) if has_ability(self.space, "listing") else None
        columns, total = [], 1
        for name, (span, _) in self._parts.items():
            d = self.prior[name]
            if not d.has_enumerate_support:
                return None
            base = np.ravel(np.asarray(d.enumerate_support(expand=False)))
            for _ in range(span.start, span.stop):
                columns.append(base)
                total *= len(base)
                if total > limit:
                    return None
        grid = np.stack(np.meshgrid(*columns, indexing="ij"), -1).reshape(-1, self.size)
        values = grid.astype(np.int32)
        return values, np.asarray(jax.vmap(self.log_prior)(jnp.asarray(values)))


@lru_cache(maxsize=256)
def unknowns_of(model: Model) -> Unknowns:
    """Return the coordinates of a model, made once per model.

    model: any model. They are made outside any trace, so that no tracer is cached.
    """
    with jax.ensure_compile_time_eval():
        return Unknowns(model)


def log_likelihood(
    model: Model, u: Array, stats: object, action: Array, observation: Array
) -> Array:
    """Compute the log likelihood `[]` of one observation.

    model: the model.
    u: `[D]`, flat coordinates.
    stats: the model's statistics before the event.
    action: `[action size]`.
    observation: of the outcome's shape.
    """
    params = unknowns_of(model).constrain(u)
    return log_prob(model.predict(params, stats, action), observation)
