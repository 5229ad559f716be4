"""dropout against what it is known to be: a point estimate at rate 0, ridge regression on average.

See also: tests/posteriors/test_contract.py for the contract.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from fitting import events_of, fit, values_of
from support import Z, simulate
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.registry import build_model, build_posterior

MLP = build_model("mlp:hidden=(3,)")


@dataclass(frozen=True)
class Inputs(Linear):
    """Linear regression of which each weight leaves its own input."""

    arms: int = 0
    features: int = 3
    short: bool = False

    def units(self) -> np.ndarray:
        return np.arange(self.features - self.short)


def test_at_rate_zero_it_is_the_point_estimate() -> None:
    events = simulate(MLP, 20)
    point = build_posterior("point:jitter=1", MLP)
    expected = values_of(point, fit(point, events, [], 50))
    for rate, same in ((0.0, True), (0.3, False)):
        dropout = build_posterior(f"dropout:rate={rate}:particles=4", MLP)
        found = values_of(dropout, fit(dropout, events, [], 50))
        # The same arithmetic; other masks multiply by ones.
        assert np.allclose(found, expected, rtol=1e-4, atol=1e-5) == same


def test_draws_silence_whole_units_at_the_rate() -> None:
    rate, count = 0.3, 4000
    dropout = build_posterior(f"dropout:rate={rate}:particles={count}", MLP)
    state = fit(dropout, simulate(MLP, 5), [], 5)
    values, guess = values_of(dropout, state), np.asarray(state.estimate.params, float)
    units = MLP.units()
    factors = values / guess
    assert np.allclose(factors[:, units < 0], 1, rtol=1e-6)
    for unit in range(3):
        of_unit = factors[:, units == unit]
        assert np.allclose(of_unit, of_unit[:, :1], rtol=1e-5), "a unit is silenced in part"
        assert np.allclose(np.unique(of_unit.round(4)), [0, (1 / (1 - rate)).__round__(4)])
        silenced = (of_unit[:, 0] == 0).mean()
        error = np.sqrt(rate * (1 - rate) / count)
        assert abs(silenced - rate) < Z * error
        # Negative control: another rate is told apart.
        assert abs(silenced - 0.2) > Z * error


def test_on_average_it_climbs_ridge_regression() -> None:
    """Dropout of inputs is ridge regression with `p / (1 - p) diag(X'X)` (Wager et al. 2013)."""
    rate, noise, n = 0.4, 0.5, 40
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 3)) @ np.array([[1, 0.8, 0], [0, 1, 0.5], [0, 0, 1]])
    y = x @ np.array([1.0, -1.0, 0.5]) + noise * rng.normal(size=n)
    gram = x.T @ x / noise**2

    def ridge(rate: float) -> np.ndarray:
        penalty = rate / (1 - rate) * np.diag(np.diag(gram))
        return np.linalg.solve(gram + penalty + np.eye(3), x.T @ y / noise**2)

    dropout = build_posterior(f"dropout:rate={rate}:particles=1", Inputs(noise=noise))
    sizes = [0.1, 0.01, 0.001, 0.0002]
    state = fit(dropout, events_of(x, y), sizes, 4000)
    found = np.asarray(state.estimate.params, float)
    # The last climb wanders by a few of its own steps of 2e-4, with Adam's memory of 1000 steps.
    assert np.abs(found - ridge(rate)).max() < 0.01
    # Negative control: without the penalty, the solution is elsewhere.
    assert np.abs(found - ridge(0.0)).max() > 0.05


@pytest.mark.parametrize(
    ("text", "model", "words"),
    [
        ("dropout", build_model("linear"), ("posterior dropout", "Linear", "mlp")),
        ("dropout:rate=1", MLP, ("rate=1.0", "[0, 1)")),
        ("dropout", Inputs(short=True), ("Inputs", "(2,)", "(3,)")),
    ],
)
def test_what_it_refuses(text, model, words) -> None:
    with pytest.raises(UsageError) as refused:
        build_posterior(text, model)
    for word in words:
        assert word in str(refused.value)
