"""Graphs of categorical nodes: evidence, predictions, and the posteriors that search them."""

from math import lgamma
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2
from support import simulate
from uncertain.decide.judge.reference.summed import log_evidence
from uncertain.posteriors.base import Draws, Event, Model
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.methods.exact import Exact
from uncertain.posteriors.methods.exact import build as build_exact
from uncertain.posteriors.models.graphs.causal_net import CausalNet
from uncertain.posteriors.models.graphs.net_outcome import NetOutcome
from uncertain.posteriors.registry import build_model, build_posterior
from uncertain.posteriors.spaces.bits import list_acyclic

EVENTS = 40
MIXED = CausalNet(3, (2, 3, 2), equivalent=2.0)


def learnt(model: Any, events: Event, order: Any = None) -> Any:
    """Statistics after events in some order."""
    if order is not None:
        events = jax.tree.map(lambda x: x[order], events)

    @jax.jit
    def run(events: Event) -> Any:
        return jax.lax.scan(
            lambda s, e: (model.update_stats(s, e), None), model.init_stats(), events
        )[0]

    return run(events)


def predicted(model: Any, events: Event, graphs: np.ndarray, order: Any) -> np.ndarray:
    """Sum of the log probabilities that each graph gave the events in some order, `[G]`."""
    events = jax.tree.map(lambda x: x[order], events)

    def turn(stats: Any, event: Event) -> Any:
        logs = jax.vmap(
            lambda g: model.predict({"graph": g}, stats, event.action).log_prob(
                event.observation.astype(jnp.int32)
            )
        )(jnp.asarray(graphs))
        return model.update_stats(stats, event), logs

    run = jax.jit(lambda e: jax.lax.scan(turn, model.init_stats(), e)[1].sum(0))
    return np.asarray(run(events), float)


def bdeu(model: CausalNet, events: Event, graph: np.ndarray) -> float:
    """The same evidence by counting in NumPy: Heckerman, Geiger and Chickering (1995)."""
    states = np.asarray(jax.vmap(model.spell)(events.observation))
    forced = np.asarray(jax.vmap(model.forced)(events.action))
    total = 0.0
    for j, levels in enumerate(model.all_levels):
        parents = [i for i in range(model.nodes) if graph[j] >> i & 1]
        rows: dict[tuple[int, ...], np.ndarray] = {}
        for state, fix in zip(states, forced, strict=True):
            if fix[j] < 0:
                row = rows.setdefault(tuple(state[parents]), np.zeros(levels))
                row[state[j]] += 1
        cells = levels * np.prod([model.all_levels[i] for i in parents])
        a = model.equivalent / cells if model.score == "bdeu" else 0.5
        for row in rows.values():
            total += lgamma(levels * a) - lgamma(levels * a + row.sum())
            total += sum(lgamma(a + n) - lgamma(a) for n in row)
    return total


@pytest.mark.parametrize(
    "model", [MIXED, CausalNet(3, score="half"), CausalNet(4, (2,), 2)], ids=str
)
def test_evidence_is_the_sum_of_predictions_in_any_order(model: CausalNet) -> None:
    events = simulate(model, EVENTS)
    graphs = list_acyclic(model.nodes, model.space.most)[::9]
    stats = learnt(model, events)
    own = jax.jit(jax.vmap(lambda g: model.log_marginal({"graph": g}, stats)))(jnp.asarray(graphs))
    forwards = predicted(model, events, graphs, np.arange(EVENTS))
    backwards = predicted(model, events, graphs, np.arange(EVENTS)[::-1])
    np.testing.assert_allclose(own, forwards, atol=2e-4)
    np.testing.assert_allclose(own, backwards, atol=2e-4)
    counted = [bdeu(model, events, graph) for graph in graphs]
    np.testing.assert_allclose(own, counted, atol=2e-4)
    # Negative control: events of which one was lost have another evidence.
    short = learnt(model, jax.tree.map(lambda x: x[1:], events))
    lost = jax.vmap(lambda g: model.log_marginal({"graph": g}, short))(jnp.asarray(graphs))
    assert np.abs(np.asarray(lost) - forwards).min() > 0.02


def test_an_event_that_counts_twice_is_two_events() -> None:
    events = simulate(MIXED, 10)
    twice = learnt(MIXED, events._replace(weight=np.full(10, 2, np.float32)))
    doubled = jax.tree.map(lambda x: np.concatenate([x, x]), events)
    for one, two in zip(twice, learnt(MIXED, doubled), strict=True):
        np.testing.assert_allclose(one, two, atol=2e-4)


