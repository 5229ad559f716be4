"""Static targets: flat priors, likelihoods as a whole, what is refused."""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import constraints
from support import compiled, dense
from uncertain.posteriors import Data, Target, UsageError, build_posterior, dist
from uncertain.posteriors.base import Event
from uncertain.posteriors.parts.unknowns import unknowns_of
from uncertain.posteriors.targets.base import check_target, target_events
from uncertain.posteriors.targets.registry import build_target, built_in, find_target

COV = np.asarray([[1.0, 0.6], [0.6, 0.5]], np.float32)
MEAN = np.asarray([3.0, -2.0], np.float32)


@dataclass(frozen=True)
class Whole(Target):
    """A correlated normal, all of it in the likelihood."""

    data: Data

    def prior(self):
        return {"x": dist.ImproperUniform(constraints.real, (), (2,))}

    def start(self):
        return {"x": ([1.0, 0.0], 2.0)}

    def log_likelihood(self, params):
        return dist.MultivariateNormal(jnp.asarray(MEAN), jnp.asarray(COV)).log_prob(params["x"])


@dataclass(frozen=True)
class Level(Target):
    """y ~ Normal(mu, sigma), both with flat priors; a row each."""

    data: Data

    def prior(self):
        return {
            "mu": dist.ImproperUniform(constraints.real, (), ()),
            "sigma": dist.ImproperUniform(constraints.positive, (), ()),
        }

    def start(self):
        return {"mu": (0.0, 1.0), "sigma": (0.0, 0.1)}

    def rows(self):
        return np.zeros((len(self.data["y"]), 1)), self.data["y"]

    def predict(self, params, stats, action):
        return dist.Normal(params["mu"], params["sigma"])


LEVEL = Level(Data({"y": [1.0, 2.0, 4.0]}))


def one_event(target: Target, row: int = 0, weight: float = 1.0) -> Event:
    actions, observations = target_events(target)
    return Event(
        jnp.asarray(actions[row : row + 1], jnp.float32),
        jnp.asarray(observations[row : row + 1], jnp.float32),
        jnp.zeros(1),
        jnp.zeros(1, jnp.int32),
        jnp.full(1, weight),
    )


def test_data_are_known_by_their_content() -> None:
    one, two = Data({"a": [1, 2], "b": 3.0}), Data({"b": 3.0, "a": [1, 2]})
    assert one == two
    assert hash(Whole(one)) == hash(Whole(two))
    assert one != Data({"a": [1, 3], "b": 3.0})
    assert one != Data({"a": [1.0, 2.0], "b": 3.0})
    with pytest.raises(UsageError, match='has no "c"'):
        one["c"]


def test_a_flat_prior_starts_where_it_is_told() -> None:
    unknowns = unknowns_of(Whole(Data({})))
    assert not unknowns.proper
    assert not unknowns.normal
    draws = np.asarray(unknowns.sample(jax.random.key(0), 4000))
    # 4.4 standard errors of a mean and of a standard deviation of 4 000 normal draws.
    np.testing.assert_allclose(draws.mean(0), [1.0, 0.0], atol=4.4 * 2 / np.sqrt(4000))
    np.testing.assert_allclose(draws.std(0), 2.0, atol=4.4 * 2 / np.sqrt(8000))
    assert float(unknowns.log_prior(jnp.asarray([5.0, 7.0]))) == 0
    # A flat sigma has the Jacobian of its logarithm, and nothing else.
    u = jnp.asarray([0.3, 1.7])
    assert float(unknowns_of(LEVEL).log_prior(u)) == pytest.approx(1.7)


def test_one_event_with_a_quadratic_likelihood_makes_laplace_exact() -> None:
    target = Whole(Data({}))
    posterior = compiled(build_posterior("laplace", target, {"full": "forget", "capacity": 1}))
    state = posterior.init(jax.random.key(0))
    state = jax.jit(posterior.absorb)(jax.random.key(1), state, one_event(target))
    refine = jax.jit(posterior.refine)
    for _ in range(3):
        state, info = refine(jax.random.key(2), state)
    assert bool(info.healthy)
    belief = posterior.belief(jax.random.key(3), state, jnp.zeros(()))
    np.testing.assert_allclose(belief.mean, MEAN, atol=1e-4)
    # Its start has no part in it: with 1 / width^2 in the precision this would be off by a tenth.
    np.testing.assert_allclose(dense(belief.covariance), COV, atol=1e-4)


def test_parts_of_an_event_make_a_whole() -> None:
    target = Whole(Data({}))
    options = {"full": "forget", "capacity": 2, "particles": 2}
    posterior = compiled(build_posterior("svgd", target, options))
    whole = posterior.absorb(
        jax.random.key(0), posterior.init(jax.random.key(0)), one_event(target)
    )
    parts = posterior.init(jax.random.key(0))
    for weight in (0.25, 0.75):
        parts = posterior.absorb(jax.random.key(0), parts, one_event(target, weight=weight))
    # The same slope moves the same particles to the same place.
    one, two = (posterior.refine(jax.random.key(1), s)[0].particles for s in (whole, parts))
    np.testing.assert_allclose(one, two, rtol=1e-5)


@pytest.mark.parametrize("name", ["bonus", "ensemble:perturb=false", "epinet", "subspace-ekf"])
def test_what_is_made_of_prior_draws_refuses_a_flat_prior(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"made of prior draws.*Level has a prior that is flat.*use"
    ):
        build_posterior(name, LEVEL)
    build_posterior("ensemble:perturb=false:anchor=false", LEVEL)


def test_a_target_says_either_rows_or_a_whole() -> None:
    @dataclass(frozen=True)
    class Both(Level):
        def log_likelihood(self, params):
            return params["mu"]

    @dataclass(frozen=True)
    class Half(Whole):
        def rows(self):
            return np.zeros((1, 1)), np.zeros(1)

    @dataclass(frozen=True)
    class Lost(Level):
        def start(self):
            return {"mu": (0.0, 1.0)}

    with pytest.raises(UsageError, match="either log_likelihood"):
        check_target("both", Both(LEVEL.data))
    with pytest.raises(UsageError, match="go together; predict"):
        check_target("half", Half(LEVEL.data))
    with pytest.raises(UsageError, match="prior of 'sigma' is flat"):
        build_target("lost", Lost, LEVEL.data)


def test_a_model_file_is_all_that_a_new_target_needs(tmp_path: Path) -> None:
    text = (
        "from dataclasses import dataclass\n"
        "from uncertain.posteriors import Data, Target, dist\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Target):\n"
        "    data: Data\n"
        "    def prior(self): return {'x': dist.Normal(0.0, 1.0)}\n"
        "    def log_likelihood(self, params): return -params['x'] ** 2\n"
    )
    (tmp_path / "my_data_my_model.py").write_text(text)
    made = find_target("my_data-my_model", "my_model", tmp_path)
    assert build_target("x", made, Data({})).whole
    (tmp_path / "two.py").write_text(text + text.replace("Mine", "Other"))
    with pytest.raises(UsageError, match="one subclass of Target; there are: Mine, Other"):
        find_target("two", "two", tmp_path)
    with pytest.raises(UsageError, match=r"write kidiq_other\.py or kidscore_momi\.py.*momiq"):
        find_target("kidiq-other", "kidscore_momi", tmp_path)
    assert len(built_in()) == 11
