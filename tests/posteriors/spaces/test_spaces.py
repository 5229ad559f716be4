"""What every space promises of its abilities, on spaces small enough to be listed.

Each check has a negative control: a space that breaks the promise, and is found out.
"""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.spaces.base import ABILITIES, Space, has_ability, require_ability
from uncertain.posteriors.spaces.bits import list_acyclic
from uncertain.posteriors.spaces.dags import DAGs

FALSE_ALARM = 1e-5
"""Chance that a statistical check fails on a space that is right."""
DRAWS = 40_000
SPACES = {
    "three nodes": lambda: DAGs(3),
    "four nodes, two parents": lambda: DAGs(4, 2),
    "four nodes by arrows": lambda: DAGs(4, None, 0.8),
}


@lru_cache(maxsize=8)
def listed(name: str) -> tuple[Space, np.ndarray, np.ndarray]:
    space = SPACES[name]()
    found = space.list_objects(10_000)
    assert found is not None
    return space, *found


def places(objects: np.ndarray, wanted: Any) -> np.ndarray:
    """Row of each wanted object in a list, -1 for none."""
    index = {row.tobytes(): i for i, row in enumerate(objects.astype(np.int32))}
    return np.asarray([index.get(row.tobytes(), -1) for row in np.asarray(wanted, np.int32)])


def misfit(counts: np.ndarray, chances: np.ndarray) -> float:
    """Chance of a larger chi-squared."""
    expected = chances * counts.sum()
    distance = ((counts - expected) ** 2 / expected).sum()
    return float(chi2.sf(distance, len(chances) - 1))


def draw(sample: Any, number: int = DRAWS) -> np.ndarray:
    return np.asarray(jax.jit(jax.vmap(sample))(jax.random.split(jax.random.key(1), number)))


@pytest.mark.parametrize("name", SPACES)
def test_list_and_density_agree(name: str) -> None:
    space, objects, logs = listed(name)
    assert len(np.unique(objects, axis=0)) == len(objects)
    assert np.exp(logs).sum() == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(jax.vmap(space.log_prob)(jnp.asarray(objects)), logs, atol=2e-6)


@pytest.mark.parametrize("name", SPACES)
def test_draws_have_the_listed_chances(name: str) -> None:
    space, objects, logs = listed(name)
    found = places(objects, draw(space.sample))
    assert found.min() >= 0
    counts = np.bincount(found, minlength=len(objects))
    assert misfit(counts, np.exp(logs)) > FALSE_ALARM
    # Negative control: one that adds arrows at random until there is a cycle is not uniform.
    even = np.full(len(objects), 1 / len(objects))
    if name == "four nodes by arrows":
        assert misfit(counts, even) < FALSE_ALARM


