"""Replaying logs: the scores are the textbook's, chunks change nothing, real logs go through."""

import jax
import numpy as np
import pytest
from scipy import stats
from uncertain.decide.judge.measures.prequential import Prequential
from uncertain.decide.loop.core.predictive import predictive_score
from uncertain.decide.loop.core.replay import (
    TAU,
    build_replay,
    compile_replay,
    learn_latency,
    replay_records,
)
from uncertain.decide.loop.core.step import Agent, build_step
from uncertain.decide.rules.registry import build_rule
from uncertain.posteriors.base import Event
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.parts.outcomes import Finite, outcome_kind
from uncertain.posteriors.registry import build_model, build_posterior
from uncertain.streams.formats.encoding import Encoder
from uncertain.streams.formats.record import Record, Where
from uncertain.streams.formats.registry import open_log

KEY = jax.random.key(0)


def agent(model, posterior="laplace", rule="random", refine=0):
    built = build_model(model)
    return Agent(
        built, build_posterior(posterior, built), build_rule(rule, built), None, 0, refine, 32
    )


def encoder(who, names=(), offered=0):
    return Encoder(who.model.actions, outcome_kind(who.model), names, offered)


def records(n, features=3, arms=0, seed=0, **more):
    """Made-up events: vectors where `arms` is 0, else uniformly chosen arms with a context."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(max(arms, 1), features))
    for i in range(n):
        x, arm = rng.normal(size=features), int(rng.integers(0, max(arms, 1)))
        y = float(weights[arm] @ x + 0.5 * rng.normal())
        fields = {"x": x.tolist(), "action": arm, "propensity": 1 / arms} if arms else {}
        fields = fields or {"action": x.tolist()}
        yield Record(i, Where("made up", i + 1), float(i), y=y, **fields, **more)


def judged(who, log, evaluate=False, **more):
    kind = outcome_kind(who.model)
    judge = Prequential(isinstance(kind, Finite), evaluate)
    for scored in replay_records(who, encoder(who), log, KEY, evaluate, **more):
        judge.add(scored)
    return judge.report()


def test_linear_log_losses_add_up_to_the_evidence():
    who = agent("linear:arms=0:features=3")
    report = judged(who, records(60))
    events = list(records(60))
    x, y = np.array([r.action for r in events]), np.array([r.y for r in events])
    evidence = stats.multivariate_normal.logpdf(y, np.zeros(60), x @ x.T + 0.25 * np.eye(60))
    assert report.events == 60
    assert -report.nll.mean * 60 == pytest.approx(evidence, rel=1e-4)
    # By the chain rule blocks of ten add up to the same.
    assert -report.joint.mean * 60 / TAU == pytest.approx(evidence, rel=1e-4)
    assert report.accuracy is None


def test_the_scan_does_what_single_steps_do():
    who = agent("logistic:arms=3:features=2", refine=1)
    log = list(records(25, 2, 3))
    for r in log:
        r.y = float(r.y > 0)
    chunks = list(replay_records(who, encoder(who), iter(log), KEY))
    assert len(chunks) == 1
    step, enc = build_step(who), encoder(who)
    state = jax.jit(step.init)(KEY)
    score = jax.jit(
        lambda s, e: predictive_score(
            KEY, who.model, who.posterior.belief(KEY, s.posterior, e.time), (), e
        )
    )
    learn = jax.jit(step.learn)
    for i, r in enumerate(log):
        event = Event(*(np.asarray(v, np.float32) for v in (enc.action(r), r.y, r.t)),
                      np.int32(i), np.float32(1))  # fmt: skip
        # float32 in two programs of the same arithmetic.
        np.testing.assert_allclose(
            score(state, event).log_prob, chunks[0].predictive.log_prob[i], rtol=2e-3, atol=2e-4
        )
        state, _ = learn(state, event)
    assert np.all(chunks[0].weight[25:] == 0)
    assert chunks[0].whole.sum() == 2


def test_chunks_compile_once():
    who = agent("linear:arms=2:features=2")
    compile_replay(who, encoder(who), KEY, tau=2)
    _, run = build_replay(who, False, 0, 2)
    before = run._cache_size()
    assert judged(who, records(450, 2, 2), tau=2).events == 450
    assert run._cache_size() == before == 1


def test_more_events_are_better_predicted():
    """Negative control of learning: a backend that never learns scores worse."""
    who = agent("linear:arms=0:features=3")
    still = who._replace(posterior=who.posterior._replace(absorb=lambda key, state, events: state))
    assert judged(who, records(200)).nll.mean < judged(still, records(200)).nll.mean - 0.1


def test_the_value_of_uniform_choice_is_the_log_of_uniform_choice():
    who = agent("linear:arms=4:features=2")
    report = judged(who, records(500, 2, 4), evaluate=True)
    value = report.value
    assert value.ips.value == pytest.approx(report.reward.mean, rel=1e-5)
    assert value.ess == pytest.approx(500, rel=1e-5)
    assert value.dr.se < value.ips.se
    assert value.verdict.believe


def test_a_rule_that_learns_is_worth_more_than_the_log():
    who = agent("linear:arms=4:features=2", rule="greedy")
    value = judged(who, records(3000, 2, 4), evaluate=True).value
    assert value.snips.low > value.logged.high
    assert value.dr.low > value.logged.high


def test_listed_vector_candidates_are_judged():
    who = agent("linear:arms=0:features=2")
    log = [
        Record(
            i, Where("log", i), x=None, actions=[[1.0, 0.0], [0.0, 1.0]], action=i % 2,
            propensity=0.5, y=float(i % 2),
        )
        for i in range(100)
    ]  # fmt: skip
    judge = Prequential(False, True)
    for scored in replay_records(who, encoder(who, offered=2), iter(log), KEY, True):
        judge.add(scored)
    assert judge.report().value.ips.value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y": 1e300}, "y: too large for float32"),
        ({"propensity": None}, "propensity: missing"),
        ({"x": [1.0, 2.0, 3.0]}, "x: expected 2 numbers, got 3"),
    ],
)
def test_bad_events_name_their_line(change, words):
    who = agent("linear:arms=4:features=2")
    log = list(records(20, 2, 4))
    for name, value in change.items():
        setattr(log[13], name, value)
    with pytest.raises(UsageError, match=r"^made up:14: ") as caught:
        judged(who, log, evaluate=True)
    assert words in str(caught.value)


def test_latency_is_of_single_live_calls():
    who = agent("linear:arms=0:features=3")
    taken, compiled = learn_latency(who, encoder(who), records(30), KEY)
    assert taken.shape == (30,)
    assert np.all(taken > 0)
    assert compiled > 0


@pytest.mark.parametrize("policy", ["random", "bts"])
@pytest.mark.parametrize("campaign", ["men", "women"])
def test_real_recommendations(data, policy, campaign):
    path = data / "obd_small" / policy / campaign / f"{campaign}.csv.gz"
    log = open_log(str(path), "openbandit:context=position")
    who = agent(f"linear:arms={len(log.names)}:features={log.context}")
    judge = Prequential(False)
    for scored in replay_records(who, encoder(who, log.names), log.records, KEY):
        judge.add(scored)
    report = judge.report()
    assert report.events == 10_000
    assert report.failures == 0
    assert np.isfinite(report.nll.mean)
    assert report.total_gain > 0


@pytest.mark.parametrize("posterior", ["point", "laplace"])
def test_progressive_accuracy_on_real_websites(data, posterior):
    log = open_log(str(data / "river_phishing" / "phishing.csv.gz"), label="is_phishing")
    who = agent("logistic:arms=0:features=9:intercept=true:scale=3", posterior, refine=1)
    report = judged(who, log.records)
    # Published by plain logistic regression on standardised features: 89.28 %.
    assert report.accuracy.mean >= 0.89
    assert report.events == 1250
