"""Bets against the model are fair when it is right, wherever one stops, and win when it is wrong.

Places of outcomes of every kind are uniform; live, rolled-out and replayed runs say the same. Not
here: how often approximate posteriors raise an alarm (docs/results/alarm.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from support import Z
from toys import Coin, Counts, Urns
from uncertain.decide.judge.measures.prequential import Prequential
from uncertain.decide.loop.core import e_process as module
from uncertain.decide.loop.core.agent import build_agent
from uncertain.decide.loop.core.e_process import (
    ALPHA,
    BETS,
    first_crossing,
    initial_e_process,
    scan_pits,
    scan_runs,
)
from uncertain.decide.loop.core.pit import has_cdf, pit_of_draws
from uncertain.decide.loop.core.predictive import predictive_score
from uncertain.decide.loop.core.replay import replay_records
from uncertain.decide.loop.core.rollout import AGENT, roll_out, seed_key
from uncertain.decide.loop.core.step import build_step
from uncertain.decide.loop.durable.snapshot import restore_snapshot, take_snapshot
from uncertain.decide.loop.server.server import Server
from uncertain.posteriors.base import Draws, Event, Model, Vector, dist
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.parts.outcomes import outcome_kind
from uncertain.posteriors.parts.unknowns import unknowns_of
from uncertain.posteriors.registry import build_model
from uncertain.streams.formats.encoding import Encoder
from uncertain.streams.formats.record import Record, Where
from uncertain.streams.worlds.base import simulated_world

KEY = jax.random.key(0)


# Fair odds.


def cells(heads: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, answers and chances given the answer of one toss predicted to be heads so often: a
    cell for each part of a bin that belongs to one answer."""
    edges = np.unique(np.concatenate([[0.0], module._BOUNDS, [1 - heads, 1.0]]))
    middle = (edges[1:] + edges[:-1]) / 2
    answer = (middle > 1 - heads).astype(int)
    return middle, answer, np.diff(edges) / np.where(answer, heads, 1 - heads)


