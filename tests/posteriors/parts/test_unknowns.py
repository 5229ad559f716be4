"""Flat coordinates: round trips, and the change of variables counted once."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy import stats as scipy_stats
from toys import Coin, Positive, Scales
from uncertain.posteriors.base import Model, Vector, dist
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.parts.outcomes import is_normal
from uncertain.posteriors.parts.unknowns import Unknowns, unknowns_of
from uncertain.posteriors.registry import build_model


@dataclass(frozen=True)
class One(Model):
    """A model of one unknown, for its prior alone."""

    d: Any = field(hash=False, compare=False, default=None)
    actions = Vector(1)

    def prior(self) -> dict[str, Any]:
        return {"it": self.d}

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        return dist.Normal(params["it"], 1.0)


SUPPORTS = {
    "real": dist.Normal(0.5, 2.0),
    "positive": dist.HalfNormal(1.5),
    "positive, gamma": dist.Gamma(2.0, 1.5),
    "unit interval": dist.Beta(2.0, 3.0),
    "interval": dist.Uniform(-1.0, 4.0),
}


def mass(log_density) -> float:
    """Integral of a density over the real line by the trapezium rule."""
    grid = np.linspace(-40, 40, 20_001)
    logs = np.asarray(jax.jit(jax.vmap(log_density))(jnp.asarray(grid, jnp.float32)[:, None]))
    return float(integrate.trapezoid(np.exp(logs.astype(float)), grid))


@pytest.mark.parametrize("name", SUPPORTS)
def test_prior_density_integrates_to_one(name: str) -> None:
    unknowns = Unknowns(One(SUPPORTS[name]))
    # The rule is exact to 1e-9 at this step; what is left is float32's log density.
    assert abs(mass(unknowns.log_prior) - 1) < 1e-4
    if name != "real":
        # Negative control: without the Jacobian the mass is something else.
        def plain(u):
            return SUPPORTS[name].log_prob(unknowns.constrain(u)["it"])

        assert not abs(mass(plain) - 1) < 0.01


@given(
    mean=st.floats(-50, 50),
    spread=st.floats(1e-3, 50),
    rate=st.floats(1e-3, 1 - 1e-3),
)
@settings(max_examples=50, deadline=None)
def test_constrain_undoes_flatten(mean: float, spread: float, rate: float) -> None:
    unknowns = unknowns_of(Scales())
    given_ = {"mean": jnp.float32(mean), "spread": jnp.float32(spread), "rate": jnp.float32(rate)}
    back = unknowns.constrain(unknowns.flatten(given_))
    for name, value in given_.items():
        # float32 near the ends of the unit interval: e^7 units in the last place.
        np.testing.assert_allclose(back[name], value, rtol=1e-4)


def test_coordinates_have_names_in_order() -> None:
    unknowns = unknowns_of(build_model("location"))
    assert unknowns.size == 4
    values = jnp.arange(4.0)
    assert unknowns.constrain(values)["sources"].tolist() == [[0, 1], [2, 3]]
    assert unknowns.flatten(unknowns.constrain(values)).tolist() == [0, 1, 2, 3]
    assert unknowns.blocks.tolist() == [[True, True, False, False], [False, False, True, True]]
    scales = unknowns_of(Scales())
    assert [scales.span(name) for name in ("mean", "spread", "rate")] == [
        slice(0, 1),
        slice(1, 2),
        slice(2, 3),
    ]


def test_moments_of_the_prior() -> None:
    mean, sd = unknowns_of(build_model("discounting")).gaussian()
    assert (mean[0], sd[0]) == pytest.approx((-4.25, 1.5))
    # log of a half-normal of scale 2: mean log 2 - (gamma + log 2) / 2, variance pi^2 / 8.
    error = np.pi / np.sqrt(8) / np.sqrt(4096)
    assert abs(mean[1] - (np.log(2) - (np.euler_gamma + np.log(2)) / 2)) < 4.4 * error
    assert abs(sd[1] - np.pi / np.sqrt(8)) < 4.4 * 2 * error  # kurtosis 4: twice a normal's


def test_samples_follow_the_prior() -> None:
    """Kolmogorov-Smirnov at 1e-5; half the spread must fail it."""
    values = np.asarray(unknowns_of(Positive()).sample(jax.random.key(2), 4000))[:, 0]
    answer = scipy_stats.gamma(2.0, scale=1 / 1.5)
    assert scipy_stats.kstest(np.exp(values), answer.cdf).pvalue > 1e-5
    assert scipy_stats.kstest(np.exp(0.5 * values), answer.cdf).pvalue < 1e-5


def test_discrete_unknowns_keep_their_dtype_and_enumerate() -> None:
    unknowns = unknowns_of(build_model("finite:weights=(1.0,2.0,3.0,4.0)"))
    assert unknowns.discrete
    assert unknowns.sample(jax.random.key(0), 3).dtype == jnp.int32
    values, logs = unknowns.enumerate(10)
    assert values.tolist() == [[0], [1], [2], [3]]
    np.testing.assert_allclose(np.exp(logs), [0.1, 0.2, 0.3, 0.4], rtol=1e-5)
    assert unknowns.enumerate(3) is None
    assert unknowns_of(Coin()).enumerate(10) is None


@dataclass(frozen=True)
class Pair(One):
    """Two discrete unknowns, or one of each kind."""

    mixed: bool = False

    def prior(self) -> dict[str, Any]:
        second = dist.Normal(0.0, 1.0) if self.mixed else dist.BernoulliProbs(0.25)
        return {"it": dist.CategoricalProbs(jnp.asarray([0.5, 0.3, 0.2])), "too": second}


def test_enumeration_is_the_product() -> None:
    values, logs = unknowns_of(Pair()).enumerate(6)
    assert values.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]]
    expected = np.outer([0.5, 0.3, 0.2], [0.75, 0.25]).ravel()
    np.testing.assert_allclose(np.exp(logs), expected, rtol=1e-5)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="mixes discrete and continuous"):
        Unknowns(Pair(mixed=True))
    with pytest.raises(UsageError, match=r"end it with \.to_event\(1\)"):
        Unknowns(One(dist.Normal(jnp.zeros(2), 1.0)))


def test_is_normal() -> None:
    assert is_normal(dist.Normal(0.0, 1.0).expand((3,)).to_event(1))
    assert not is_normal(dist.LogNormal(0.0, 1.0))
    assert not is_normal(dist.TruncatedNormal(0.0, 1.0, low=0.0))
    assert not is_normal(
        dist.TransformedDistribution(
            dist.Normal(0.0, 1.0), dist.transforms.AffineTransform(1.0, 2.0)
        )
    )
