"""The rule of agreement and Stein's identities, each with what they must refuse."""

from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from uncertain.decide.judge.parity.moments import (
    NOISE,
    Moments,
    compare_moments,
    compute_moments,
    quantity_labels,
)
from uncertain.decide.judge.parity.problems import load_problem, load_target
from uncertain.decide.judge.parity.stein import stein_errors, unconstrained_draws
from uncertain.posteriors import Data, Target, UsageError, dist
from uncertain.streams.formats.posteriordb import find_posteriors

NAMES = ("a", "b", "c")


def runs(shift: float = 0.0, scale: float = 1.0, size: int = 800, seed: int = 1):
    """Means and mean squares `[16, 3]` of 16 runs of `size` draws."""
    draws = shift + scale * np.random.default_rng(seed).normal(size=(16, size, 3))
    return draws.mean(1), np.square(draws).mean(1)


def exact() -> Moments:
    return Moments(np.zeros(3), np.ones(3), np.full(3, 1e-6), np.full(3, 1e-6), NAMES)


def test_the_right_posterior_agrees_and_wrong_ones_do_not() -> None:
    # One error of a mean is 1 / sqrt(12 800) = .0088 sd: the shift is 11 of them.
    assert compare_moments(exact(), *runs()).passed
    shifted = compare_moments(exact(), *runs(shift=0.1))
    assert not shifted.passed
    assert shifted.worst == pytest.approx(0.1, abs=4.4 * 0.0088)
    halved = compare_moments(exact(), *runs(scale=np.sqrt(0.5)))
    assert not halved.passed
    assert halved.sd_ratio == pytest.approx(np.sqrt(0.5), abs=0.05)


def test_false_alarms_are_as_rare_as_promised() -> None:
    # 1 000 comparisons at 1e-4 each: three alarms or more come about once in 6 000 times.
    found = [compare_moments(exact(), *runs(size=100, seed=i)) for i in range(1000)]
    assert sum(v.z >= v.limit for v in found) <= 2
    # And the quantile is no larger than it need be: a normal one would be crossed more often.
    assert sum(v.z >= 3.5 for v in found) >= 1
    assert 4.4 < found[0].limit < 7.5


def test_too_much_noise_never_passes() -> None:
    rough = compare_moments(exact(), *runs(size=2))
    assert rough.noise > NOISE
    assert not rough.passed
    first, second = runs()
    first[3, 1] = np.nan
    assert not compare_moments(exact(), first, second).passed


def test_runs_that_left_have_diverged_and_rough_ones_have_not() -> None:
    assert compare_moments(exact(), *runs()).diverged == 0
    # Of two draws a mean is hardly ever three standard deviations off (4.2 errors, once in 10^4).
    assert compare_moments(exact(), *runs(size=2)).diverged < 0.1
    first, second = runs()
    first[:12] = 2e8 * np.random.default_rng(3).normal(size=(12, 3))
    second[:12] = np.square(first[:12])
    far = compare_moments(exact(), first, second)
    # Their own error is as large as they are off: by that alone they would only be noisy.
    assert far.z < far.limit
    assert far.diverged == 0.75
    assert not far.passed
    first[13, 2] = np.inf
    assert compare_moments(exact(), first, second).diverged == 13 / 16


def test_errors_of_a_reference_count() -> None:
    draws = np.random.default_rng(0).normal(size=(50, 3))
    few = compute_moments(draws, NAMES)
    np.testing.assert_allclose(few.mean_error, draws.std(0) / np.sqrt(50))
    first, second = runs()
    around = second - 2 * few.mean * first + np.square(few.mean)
    # 50 draws are off by a seventh of a standard deviation, which their own error allows for.
    assert compare_moments(few, first, around).passed
    assert not compare_moments(few._replace(mean_error=np.full(3, 1e-6)), first, around).passed


@dataclass(frozen=True)
class Level(Target):
    """y ~ Normal(mu, sigma); wrong: with a prior on sigma that the draws did not have."""

    data: Data
    wrong: float = 0.0

    def prior(self):
        return {"mu": dist.Normal(0.0, 10.0), "sigma": dist.HalfNormal(2.0)}

    def log_likelihood(self, params):
        logs = dist.Normal(params["mu"], params["sigma"]).log_prob(jnp.asarray(self.data["y"]))
        return jnp.sum(logs) + self.wrong * jnp.log(params["sigma"])


def grid_draws(target: Level, n: int, seed: int) -> dict[str, np.ndarray]:
    """Draws of mu and sigma from a fine grid, spread within its cells."""
    rng, y = np.random.default_rng(seed), target.data["y"]
    mu, sigma = np.linspace(-2, 6, 801), np.linspace(0.2, 6, 801)
    m, s = np.meshgrid(mu, sigma, indexing="ij")
    logs = -0.5 * (m / 10) ** 2 - 0.5 * (s / 2) ** 2
    logs = logs - len(y) * np.log(s) - sum((v - m) ** 2 for v in y) / (2 * s**2)
    shares = np.exp(logs - logs.max()).ravel()
    picked = rng.choice(len(shares), n, p=shares / shares.sum())
    jitter = rng.uniform(-0.5, 0.5, (2, n))
    return {
        "mu": m.ravel()[picked] + jitter[0] * (mu[1] - mu[0]),
        "sigma": s.ravel()[picked] + jitter[1] * (sigma[1] - sigma[0]),
    }


def test_steins_identities_hold_for_the_right_density_alone() -> None:
    target = Level(Data({"y": np.asarray([1.0, 2.5, 1.7, 3.0, 0.4, 2.2])}))
    draws = grid_draws(target, 2000, 0)
    found = stein_errors(target, unconstrained_draws(target, draws))
    assert found.holds
    assert found.gradient.shape == (2,)
    wrong = Level(target.data, 1.5)
    assert stein_errors(wrong, unconstrained_draws(wrong, draws)).worst > 10
    narrow = {"mu": draws["mu"].mean() + 0.7 * (draws["mu"] - draws["mu"].mean())}
    assert not stein_errors(target, unconstrained_draws(target, draws | narrow)).holds
    with pytest.raises(UsageError, match="draws of 'sigma' are missing"):
        unconstrained_draws(target, {"mu": draws["mu"]})


def test_a_target_of_the_collection_is_that_of_its_draws(data: Path, double: None) -> None:
    source = find_posteriors(data / "posteriordb")["kidiq-kidscore_momiq"]
    subject = load_problem(source, load_target(source, None, None))
    assert subject.stein is not None
    assert subject.stein < 4.4
    assert subject.reference is not None
    assert quantity_labels(subject.target) == ("beta[1]", "beta[2]", "sigma")
    # summary.csv says 25.91653157 and 5.968602923.
    assert subject.reference.mean[0] == pytest.approx(25.91653157)
    assert subject.reference.sd[0] == pytest.approx(5.968602923, rel=1e-3)
