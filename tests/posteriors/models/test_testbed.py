"""The testbed's networks: weights as its source draws them, labels as plain NumPy has them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from support import Z
from uncertain.posteriors.models import testbed
from uncertain.posteriors.parts.unknowns import unknowns_of


def test_weights_are_truncated_normal() -> None:
    z = np.linspace(-6, 6, 1001).astype(np.float32)
    found = np.asarray(testbed.truncated_weights(jnp.asarray(z)[:, None]), float)[:, 0]
    exact = stats.truncnorm(-2, 2)
    # Where float32 still tells the quantile from 1.
    inside = np.abs(z) < 3.5
    expected = exact.ppf(stats.norm.cdf(z.astype(float)))
    assert np.allclose(found[inside], expected[inside], atol=1e-4)
    assert np.all(np.abs(found) < 2 + 1e-5)
    assert np.all(np.diff(found) >= 0)
    # Negative control: the normal itself.
    assert np.abs(found - z).max() > 1


def test_scale_of_every_layer() -> None:
    model = testbed.Testbed(dimensions=4, hidden=(60, 40))
    unknowns = unknowns_of(model)
    assert unknowns.size == 4 * 60 + 60 * 40 + 40 * 2 + 60
    assert unknowns.normal
    params = jax.vmap(unknowns.constrain)(unknowns.sample(jax.random.key(0), 50))
    spread = stats.truncnorm(-2, 2).std()
    for name, inputs in (("layer0", 4), ("layer1", 60), ("layer2", 40)):
        weights = np.asarray(jax.vmap(testbed.truncated_weights)(params[name]), float)
        count = weights.size
        # A truncated normal has thin tails: a sample variance errs by less than sqrt(2 / n).
        assert abs(weights.var() * inputs / spread**2 - 1) < Z * np.sqrt(2 / count)
        assert abs(weights.var() * inputs - 1) > Z * np.sqrt(2 / count)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_labels_are_those_of_the_network(temperature: float) -> None:
    model = testbed.Testbed(dimensions=3, temperature=temperature, hidden=(5, 4))
    unknowns = unknowns_of(model)
    params = unknowns.constrain(unknowns.sample(jax.random.key(1), 1)[0])
    x = np.array([0.3, -1.2, 0.8])
    weights = [np.asarray(testbed.truncated_weights(params[f"layer{i}"]), float) for i in range(3)]
    hidden = np.maximum(weights[0] @ x + np.asarray(params["bias"], float) / np.sqrt(3), 0)
    hidden = np.maximum(weights[1] @ hidden, 0)
    logits = weights[2] @ hidden / temperature
    expected = np.exp(logits) / np.exp(logits).sum()
    outcome = model.predict(params, (), jnp.asarray(x, jnp.float32))
    found = np.exp([float(outcome.log_prob(y)) for y in (0, 1)])
    assert np.allclose(found, expected, rtol=1e-4)
    # Negative control: without the temperature they are another's.
    plain = np.exp(logits * temperature)
    assert not np.allclose(found, plain / plain.sum(), rtol=1e-2)