def test_long_streams_keep_their_digits() -> None:
    """10^5 events: evidence of thousands of nats, differences of parts of one."""
    model = CausalNet(2)
    rng = np.random.default_rng(0)
    count = 100_000
    codes = rng.integers(0, 4, count).astype(np.float32)
    blank = simulate(model, 1)
    events = jax.tree.map(lambda x: np.repeat(x, count, 0), blank)
    events = events._replace(observation=codes, action=np.zeros((count, 1), np.float32))
    stats = learnt(model, events)
    for graph in ([0, 0], [0, 1], [2, 0]):
        own = float(model.log_marginal({"graph": jnp.asarray(graph)}, stats))
        above = own - float(model.common_evidence(stats))
        wanted = bdeu(model, events, np.asarray(graph)) - bdeu(model, events, np.zeros(2, int))
        assert own == pytest.approx(bdeu(model, events, np.asarray(graph)), rel=1e-6)
        assert above == pytest.approx(wanted, abs=0.02)


def test_watching_cannot_tell_cause_from_effect_and_fixing_can() -> None:
    model = CausalNet(2)
    arrows = jnp.asarray([[0, 1], [2, 0]])  # node 0 causes node 1; the other way round
    events = simulate(model, 60)
    watched = events._replace(action=np.zeros((60, 1), np.float32))

    def scores(model: Any, events: Event) -> np.ndarray:
        stats = learnt(model, events)
        return np.asarray(jax.vmap(lambda g: model.log_marginal({"graph": g}, stats))(arrows))

    assert np.ptp(scores(model, watched)) < 1e-4
    fixed = events._replace(
        action=np.ones((60, 1), np.float32), observation=np.tile([0.0, 1.0], 30).astype(np.float32)
    )
    assert np.ptp(scores(model, fixed)) > 0.5
    # Half an event a cell does not keep that: docs say so.
    assert np.ptp(scores(CausalNet(2, score="half"), watched)) > 1e-3


@pytest.mark.parametrize("nodes", [3, 4])
def test_exact_sums_are_those_of_all_graphs(nodes: int) -> None:
    with jax.enable_x64(True):
        model = CausalNet(nodes)
        events = jax.tree.map(lambda x: np.asarray(x, float), simulate(model, EVENTS))
        graphs = list_acyclic(nodes, nodes - 1)
        stats = learnt(model, events)
        logs = np.asarray([bdeu(model, events, graph) for graph in graphs])
        wanted = np.logaddexp.reduce(logs) - np.log(len(graphs))
        found, _ = jax.jit(lambda s: log_evidence(model, s))(stats)
        assert float(found) == pytest.approx(wanted, abs=1e-6)
    # Without doubles, what float32 can say of numbers of this size.
    short = jax.tree.map(lambda x: np.asarray(x, np.float32), events)
    found, _ = jax.jit(lambda s: log_evidence(model, s))(learnt(model, short))
    assert float(found) == pytest.approx(wanted, abs=2e-3)


def misfit(counts: np.ndarray, chances: np.ndarray) -> float:
    expected = chances * counts.sum()
    distance = ((counts - expected) ** 2 / np.maximum(expected, 1e-12))[expected > 0].sum()
    return float(chi2.sf(distance, (expected > 0).sum() - 1))


@pytest.mark.parametrize("action", [0, 4])
def test_a_large_net_predicts_as_a_table_does(action: int) -> None:
    """The outcome of nets too large for a table, on one that has a table."""
    stats = learnt(MIXED, simulate(MIXED, EVENTS))
    graph, act = jnp.asarray([2, 4, 0]), jnp.full(1, float(action))
    table = np.asarray(MIXED.predict({"graph": graph}, stats, act).probs)
    outcome = NetOutcome(
        MIXED.all_levels,
        lambda states: MIXED.table.conditional(stats, graph, states),
        MIXED.forced(act),
    )
    states = jax.vmap(MIXED.spell)(jnp.arange(12.0))
    own = np.exp(np.asarray(jax.vmap(outcome.log_prob)(states)))
    np.testing.assert_allclose(own, table, atol=1e-6)
    keys = jax.random.split(jax.random.key(0), 20_000)
    drawn = np.asarray(jax.jit(jax.vmap(outcome.sample))(keys))
    counts = np.bincount(drawn @ [6, 2, 1], minlength=12)
    assert misfit(counts, table) > 1e-5
    # Negative control: the same net without its arrows.
    alone = MIXED.predict({"graph": jnp.zeros(3, jnp.int32)}, stats, act).probs
    assert misfit(counts, np.asarray(alone)) < 1e-5


