"""Moments of a static target's quantities, and the rule by which two sets of them agree.

The rule: for every quantity, the mean and the mean square about the reference mean differ from the
reference by less than a quantile of Student's t times the error of both sides. The quantile is such
that all of them together raise a false alarm once in `1 / FALSE_ALARM` comparisons. The errors must
be small, since large ones would let every difference pass.

See also: estimate.py for a backend's moments, problems.py for the reference's.
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
FAR = 3.0
"""A run whose mean is more reference standard deviations off has diverged: it is not noise, since
one posterior draw is as near in nine of ten cases of a bell curve, and a run has many."""


class Moments(NamedTuple):
    """Moments of Q quantities, `[Q]` each."""

    mean: np.ndarray
    sd: np.ndarray
    mean_error: np.ndarray
    """Standard error of the mean."""
    variance_error: np.ndarray
    """Standard error of the variance."""
    labels: tuple[str, ...]
    """Names of the quantities."""


class MomentVerdict(NamedTuple):
    """Agreement of moments with the reference, over all quantities."""

    worst: float
    """Largest |difference of means|, in reference standard deviations."""
    median: float
    """Median of the same."""
    label: str
    """Quantity with the largest one."""
    sd_ratio: float
    """Ratio of standard deviations that is furthest from 1."""
    noise: float
    """Largest standard error of a mean or standard deviation, in reference standard deviations."""
    z: float
    """Largest difference of mean or mean square, in standard errors of both sides."""
    limit: float
    """Bound that z must stay below."""
    passed: bool
    """Whether it does, noise is small enough, and everything is finite."""
    diverged: float
    """Share of runs that diverged: a mean far off, or a number that is not finite."""


def quantity_shapes(target: Target) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a target's quantities by name, in the order of the names.

    target: static.
    """
    unknowns = unknowns_of(target)
    start = jax.ShapeDtypeStruct((unknowns.size,), unknowns.dtype)
    made = jax.eval_shape(lambda u: dict(target.quantities(unknowns.constrain(u))), start)
    # JAX sorts dictionaries; sorted here too, not to depend on that.
    return {name: tuple(made[name].shape) for name in sorted(made)}


def quantity_labels(target: Target) -> tuple[str, ...]:
    """Return a name for every number, such as `beta[2]`, counted from 1 as in the collections.

    target: static.
    """
    found = []
    for name, shape in quantity_shapes(target).items():
        for place in np.ndindex(shape):
            inside = ",".join(str(i + 1) for i in place)
            found.append(f"{name}[{inside}]" if inside else name)
    return tuple(found)


def quantity_values(target: Target, u: Array) -> Array:
    """Compute the quantities of a point, in the order of their labels.

    target: static.
    u: unconstrained point `[D]`.
    Returns: `[Q]`.
    """
    made = target.quantities(unknowns_of(target).constrain(u))
    return jnp.concatenate([jnp.ravel(made[name]) for name in sorted(made)])


def compute_moments(values: Any, names: tuple[str, ...], size: Any = None) -> Moments:
    """Compute moments of draws.

    values: `[n, Q]`.
    names: labels of the Q quantities.
    size: number of independent draws that they are worth; None for n.
    """
    values = np.asarray(values, float)
    n = np.asarray(len(values) if size is None else size, float)
    mean, sd = values.mean(0), values.std(0)
    square = np.square(values - mean)
    return Moments(mean, sd, sd / np.sqrt(n), square.std(0) / np.sqrt(n), names)


def published_moments(truth: ReferenceMoments, names: tuple[str, ...]) -> Moments:
    """Convert reference moments that come without draws.

    The error of the variance is not published. It is derived from the number of draws that the
    error of the mean implies, and a kurtosis of 5.

    truth: published mean, error and standard deviation of each quantity.
    names: labels of the quantities.
    """
    flat = [np.concatenate([np.ravel(part[name]) for name in sorted(part)]) for part in truth]
    mean, error, sd = (np.asarray(x, float) for x in flat)
    return Moments(mean, sd, error, 2 * sd * error, names)


def compare_moments(reference: Moments, first: Any, second: Any) -> MomentVerdict:
    """Compare moments of R > 1 independent runs with the reference.

    reference: its moments.
    first: `[R, Q]`, mean of each run.
    second: `[R, Q]`, mean square of each run about the reference mean.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    with np.errstate(all="ignore"):
        return _compare(reference, first, second)


def _compare(reference: Moments, first: np.ndarray, second: np.ndarray) -> MomentVerdict:
    """The same, of arrays; runs that diverged may overflow."""
    runs, count = first.shape
    known = reference.sd > 0  # a quantity that cannot vary has nothing to be compared by
    gap = first.mean(0) - reference.mean
    spread = second.mean(0) - np.square(reference.sd)
    own, own_square = (x.std(0, ddof=1) / np.sqrt(runs) for x in (first, second))
    z = np.concatenate([
        np.abs(gap) / np.hypot(own, reference.mean_error),
        np.abs(spread) / np.hypot(own_square, reference.variance_error),
    ])  # fmt: skip
    off = np.abs(gap) / reference.sd
    ratio = np.sqrt(np.maximum(second.mean(0) - np.square(gap), 0.0)) / reference.sd
    apart = np.abs(np.log(ratio))
    finite = bool(np.isfinite(first).all() and np.isfinite(second).all())
    each = np.where(known, np.abs(first - reference.mean) / np.where(known, reference.sd, 1.0), 0.0)
    near = np.isfinite(first) & np.isfinite(second) & (each <= FAR)
    off, apart = np.where(known, off, 0.0), np.where(known, apart, 0.0)
    z = np.where(np.tile(known, 2), z, 0.0)
    limit = float(stdtrit(runs - 1, 1 - FALSE_ALARM / (4 * count)))
    scale = np.where(known, reference.sd, 1.0)
    # The relative change of a standard deviation is half that of its square.
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
        float(1 - near.all(1).mean()),
    )