def paths(steps: int, lie: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Every run `[N, steps]` of places that a Beta(2, 3) belief can give to tosses, and its
    probability; the coin falls on heads more often by `lie` than is believed."""
    found = [((), 1.0, 0)]
    for step in range(steps):
        longer = []
        for places, chance, heads in found:
            p = (2 + heads) / (5 + step)
            for place, answer, share in zip(*cells(p), strict=True):
                true = p + lie if answer else 1 - p - lie
                longer.append(((*places, place), chance * true * share, heads + answer))
        found = longer
    return np.array([f[0] for f in found]), np.array([f[1] for f in found])


@pytest.mark.usefixtures("double")
def test_evidence_is_a_martingale() -> None:
    places, chance = paths(3)
    assert chance.sum() == pytest.approx(1, abs=1e-13)
    verdicts = scan_runs(jnp.asarray(places))
    evidence = np.exp(np.asarray(verdicts.log_e))
    for step in range(3):
        assert chance @ evidence[:, step] == pytest.approx(1, abs=1e-12)
        # A stake of 1 has been added before each observation.
        assert chance @ np.exp(verdicts.change[:, step]) == pytest.approx(step + 1, abs=1e-12)
    # Nor does it matter when one stops: here at the first gain, else at the end.
    ahead = np.where((evidence > 1).any(1), (evidence > 1).argmax(1), 2)
    assert chance @ evidence[np.arange(len(evidence)), ahead] == pytest.approx(1, abs=1e-12)
    # Negative controls: the most there has been is not what one has, and under another coin it
    # grows.
    assert chance @ np.exp(verdicts.highest[:, 2]) > 1.05
    places, chance = paths(3, lie=0.2)
    assert abs(chance @ np.exp(scan_runs(jnp.asarray(places)).log_e[:, 2]) - 1) > 1e-3


RUNS, STEPS, LEVEL = 4000, 150, 0.05


def test_few_false_alarms_at_any_time() -> None:
    places = np.random.default_rng(0).uniform(size=(RUNS, STEPS)).astype(np.float32)
    raised = first_crossing(scan_runs(jnp.asarray(places)).highest, LEVEL) > 0
    # False-alarm rate of this test at most 1e-5.
    error = np.sqrt(LEVEL * (1 - LEVEL) / RUNS)
    assert raised.mean() < LEVEL + Z * error
    # Negative control: the best bet chosen after the observation was seen.
    index = (places[..., None] >= module._BOUNDS).sum(-1)
    peeking = np.cumsum(module._TABLE.max(0)[index], axis=1)
    assert (first_crossing(peeking, LEVEL) > 0).mean() > LEVEL + 10 * error


def test_change_is_sooner_aware_of_what_comes_late() -> None:
    z = np.random.default_rng(1).normal(size=(100, 900))
    z[:, 600:] *= 2
    found = scan_runs(jnp.asarray(stats.norm.cdf(z), jnp.float32))
    late, sum_ = first_crossing(found.highest), first_crossing(found.change)
    assert np.all(late > 600)
    assert np.median(sum_) < np.median(late) < 660
    assert BETS[int(np.median(found.leading[:, -1]))].name == "intervals far too narrow"


@pytest.mark.parametrize(
    ("off", "says"),
    [
        (lambda z: 2 * z, "intervals far too narrow"),
        (lambda z: 0.5 * z, "intervals far too wide"),
        (lambda z: z + 1, "predictions far too low"),
        (lambda z: z - 1, "predictions far too high"),
        (lambda z: np.sort(z), "errors alike one after the other"),
    ],
)
def test_each_wrong_is_called_by_its_name(off: Any, says: str) -> None:
    z = np.random.default_rng(2).normal(size=(20, 120))
    places = jnp.asarray(stats.norm.cdf(off(z)), jnp.float32)
    found = scan_runs(places)
    assert np.all(first_crossing(found.highest) > 0)
    at = np.maximum(first_crossing(found.highest) - 1, 0)
    leading = np.asarray(found.leading)[np.arange(20), at]
    if says != "errors alike one after the other":
        assert np.mean([BETS[i].name == says for i in leading]) > 0.8


def test_errors_alike_are_called_by_their_name() -> None:
    rng = np.random.default_rng(3)
    z = np.zeros((20, 400))
    for step in range(1, 400):
        z[:, step] = 0.8 * z[:, step - 1] + 0.6 * rng.normal(size=20)
    found = scan_runs(jnp.asarray(stats.norm.cdf(z), jnp.float32))
    assert np.all(first_crossing(found.highest) > 0)
    assert "errors alike one after the other" in {
        BETS[i].name for i in np.asarray(found.leading)[:, 99]
    }


def test_coverage_is_counted_and_no_prediction_is_no_bet() -> None:
    places = jnp.asarray([0.5, 0.3, 0.2, 0.06, 0.04, jnp.nan, 0.99])
    after, said = scan_pits(initial_e_process(), places, jnp.ones(7))
    assert int(after.n) == 6
    assert np.asarray(said.within[-1]) == pytest.approx([2 / 6, 4 / 6])
    without, _ = scan_pits(
        initial_e_process(), places[jnp.asarray([0, 1, 2, 3, 4, 6])], jnp.ones(6)
    )
    weighed, _ = scan_pits(
        initial_e_process(), jnp.nan_to_num(places), jnp.where(jnp.isnan(places), 0, 1)
    )
    for other in (without, weighed):
        assert all(np.array_equal(a, b) for a, b in zip(after, other, strict=True))


# Places.


@dataclass(frozen=True)
class Pair(Model):
    """Two numbers at once."""

    actions = Vector(1)

    def prior(self) -> dict[str, Any]:
        return {"mean": dist.Normal(0.0, 1.0)}

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        return dist.Normal(params["mean"] * jnp.ones(2), 0.5).to_event(1)


MODELS = {
    "normal": Linear(arms=0, features=2),
    "yes or no": build_model("logistic:arms=0:features=2"),
    "three colours": Urns(),
    "coin": Coin(),
    "count with a distribution function": build_model("poisson:arms=0:features=2"),
    "count without": Counts(),
    "vector": Pair(),
}


QUICK = ("three colours", "vector")
"""Compiled every time; the others only among statistical tests."""


@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.statistical) for n in MODELS],
)
def test_places_are_uniform(name: str) -> None:
    model = MODELS[name]
    unknowns = unknowns_of(model)
    values = unknowns.sample(jax.random.key(1), 16)
    weights = jax.nn.log_softmax(jax.random.normal(jax.random.key(2), (16,)))
    draws = Draws(values, weights)
    size = model.actions.size
    action = jnp.zeros(1) if size == 1 else jnp.asarray([0.5, -1.0])

    def once(key: Any, wrong: bool) -> Any:
        which, answer, own = jax.random.split(key, 3)
        u = values[jax.random.categorical(which, jnp.zeros(16) if wrong else weights)]
        outcome = model.predict(unknowns.constrain(u), model.init_stats(), action)
        y = jnp.asarray(outcome.sample(answer), float)
        event = Event(action, y, jnp.zeros(()), jnp.int32(0), jnp.ones(()))
        return pit_of_draws(own, model, draws, model.init_stats(), event)

    many = jax.jit(jax.vmap(once, (0, None)), static_argnums=1)
    places = np.asarray(many(jax.random.split(KEY, 4000), False))
    assert places.min() >= 0
    assert places.max() <= 1
    # False-alarm rate 1e-5 each.
    assert stats.kstest(places, "uniform").pvalue > 1e-5


def test_a_wrong_prediction_is_not_uniform() -> None:
    """Negative control of the above."""
    model = MODELS["normal"]
    draws = Draws(jnp.zeros((1, 2)), jnp.zeros(1))
    y = 0.7 * np.random.default_rng(0).normal(size=1000)

    def once(y: Any) -> Any:
        event = Event(jnp.ones(2), y, jnp.zeros(()), jnp.int32(0), jnp.ones(()))
        return pit_of_draws(KEY, model, draws, (), event)

    places = jax.jit(jax.vmap(once))(jnp.asarray(y, jnp.float32))
    np.testing.assert_allclose(places, stats.norm.cdf(y / 0.5), atol=1e-5)
    assert stats.kstest(places, "uniform").pvalue < 1e-5


def test_what_has_a_distribution_function() -> None:
    found = {name: has_cdf(model) for name, model in MODELS.items()}
    assert found["normal"]
    assert found["count with a distribution function"]
    assert not found["count without"]
    assert not found["vector"]


# In the loop.


def agent(model: str, posterior: str, **more: Any) -> Any:
    return build_agent(build_model(model), posterior, "random", **more)[0]


@lru_cache(maxsize=1)
def played() -> Any:
    """run(keys, noise, peek): places of 120 answers to random actions, foreseen by an exact linear
    belief that takes the noise for .1; peek: after it has learnt the answer."""
    who = agent("linear:arms=0:features=20:noise=0.1", "laplace")
    step, world = build_step(who, 1), simulated_world(who.model)

    def run(key: Any, noise: Any, peek: Any) -> Any:
        state, truth = step.init(key), world.init(jax.random.fold_in(key, 1_000_000))

        def turn(state: Any, index: Any) -> Any:
            action = jax.random.normal(jax.random.fold_in(key, 2 * index), (20,))
            error = jax.random.normal(jax.random.fold_in(key, 2 * index + 1))
            y = action @ truth.u + noise * error
            event = Event(action, y, jnp.zeros(()), index, jnp.ones(()))
            after, _ = step.learn(state, event)
            held = jax.tree.map(lambda a, b: jnp.where(peek, a, b), after, state)
            belief = who.posterior.belief(key, held.posterior, event.time)
            return after, predictive_score(key, who.model, belief, (), event).pit

        return jax.lax.scan(turn, state, jnp.arange(120, dtype=jnp.int32))[1]

    return jax.jit(jax.vmap(run, (0, None, None)))


def share(noise: float, peek: bool = False) -> float:
    """Of 100 runs, those that raise an alarm."""
    verdicts = scan_runs(played()(jax.random.split(KEY, 100), noise, peek))
    return float(np.mean(first_crossing(verdicts.highest) > 0))


def test_the_right_model_is_left_alone() -> None:
    # At most 1e-4 a run: one alarm or more has a chance of 1e-2, two of 5e-5.
    assert share(0.1) <= 0.01
    places = played()(jax.random.split(KEY, 100), 0.1, False)
    inside = np.asarray(scan_runs(places).within[:, -1]).mean(0)
    for found, level in zip(inside, (0.5, 0.9), strict=True):
        # 12 000 independent observations; false-alarm rate 1e-5 each.
        assert abs(found - level) < Z * np.sqrt(level * (1 - level) / 12_000)


def test_wrong_noise_is_found() -> None:
    assert share(0.2) > 0.9
    assert share(0.05) > 0.9


def test_predictions_that_have_seen_the_answer_are_found_out() -> None:
    """Negative control: scoring after learning, the likeliest mistake of all."""
    assert share(0.1, peek=True) > 0.9


def rolled(who: Any, steps: int) -> tuple[list[Record], Any, Any]:
    """A rolled-out run as a log, the key it began with, and its places."""
    trace = roll_out(who, simulated_world(who.model), steps, 0, 1, probed=False)[1]
    log = [
        Record(
            i, Where("rolled", i + 1), float(i), x=action[1:].tolist(), action=int(action[0]),
            propensity=1.0, y=float(y),
        )
        for i, (action, y) in enumerate(zip(trace.action[0], trace.observation[0], strict=True))
    ]  # fmt: skip
    return log, jax.random.fold_in(seed_key(0, 0), AGENT), trace.pit


def encoder(who: Any) -> Encoder:
    return Encoder(who.model.actions, outcome_kind(who.model), (), 0)


def logged(steps: int) -> Iterator[Record]:
    """Arms that pay as the model believes for a hundred events, and five times as wildly then."""
    rng = np.random.default_rng(0)
    for i in range(steps):
        y = (1.5 if i >= 100 else 0.3) * float(rng.normal())
        yield Record(
            i, Where("made up", i + 1), float(i), x=[0.5, -0.5], action=i % 2, propensity=0.5, y=y
        )


@pytest.fixture
def double_everywhere(double: None) -> Iterator[None]:
    """Also in the thread that decodes a log."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.mark.usefixtures("double_everywhere")
def test_live_replayed_and_rolled_out_runs_say_the_same() -> None:
    who = agent("logistic:arms=2:features=2", "laplace")
    log, key, places = rolled(who, 40)
    expected = scan_runs(jnp.asarray(places))
    server = Server(who, encoder(who), 0)
    server._packed = server._brought.init(key)  # that of the rolled-out run
    live = [server.answer(record)["alarm"] for record in log]
    for name in ("log_e", "highest", "change"):
        found = [one[name] for one in live]
        np.testing.assert_allclose(found, np.asarray(getattr(expected, name))[0], atol=1e-9)
    judge = Prequential(finite=True)
    for scored in replay_records(who, encoder(who), iter(log), key):
        judge.add(scored)
    said = judge.report().doubt
    assert said is not None
    assert said.log_e == pytest.approx(live[-1]["log_e"], abs=1e-9)
    assert said.within == pytest.approx((live[-1]["within_50"], live[-1]["within_90"]), abs=1e-12)
    assert (said.n, live[-1]["n"]) == (40, 40)


def test_a_resumed_server_goes_on_to_the_bit() -> None:
    who = agent("linear:arms=2:features=2", "laplace")
    log = list(logged(30))
    whole, before, after = (Server(who, encoder(who), 0) for _ in range(3))
    expected = [whole.answer(record)["alarm"] for record in log]
    for record in log[:15]:
        before.answer(record)
    traces = after.traces()
    restore_snapshot(after, take_snapshot(before))
    assert after.alarm == expected[14]
    assert [after.answer(record)["alarm"] for record in log[15:]] == expected[15:]
    assert after.traces() == traces
    # Negative control: without what was kept the evidence is another.
    anew = Server(who, encoder(who), 0)
    anew._packed = tuple(jnp.array(x) for x in before._packed)
    assert [anew.answer(record)["alarm"] for record in log[15:]] != expected[15:]


def test_a_report_counts_events_over_chunks() -> None:
    who = agent("linear:arms=2:features=2:noise=0.3", "laplace")
    log = list(logged(250))
    judge, places = Prequential(finite=False), []
    for scored in replay_records(who, encoder(who), iter(log), KEY, tau=1):
        judge.add(scored)
        places.append(np.where(scored.weight > 0, scored.predictive.pit, np.nan))
    # Chunks of a hundred events, the last one half empty.
    assert len(places) == 3
    found = judge.report().doubt
    assert found is not None
    verdicts = scan_runs(jnp.asarray(np.concatenate(places))[None])
    assert found.at == first_crossing(verdicts.highest)[0] > 100
    assert found.highest == float(verdicts.highest[0, -1]) >= -np.log(ALPHA)
    assert found.n == 250