def flow(space: Any, objects: np.ndarray, number: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """How often each object leads to each other, and the log ratio that is claimed for it."""
    keys = jax.random.split(jax.random.key(2), number)
    step = jax.jit(jax.vmap(space.propose, in_axes=(0, None)))
    counts, ratios = np.zeros((2, len(objects), len(objects)))
    for i, value in enumerate(objects):
        near, ratio = step(keys, jnp.asarray(value))
        to = places(objects, near)
        assert to.min() >= 0, "a proposal left the space"
        counts[i] = np.bincount(to, minlength=len(objects))
        ratios[i, to] = ratio
    return counts, ratios


def imbalance(counts: np.ndarray, ratios: np.ndarray) -> float:
    """Largest deviation, in standard errors, of the claimed ratio from that of the frequencies."""
    there, back = counts, counts.T
    seen = np.triu(np.maximum(there, back) > 0, 1)
    # Given both numbers their split is binomial, in the claimed proportion.
    share = 1 / (1 + np.exp(ratios))
    total = there + back
    sd = np.sqrt(np.maximum(total * share * (1 - share), 1e-9))
    return float(np.max(np.abs(there - total * share)[seen] / sd[seen]))


BOUND = 5.6
"""Standard errors that one in 10^5 tables of 500 pairs exceeds."""


@pytest.mark.parametrize("name", ["three nodes", "four nodes, two parents"])
def test_proposals_balance(name: str) -> None:
    space, objects, _ = listed(name)
    counts, ratios = flow(space, objects)
    assert imbalance(counts, ratios) < BOUND
    # Every object is reached in the end.
    reached = np.linalg.matrix_power((counts > 0).astype(float) + np.eye(len(objects)), 20)
    assert np.all(reached > 0)


class Eager(DAGs):
    """Negative control: removes arrows more often than it adds them, and claims a ratio of 1."""

    def propose(self, key: Any, value: Any) -> Any:
        first, second = jax.random.split(key)
        near, _ = super().propose(first, value)
        fewer = jnp.sum(jax.lax.population_count(near)) < jnp.sum(jax.lax.population_count(value))
        stays = ~fewer & (jax.random.uniform(second) < 0.6)
        return jnp.where(stays, value, near), jnp.zeros(())


def test_proposals_out_of_balance_are_found() -> None:
    _, objects, _ = listed("three nodes")
    assert imbalance(*flow(Eager(3), objects)) > BOUND


def built(space: Any) -> dict[bytes, set[int]]:
    """Every object that construction reaches, with the steps that may come last."""
    steps, extend = jax.jit(space.steps), jax.jit(space.extend)
    start = np.asarray(space.start())
    found: dict[bytes, set[int]] = {start.astype(np.int32).tobytes(): set()}
    waiting = [start]
    while waiting:
        value = jnp.asarray(waiting.pop())
        for step in np.flatnonzero(np.asarray(steps(value))):
            near = np.asarray(extend(value, jnp.int32(step)), np.int32)
            if near.tobytes() not in found:
                found[near.tobytes()] = set()
                waiting.append(near)
            found[near.tobytes()].add(int(step))
    return found


@pytest.mark.parametrize("name", ["three nodes", "four nodes, two parents"])
def test_construction_reaches_all_and_only_the_listed(name: str) -> None:
    space, objects, _ = listed(name)
    found = built(space)
    assert set(found) == {row.astype(np.int32).tobytes() for row in objects}
    undo = jax.jit(space.undo)
    for row in objects:
        last = set(np.flatnonzero(np.asarray(undo(jnp.asarray(row)))).tolist())
        assert last == found[row.astype(np.int32).tobytes()]


class Careless(DAGs):
    """Negative control: forgets that an arrow may close a cycle."""

    def steps(self, partial: Any) -> Any:
        nodes = jnp.arange(self.nodes)
        present = ((partial[None, :] >> nodes[:, None]) & 1) == 1
        return (~present & (nodes[:, None] != nodes[None, :])).ravel()


def test_construction_that_leaves_the_space_is_found() -> None:
    _, objects, _ = listed("three nodes")
    assert set(built(Careless(3))) - {row.astype(np.int32).tobytes() for row in objects}


def scores_for(space: Any, seed: int, width: float) -> Any:
    sets = 2 ** (space.nodes - 1)
    if space.most < space.nodes - 1:
        sets = sum(1 for k in range(sets) if bin(k).count("1") <= space.most)
    noise = np.random.default_rng(seed).normal(size=(space.nodes, sets)) * width
    return jnp.asarray(noise, jnp.result_type(float))


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("width", [1.0, 40.0])
def test_sums_and_their_draws_are_those_of_the_list(name: str, width: float) -> None:
    space, objects, logs = listed(name)
    scores = scores_for(space, 3, width)
    own = jax.vmap(lambda u: space.add_local(scores, u))(jnp.asarray(objects))
    exact = np.asarray(own, float) + logs
    total = np.logaddexp.reduce(exact)
    sums = jax.jit(space.sum_local)(scores)
    assert float(sums.log_evidence) == pytest.approx(total, rel=2e-6, abs=2e-5)
    many = jax.jit(space.draw_local, static_argnums=2)(jax.random.key(4), sums, DRAWS)
    chances = np.exp(exact - total)
    found = places(objects, many)
    assert found.min() >= 0
    # Objects that are hardly expected are counted together.
    rare = chances * DRAWS < 20
    counts = np.bincount(found, minlength=len(objects))
    joined = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(chances[~rare], chances[rare].sum())
    kept = expected > 0
    assert misfit(joined[kept], expected[kept]) > FALSE_ALARM or kept.sum() == 1
    # Negative control: draws of the prior are none of the posterior.
    prior = np.bincount(places(objects, draw(space.sample)), minlength=len(objects))
    blind = np.append(prior[~rare], prior[rare].sum())
    assert misfit(blind[kept], np.maximum(expected[kept], 1e-12)) < FALSE_ALARM


def test_sums_keep_far_apart_scores() -> None:
    """Two arrows of which each rules the other out, hundreds of nats above all else."""
    space = DAGs(3)
    scores = np.full((3, 4), -500.0)
    scores[:, 0] = -300.0
    scores[0, 1] = scores[1, 1] = 0.0  # node 1 is a parent of node 0, and node 0 of node 1
    objects, logs = space.list_objects(1000) or ((), ())
    own = jax.vmap(lambda u: space.add_local(jnp.asarray(scores), u))(jnp.asarray(objects))
    total = np.logaddexp.reduce(np.asarray(own, float) + logs)
    sums = jax.jit(space.sum_local)(jnp.asarray(scores, jnp.result_type(float)))
    assert float(sums.log_evidence) == pytest.approx(total, abs=1e-3)


def test_sums_say_how_probable_parents_are() -> None:
    space, objects, logs = listed("four nodes by arrows")
    scores = scores_for(space, 5, 3.0)
    own = jax.vmap(lambda u: space.add_local(scores, u))(jnp.asarray(objects))
    chances = np.exp(np.asarray(own, float) + logs)
    chances /= chances.sum()
    found = jax.jit(jax.grad(lambda s: space.sum_local(s).log_evidence))(scores)
    wanted = np.zeros(found.shape)
    for value, chance in zip(objects, chances, strict=True):
        for j, parents in enumerate(value):
            low = (1 << j) - 1
            wanted[j, (parents & low) | ((parents >> 1) & ~low)] += chance
    np.testing.assert_allclose(found, wanted, atol=5e-6)


@pytest.mark.parametrize("nodes", [1, 2, 5])
def test_numbers_of_acyclic_graphs(nodes: int) -> None:
    """1, 3, 25, 543, 29 281: Robinson (1973)."""
    known = {1: 1, 2: 3, 5: 29_281}
    assert len(list_acyclic(nodes, nodes - 1)) == known[nodes]
    assert DAGs(nodes).sizes.log_total == pytest.approx(np.log(known[nodes]))


def test_twenty_nodes_are_drawn_within_their_bound() -> None:
    space = DAGs(20, 3)
    graphs = jnp.asarray(draw(space.sample, 64))
    assert np.all(np.isfinite(jax.vmap(space.log_prob)(graphs)))
    assert int(jnp.max(jax.lax.population_count(graphs))) == 3
    with pytest.raises(UsageError, match="up to 11 nodes, not 20: use posterior mcmc or smc"):
        space.sum_local(jnp.zeros((20, 1160)))


class Bare(Space):
    """A space that can draw, and nothing else."""


def test_a_missing_ability_is_named() -> None:
    bare = Bare(3, 0, 1)
    assert not any(has_ability(bare, ability) for ability in ABILITIES)
    with pytest.raises(UsageError, match=r"posterior mcmc needs .* neighbours; Bare lacks propose"):
        require_ability("posterior mcmc", bare, "neighbours", "use smc")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((0,), "nodes=0"),
        ((31,), "nodes=31"),
        ((4, 4), "parents=4"),
        ((4, None, 3.0), "arrows=3"),
        ((25, 3), "nodes=25"),
    ],
)
def test_wrong_options_are_named(options: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        DAGs(*options)
