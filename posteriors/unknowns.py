"""A model's unknowns as one flat vector in unconstrained coordinates.

The change-of-variables term is counted here and nowhere else. Not here: likelihoods.
"""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import ExpandedDistribution, Independent, Normal, biject_to

from .base import Array, Distribution, Draws, Model, Params, UsageError
from .outcomes import is_discrete, log_prob

MOMENT_DRAWS = 4096
"""Prior draws behind the moments of a non-normal prior."""


class Unknowns:
    """Flat coordinates `u [D]` of a model's unknowns.

    discrete: every unknown is an integer (then `u` is int32 and there is no transformation).
    latent: `[D]` numpy bool, which coordinates move.
    """

    def __init__(self, model: Model) -> None:
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

    def _blocks(self, model: Model) -> np.ndarray:
        groups = model.blocks or tuple(
            tuple(range(s.start, s.stop)) for s, _ in self._parts.values()
        )
        masks = np.zeros((len(groups), self.size), bool)
        for row, group in zip(masks, groups, strict=True):
            row[list(group)] = True
        return masks

    def span(self, name: str) -> slice:
        """The coordinates of one named unknown."""
        return self._parts[name][0]

    def constrain(self, u: Array) -> Params:
        """`u [D]` -> the unknowns by name, on their own supports."""
        params = {}
        for name, (span, shape) in self._parts.items():
            part = u[span].reshape(shape)
            params[name] = part if self.discrete else biject_to(self.prior[name].support)(part)
        return params

    def flatten(self, params: Params) -> Array:
        """The unknowns by name -> `u [D]`."""
        parts = []
        for name, d in self.prior.items():
            value = jnp.asarray(params[name])
            if not self.discrete:
                value = biject_to(d.support).inv(value)
            parts.append(jnp.ravel(value).astype(self.dtype))
        return jnp.concatenate(parts)

    def log_prior(self, u: Array) -> Array:
        """Log prior density `[]` of `u [D]` in the unconstrained coordinates."""
        total = jnp.zeros(())
        for name, (span, shape) in self._parts.items():
            part, d = u[span].reshape(shape), self.prior[name]
            if self.discrete:
                total += jnp.sum(d.log_prob(part))
                continue
            transform = biject_to(d.support)
            value = transform(part)
            total += jnp.sum(d.log_prob(value))
            total += jnp.sum(transform.log_abs_det_jacobian(part, value))
        return total

    def sample(self, key: Array, n: int) -> Array:
        """`[n, D]` independent prior draws."""
        keys = jax.random.split(key, n)

        def one(key: Array) -> Array:
            names = zip(jax.random.split(key, len(self.prior)), self.prior.items(), strict=True)
            return self.flatten({name: jnp.asarray(d.sample(k)) for k, (name, d) in names})

        return jax.vmap(one)(keys)

    def gaussian(self) -> tuple[np.ndarray, np.ndarray]:
        """Prior mean and standard deviation `[D]` of `u`.

        Closed form for normal priors; otherwise from prior draws of a fixed key.
        """
        if self._moments is not None:
            return self._moments
        draws = None
        mean, sd = np.zeros(self.size), np.ones(self.size)
        for name, (span, _) in self._parts.items():
            d = self.prior[name]
            if is_normal(d):
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
        return all(is_normal(d) for d in self.prior.values())

    def enumerate(self, limit: int) -> tuple[np.ndarray, np.ndarray] | None:
        """All values `[H, D]` and prior log probabilities `[H]`, or None if infinite or > limit."""
        if not self.discrete:
            return None
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


def is_normal(d: Distribution) -> bool:
    """Whether a distribution is Normal, possibly expanded or grouped into events."""
    # Only these two: a log-normal and a truncated normal have a normal base as well.
    while isinstance(d, ExpandedDistribution | Independent):
        d = d.base_dist
    return isinstance(d, Normal)


@lru_cache(maxsize=256)
def unknowns_of(model: Model) -> Unknowns:
    """The coordinates of a model, made once (outside any trace, so that no tracer is kept)."""
    with jax.ensure_compile_time_eval():
        return Unknowns(model)


def fixed_continuous(posterior: str, model: Model) -> Unknowns:
    """The coordinates of a model whose unknowns are continuous and stand still, else a refusal."""
    unknowns = unknowns_of(model)
    if unknowns.discrete or model.latent:
        what = "discrete" if unknowns.discrete else "moving"
        raise UsageError(
            f"posterior {posterior} needs fixed continuous unknowns; those of "
            f"{type(model).__name__} are {what}: use smc or exact"
        )
    return unknowns


def likelihood(model: Model, u: Array, stats: object, action: Array, observation: Array) -> Array:
    """Log likelihood `[]` of one observation under flat coordinates `u [D]`."""
    params = unknowns_of(model).constrain(u)
    return log_prob(model.predict(params, stats, action), observation)


def normalise(log_weights: Array) -> Array:
    """Log weights shifted so that their exponentials sum to 1."""
    return log_weights - jax.nn.logsumexp(log_weights)


def systematic(key: Array, log_weights: Array, count: int | None = None) -> Array:
    """Which of S draws to keep, `[count]` int32 (S unless given), by systematic resampling.

    One uniform, no sorting; each is kept as often as its weight says, up to less than one. Source:
    Kitagawa (1996).
    """
    size = log_weights.shape[0]
    wanted = size if count is None else count
    edges = jnp.cumsum(jnp.exp(log_weights))
    points = (jnp.arange(wanted) + jax.random.uniform(key)) / wanted
    # Rounding may leave the last edge below 1.
    return jnp.minimum(jnp.searchsorted(edges, points * edges[-1]), size - 1)


def uniform_draws(values: Array) -> Draws:
    """Equally weighted `values [S, D]`."""
    count = values.shape[0]
    return Draws(values, jnp.full(count, -np.log(count), jnp.result_type(float)))
