"""Models of the studies of people against sums by hand: noisy-OR graphs and correlated arms.

See also: test_delays.py for clicks in continuous time.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from uncertain.decide.rules.information import belief_gain
from uncertain.posteriors.base import Event
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.noisy_or import (
    NoisyOr,
    acyclic_graphs,
    interventions,
    outcome_table,
    outcomes,
)
from uncertain.posteriors.models.surface import mixing_matrix
from uncertain.posteriors.registry import build_model, build_posterior

FLOAT32 = 2e-5
"""Rounding of a few float32 operations on numbers of order one."""
TWO = "noisy-or:nodes=2:spontaneous=0.1:power=0.8"


def belief_after(text: str, posterior: str, arms: list[int], seen: list[float]):
    """The model, and the belief after those events."""
    model = build_model(text)
    backend = build_posterior(posterior, model)
    key = jax.random.key(0)
    index = jnp.arange(len(arms), dtype=jnp.int32)
    action = jnp.asarray(arms, jnp.float32)[:, None]
    events = Event(action, jnp.asarray(seen), index * 1.0, index, jnp.ones(len(arms)))
    state = jax.jit(backend.absorb)(key, backend.init(key), events)
    return model, backend.belief(key, state, jnp.zeros(()))


@pytest.mark.parametrize(("nodes", "count"), [(1, 1), (2, 3), (3, 25), (4, 543)])
def test_as_many_acyclic_graphs_as_there_are(nodes: int, count: int) -> None:
    graphs = acyclic_graphs(nodes)
    assert len({g.tobytes() for g in graphs}) == len(graphs) == count


def test_outcomes_of_an_intervention_are_the_noisy_or() -> None:
    table = outcome_table(3, 0.1, 0.8)
    np.testing.assert_allclose(table.sum(-1), 1, atol=1e-12)
    fixes, states = interventions(3).tolist(), outcomes(3).tolist()
    graph = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    which = next(i for i, g in enumerate(acyclic_graphs(3)) if (g == graph).all())
    both = table[which, fixes.index([1, 1, 0])]
    np.testing.assert_allclose(both[states.index([1, 1, 1])], 1 - 0.9 * 0.2**2)
    free = table[which, fixes.index([0, 0, 0])]
    np.testing.assert_allclose(free[states.index([1, 0, 0])], 0.1 * 0.9 * (0.9 * 0.2))
    off = table[which, fixes.index([0, -1, 0])]
    assert off[states.index([0, 1, 0])] == 0


def test_belief_over_three_graphs_and_its_gain_by_hand() -> None:
    """Two nodes: nothing, 1 -> 2 or 2 -> 1. Node 1 is fixed on and node 2 comes on."""
    arm = interventions(2).tolist().index([1, 0])
    both = outcomes(2).tolist().index([1, 1])
    model, belief = belief_after(TWO, "exact", [arm], [float(both)])
    # In the order of `acyclic_graphs`: no arrow, 2 -> 1, 1 -> 2.
    likely = np.array([0.1, 0.1, 1 - 0.9 * 0.2])
    weights = likely / likely.sum()
    np.testing.assert_allclose(np.exp(belief.log_weights), weights, atol=FLOAT32)

    def spread(p: float) -> float:
        return -p * math.log(p) - (1 - p) * math.log(1 - p)

    gain = belief_gain(jax.random.key(1), model, belief, (), jnp.arange(9.0)[:, None], particles=1)
    expected = spread(float(likely @ weights)) - float(
        sum(w * spread(p) for w, p in zip(weights, likely, strict=True))
    )
    np.testing.assert_allclose(gain[arm], expected, atol=FLOAT32)
    # Fixing both nodes tells nothing; the other way round it tells something else.
    assert gain[interventions(2).tolist().index([1, -1])] < FLOAT32
    assert abs(gain[interventions(2).tolist().index([0, 1])] - expected) > 100 * FLOAT32


@pytest.mark.parametrize("options", ["nodes=5", "nodes=0", "power=1.2", "spontaneous=-0.1"])
def test_noisy_or_out_of_range_is_refused(options: str) -> None:
    with pytest.raises(UsageError, match=options.partition("=")[0]):
        build_model(f"noisy-or:{options}")


def test_graphs_are_those_of_the_study(data) -> None:
    with np.load(data / "human_causal_acl" / "dags.npz") as file:
        for nodes in (3, 4):
            theirs = {g.astype(np.int8).tobytes() for g in file[f"DAGs_{nodes}"]}
            assert theirs == {g.astype(np.int8).tobytes() for g in acyclic_graphs(nodes)}


def test_arms_of_a_surface_covary_as_the_kernel_says() -> None:
    rows = mixing_matrix(4, 1.5, 2.0)
    covariance = rows @ rows.T
    # Arms 0 = (0, 0), 1 = (0, 1) and 6 = (1, 2) are 1 and sqrt(5) apart.
    np.testing.assert_allclose(np.diag(covariance), 4)
    np.testing.assert_allclose(covariance[0, 1], 4 * math.exp(-1 / 4.5), rtol=2e-4)
    np.testing.assert_allclose(covariance[0, 6], 4 * math.exp(-5 / 4.5), rtol=2e-4)


def test_one_payoff_of_a_surface_moves_its_neighbours() -> None:
    text = "surface:side=4:length=1.5:scale=2.0:noise=0.5"
    _, belief = belief_after(text, "laplace", [0], [3.0])
    rows = mixing_matrix(4, 1.5, 2.0)
    kernel = rows @ rows.T
    np.testing.assert_allclose(
        rows @ np.asarray(belief.mean), kernel[:, 0] * 3 / (4 + 0.25), atol=1e-4
    )
    left = rows @ np.asarray(belief.covariance)[0] @ rows.T
    expected = kernel - np.outer(kernel[:, 0], kernel[:, 0]) / (4 + 0.25)
    np.testing.assert_allclose(left, expected, atol=1e-4)
    # Negative control: a shorter length tells less about the neighbour.
    _, other = belief_after(text.replace("1.5", "0.7"), "laplace", [0], [3.0])
    assert (
        abs(mixing_matrix(4, 0.7, 2.0)[1] @ np.asarray(other.mean) - kernel[1, 0] * 3 / 4.25) > 0.5
    )


def test_a_surface_without_noise_is_refused() -> None:
    with pytest.raises(UsageError, match="noise"):
        build_model("surface:noise=0")


def test_a_model_is_no_wider_than_its_table() -> None:
    assert NoisyOr(4).actions.count == len(interventions(4)) == 81
    assert outcome_table(4, 0.1, 0.8).shape == (543, 81, 16)