def edges(draws: Draws, nodes: int) -> np.ndarray:
    """Probability of each arrow, `[n, n]`: from the column's bit to the row."""
    values = np.asarray(draws.values)
    spelt = (values[:, :, None] >> np.arange(nodes)) & 1
    return np.tensordot(np.exp(np.asarray(draws.log_weights)), spelt, 1)


def believed(posterior: str, model: Model, events: Event, steps: int) -> Draws:
    made = build_posterior(posterior, model)

    @jax.jit
    def run(events: Event) -> Any:
        def turn(state: Any, item: Any) -> Any:
            key, event = item
            block = jax.tree.map(lambda x: x[None], event)
            state = made.absorb(jax.random.fold_in(key, 0), state, block)
            keys = jax.random.split(jax.random.fold_in(key, 1), steps)
            return jax.lax.scan(lambda s, k: (made.refine(k, s)[0], None), state, keys)[0], None

        keys = jax.random.split(jax.random.key(1), len(events.weight))
        state = jax.lax.scan(turn, made.init(jax.random.key(0)), (keys, events))[0]
        return made.belief(jax.random.key(2), state, jnp.zeros(()))

    found = run(events)
    assert isinstance(found, Draws)
    return found


@pytest.mark.parametrize(
    ("posterior", "steps", "bound"),
    [
        ("smc:particles=2000:steps=8", 2, 0.07),
        ("mcmc:particles=2000:steps=16", 2, 0.07),
        ("exact:draws=2000", 0, 0.07),
    ],
)
def test_methods_agree_with_the_list(posterior: str, steps: int, bound: float) -> None:
    """12 arrows, each with a standard error of at most .5 / sqrt(2000) = .011: six of them."""
    model = build_model("causal-net:nodes=4:parents=2")
    events = simulate(model, EVENTS)
    exact = edges(believed("exact", model, events, 0), 4)
    assert np.abs(edges(believed(posterior, model, events, steps), 4) - exact).max() < bound
    # Negative control: what was believed before the events.
    none = jax.tree.map(lambda x: x[:1], events)._replace(weight=np.zeros(1, np.float32))
    assert np.abs(edges(believed("exact", model, none, 0), 4) - exact).max() > bound


@pytest.mark.parametrize("posterior", ["point", "ensemble:bootstrap=none:particles=8"])
def test_climbers_find_the_best_graph(posterior: str) -> None:
    model = build_model("causal-net:nodes=4")
    events = simulate(model, 200)
    stats = learnt(model, events)
    graphs = list_acyclic(4, 3)
    logs = np.asarray(
        jax.vmap(lambda g: model.log_marginal({"graph": g}, stats))(jnp.asarray(graphs))
    )
    found = np.asarray(believed(posterior, model, events, 3).values)
    own = [float(logs[(graphs == g).all(1)][0]) for g in found]
    # A climb may end in a mode that no single arrow leaves; one of eight does not.
    assert max(own) > logs.max() - (3.0 if posterior == "point" else 1e-3)


def test_bootstrapped_members_differ() -> None:
    model = build_model("causal-net:nodes=4")
    found = believed("ensemble:bootstrap=poisson:particles=16", model, simulate(model, 60), 2)
    assert len(np.unique(np.asarray(found.values), axis=0)) > 1


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("causal-net:nodes=0", "nodes=0"),
        ("causal-net:nodes=3:levels=1", "levels=.* at least 2"),
        ("causal-net:nodes=3:levels=2,2", "2 numbers for 3 nodes"),
        ("causal-net:nodes=3:score=bic", "choose one of bdeu, half"),
        ("causal-net:nodes=3:equivalent=0", "equivalent=0.0: must be above 0"),
        ("causal-net:nodes=3:parents=3", "parents=3: must be 0 to 2"),
        ("causal-net:nodes=14:levels=3", "lower parents"),
    ],
)
def test_wrong_options_are_named(spec: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_model(spec)


def test_too_many_nodes_for_exact_name_who_takes_them() -> None:
    model = build_model("causal-net:nodes=12:parents=2")
    with pytest.raises(UsageError, match="up to 11 nodes, not 12: use posterior mcmc or smc"):
        build_exact(model, Exact())
    build_posterior("mcmc", model)
