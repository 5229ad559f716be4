"""Moments of a static target's quantities, and the rule by which two sets of them agree.

The rule: for every quantity, the mean and the mean square about the reference mean differ from the
reference by less than a quantile of Student's t times the error of both sides. The quantile is such
that all of them together raise a false alarm once in `1 / FALSE_ALARM` comparisons, and the errors
must be small, or nothing would ever be off. Not here: where moments come from.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import stdtrit

from ....posteriors.base import Array
from ....posteriors.parts.unknowns import unknowns_of
from ....posteriors.targets.base import Target
from ....streams.formats.posteriordb import ReferenceMoments

FALSE_ALARM = 1e-4
"""Of one posterior on one target, over all its quantities, mean and spread."""
NOISE = 0.1
"""Largest standard error of a mean or standard deviation, in reference ones, that may pass."""


class Moments(NamedTuple):
    """mean, sd `[Q]`; standard errors of the mean and of the variance `[Q]`; names of the Q."""

    mean: np.ndarray
    sd: np.ndarray
    mean_error: np.ndarray
    variance_error: np.ndarray
    quantity_labels: tuple[str, ...]


class MomentVerdict(NamedTuple):
    """worst, median: |difference of means| in reference standard deviations, over quantities.

    label: the worst one's. sd_ratio: the one furthest from 1. noise: the largest standard error
    of a mean or standard deviation, in reference standard deviations. z: the largest difference of
    mean or mean square in standard errors of both sides; limit: what it must stay below. passed:
    it does, with little enough noise, and everything is finite.
    """

    worst: float
    median: float
    label: str
    sd_ratio: float
    noise: float
    z: float
    limit: float
    passed: bool


def quantity_shapes(target: Target) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a target's quantities, in the order of the names."""
    unknowns = unknowns_of(target)
    start = jax.ShapeDtypeStruct((unknowns.size,), unknowns.dtype)
    made = jax.eval_shape(lambda u: dict(target.quantities(unknowns.constrain(u))), start)
    # JAX sorts what is in a dictionary; so does this, whatever JAX does.
    return {name: tuple(made[name].shape) for name in sorted(made)}


def quantity_labels(target: Target) -> tuple[str, ...]:
    """A name for every number: `beta[2]`, counted from 1 as in the collections."""
    found = []
    for name, shape in quantity_shapes(target).items():
        for place in np.ndindex(shape):
            inside = ",".join(str(i + 1) for i in place)
            found.append(f"{name}[{inside}]" if inside else name)
    return tuple(found)


def quantity_values(target: Target, u: Array) -> Array:
    """The quantities `[Q]` of `u [D]`, in the order of the labels."""
    made = target.quantities(unknowns_of(target).constrain(u))
    return jnp.concatenate([jnp.ravel(made[name]) for name in sorted(made)])


def compute_moments(values: Any, names: tuple[str, ...], size: Any = None) -> Moments:
    """Moments of draws `[n, Q]`, with the errors of `size` (n unless given) independent ones."""
    values = np.asarray(values, float)
    n = np.asarray(len(values) if size is None else size, float)
    mean, sd = values.mean(0), values.std(0)
    square = np.square(values - mean)
    return Moments(mean, sd, sd / np.sqrt(n), square.std(0) / np.sqrt(n), names)


def published_moments(truth: ReferenceMoments, names: tuple[str, ...]) -> Moments:
    """Reference moments that come without draws.

    The error of the variance is not told: it is taken as of as many draws as the mean's error says
    and a kurtosis of 5.
    """
    flat = [np.concatenate([np.ravel(part[name]) for name in sorted(part)]) for part in truth]
    mean, error, sd = (np.asarray(x, float) for x in flat)
    return Moments(mean, sd, error, 2 * sd * error, names)


def compare_moments(reference: Moments, first: Any, second: Any) -> MomentVerdict:
    """How moments of independent runs agree with the reference.

    first, second `[R, Q]`: each run's mean, and mean square about the reference mean; R > 1.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    runs, count = first.shape
    known = reference.sd > 0  # a quantity that cannot vary has nothing to be compared by
    gap = first.mean(0) - reference.mean
    spread = second.mean(0) - np.square(reference.sd)
    own, own_square = (x.std(0, ddof=1) / np.sqrt(runs) for x in (first, second))
    with np.errstate(all="ignore"):
        z = np.concatenate([
            np.abs(gap) / np.hypot(own, reference.mean_error),
            np.abs(spread) / np.hypot(own_square, reference.variance_error),
        ])  # fmt: skip
        off = np.abs(gap) / reference.sd
        ratio = np.sqrt(np.maximum(second.mean(0) - np.square(gap), 0.0)) / reference.sd
        apart = np.abs(np.log(ratio))
    finite = bool(np.isfinite(first).all() and np.isfinite(second).all())
    off, apart = np.where(known, off, 0.0), np.where(known, apart, 0.0)
    z = np.where(np.tile(known, 2), z, 0.0)
    limit = float(stdtrit(runs - 1, 1 - FALSE_ALARM / (4 * count)))
    scale = np.where(known, reference.sd, 1.0)
    # A standard deviation changes by half of what its square does.
    rough = np.maximum(own / scale, own_square / (2 * np.square(scale)))
    noise = float(np.max(np.where(known, rough, 0.0)))
    return MomentVerdict(
        float(off.max()),
        float(np.median(off[known])),
        reference.labels[int(np.argmax(off))],
        float(ratio[int(np.argmax(apart))]),
        noise,
        float(z.max()),
        limit,
        finite and noise <= NOISE and bool(z.max() < limit),
    )
