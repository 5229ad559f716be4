"""Clicks in continuous time against every assignment of causes, written out.

The references are loops in Python that share no code with the beliefs.

See also: tests/decide/judge/people/test_clicks.py for the value of clicks.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats as scipy_stats
from uncertain.posteriors.models.delays import RELIABLE, UNRELIABLE, Devices
from uncertain.posteriors.models.published_delays import (
    Clicks,
    all_graphs,
    entropy_bits,
    graph_log_posterior,
    most_causes,
)

FLOAT32 = 2e-3
"""Rounding, and the straight lines between the points at which lateness is tabulated."""
STORY = ((0.0, 0, False), (0.3, 2, False), (1.4, 1, True), (1.9, 1, True), (3.0, 2, True))
"""(seconds, component, by a cause) of three components."""


def seen(devices: Devices, story):
    def all_of(times, nodes, effects):
        def turn(belief, row):
            return devices.observe(belief, *row), None

        return jax.lax.scan(turn, devices.init(), (times, nodes, effects))[0]

    times, nodes, effects = zip(*story, strict=True)
    return jax.jit(all_of)(jnp.asarray(times), jnp.asarray(nodes), jnp.asarray(effects))


def by_hand(child: int, parents: set[int], story, end: float, delay, waits: bool = True) -> float:
    """Likelihood of what came on at a child, summed over who caused it."""
    law = scipy_stats.gamma(delay.shape, scale=1 / delay.rate)
    inside = law.cdf(delay.window)
    causes = [t for t, node, _ in story if node in parents]
    effects = [t for t, node, by_cause in story if node == child and by_cause]
    total = 0.0
    for chosen in itertools.permutations(range(len(causes)), len(effects)):
        value = 1.0
        for at, cause in zip(effects, chosen, strict=True):
            value *= 0.9 * law.pdf(at - causes[cause]) if at > causes[cause] else 0.0
        for i, cause in enumerate(causes):
            if i not in chosen:
                late = 1 - min(law.cdf(end - cause) / inside, 1.0)
                value *= 0.1 + 0.9 * late if waits else 0.1
        total += value
    return total


def test_nothing_came_on_by_hand() -> None:
    """Component 0 was clicked ten seconds ago: 0 -> 1 means a failure, of probability .1."""
    devices = Devices(2, RELIABLE)
    belief = seen(devices, [(0.0, 0, False)])
    np.testing.assert_allclose(
        np.exp(devices.log_parents(belief, jnp.asarray(10.0))),
        [[0.5, 0.5], [1 / 1.1, 0.1 / 1.1]], atol=FLOAT32,
    )  # fmt: skip
    # Before an effect could have come, nothing has been learnt.
    np.testing.assert_allclose(
        np.exp(devices.log_parents(belief, jnp.asarray(0.1))), 0.5, atol=FLOAT32
    )
    np.testing.assert_allclose(
        devices.entropy(belief, jnp.asarray(0.1)), 2 * math.log(2), atol=FLOAT32
    )


def test_belief_sums_over_every_assignment() -> None:
    devices = Devices(3, UNRELIABLE)
    belief = seen(devices, STORY)
    now = 3.5
    found = np.exp(np.asarray(devices.log_parents(belief, jnp.asarray(now))))
    wrong = []
    for child in range(3):
        sets = [set(np.flatnonzero(row).tolist()) for row in devices.sets[child]]
        # The 0.9 of an effect is the same for every set of parents, as the effects are.
        likely = np.array([by_hand(child, parents, STORY, now, UNRELIABLE) for parents in sets])
        np.testing.assert_allclose(found[child], likely / likely.sum(), atol=FLOAT32)
        hasty = np.array(
            [by_hand(child, parents, STORY, now, UNRELIABLE, False) for parents in sets]
        )
        wrong.append(np.abs(found[child] - hasty / hasty.sum()).max())
    # Negative control: taking what is still to come for failed gives something else.
    assert max(wrong) > 20 * FLOAT32


def test_sets_of_parents_make_every_graph() -> None:
    devices = Devices(3, RELIABLE)
    made = {
        np.asarray(devices.graph(jnp.asarray(chosen))).astype(np.int8).tobytes()
        for chosen in itertools.product(range(4), repeat=3)
    }
    assert made == {g.tobytes() for g in all_graphs(3)}


def test_delays_are_drawn_from_what_is_left() -> None:
    uniform = (jnp.arange(20_000) + 0.5) / 20_000
    drawn = np.asarray(UNRELIABLE.sample_beyond(uniform, jnp.asarray(1.2)))
    law = scipy_stats.gamma(UNRELIABLE.shape, scale=1 / UNRELIABLE.rate)
    low, high = law.cdf(1.2), law.cdf(UNRELIABLE.window)
    share = (law.cdf(np.quantile(drawn, [0.1, 0.5, 0.9])) - low) / (high - low)
    np.testing.assert_allclose(share, [0.1, 0.5, 0.9], atol=FLOAT32)
    assert drawn.min() >= 1.2


def clicks_of(story, length: int) -> Clicks:
    padded = [*story, *[(0.0, 0, False)] * (length - len(story))]
    times, nodes, effects = (np.array(x) for x in zip(*padded, strict=True))
    return Clicks(
        times.astype(np.float32), nodes.astype(np.int32), effects, np.arange(length) < len(story)
    )


def published_by_hand(story, delay, shortest: float) -> np.ndarray:
    """Probability of every graph, in the order of `all_graphs`, as MODEL.md of the data says."""
    law = scipy_stats.gamma(delay.shape, scale=1 / delay.rate)
    effects = [(t, node) for t, node, by_cause in story if by_cause]
    likely = []
    for graph in all_graphs(3):
        pending, possible = np.zeros(3), True
        for _, node, by_cause in story:
            pending[node] -= by_cause
            possible &= pending.min() >= 0
            pending += graph[node]
        chances = sum(int(graph[node].sum()) for _, node, _ in story)
        count = scipy_stats.binom(chances, 0.9)
        possible &= count.cdf(len(effects)) >= 1e-4
        total = 0.0
        for chosen in itertools.product(range(len(story)), repeat=len(effects)):
            value = 1.0
            for (t, node), i in zip(effects, chosen, strict=True):
                elapsed = t - story[i][0]
                fits = graph[story[i][1], node] and shortest < elapsed < delay.window
                value *= law.pdf(elapsed) if fits else 0.0
            for i in set(chosen):
                value *= chosen.count(i) <= graph[story[i][1]].sum()
            total += value
        likely.append(possible * total * count.pmf(len(effects)))
    return np.array(likely) / sum(likely)


def test_published_observer_sums_over_every_assignment() -> None:
    clicks = clicks_of(STORY, 7)
    assert most_causes(clicks, UNRELIABLE.window) == 4
    logs = np.asarray(graph_log_posterior(3, UNRELIABLE, 0.0, 4, clicks))
    # What follows the last event is padding and changes nothing.
    np.testing.assert_array_equal(logs[4], logs[6])
    expected = published_by_hand(STORY, UNRELIABLE, 0.0)
    np.testing.assert_allclose(np.exp(logs[4]), expected, atol=2e-5)
    np.testing.assert_allclose(
        entropy_bits(logs[4]), scipy_stats.entropy(expected, base=2), atol=1e-4
    )
    # Before the first effect every graph is as likely.
    np.testing.assert_allclose(entropy_bits(logs[1]), 6, atol=1e-5)
    # Negative control: with one cause too few remembered it is another posterior.
    short = np.asarray(graph_log_posterior(3, UNRELIABLE, 0.0, 2, clicks))
    assert np.abs(np.exp(short[4]) - expected).max() > 1e-3
