"""Off-policy estimates against closed forms, a simulated truth, and logs that lie."""

import numpy as np
import pytest
from support import Z
from uncertain.decide.judge.measures.offpolicy import OffPolicy

MU = np.array([0.7, 0.2, 0.1])
"""Logging probabilities of three arms."""
PI = np.array([0.1, 0.3, 0.6])
"""The rule's."""
PAY = np.array([0.2, 0.5, 0.8])
"""Mean rewards: the rule is worth PI @ PAY = 0.65, the log 0.32."""
N = 20_000


def simulated(seed=0, n=N, probabilities=MU):
    rng = np.random.default_rng(seed)
    arm = rng.choice(3, n, p=MU)
    reward = (rng.random(n) < PAY[arm]).astype(float)
    return arm, reward, probabilities[arm], PI[arm]


def estimates(arm, reward, logged, evaluated, guess=None):
    value = OffPolicy()
    for part in np.array_split(np.arange(len(arm)), 7):
        extra = () if guess is None else (guess[arm[part]], np.full(len(part), PI @ guess))
        value.add(reward[part], logged[part], evaluated[part], *extra)
    return value.evaluate()


def test_running_sums_equal_the_closed_forms():
    arm, r, mu, pi = simulated(n=500)
    q = np.array([0.1, 0.4, 0.9])
    got = estimates(arm, r, mu, pi, q)
    w = pi / mu
    dr = q @ PI + w * (r - q[arm])
    assert got.ips.value == pytest.approx((w * r).mean())
    assert got.ips.se == pytest.approx((w * r).std(ddof=1) / np.sqrt(500))
    snips = (w * r).sum() / w.sum()
    assert got.snips.value == pytest.approx(snips)
    assert got.snips.se == pytest.approx(np.sqrt(np.square(w * (r - snips)).sum()) / w.sum())
    assert got.dr is not None
    assert got.dr.value == pytest.approx(dr.mean())
    assert got.dr.se == pytest.approx(dr.std(ddof=1) / np.sqrt(500))
    assert got.ess == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert got.ips.high - got.ips.low == pytest.approx(2 * 1.959964 * got.ips.se)


def test_the_true_value_is_found():
    got = estimates(*simulated(), guess=np.array([0.3, 0.3, 0.6]))
    truth = PI @ PAY
    for estimate in (got.ips, got.snips, got.dr):
        # Z standard errors: a false alarm once in 100 000.
        assert abs(estimate.value - truth) < Z * estimate.se
    assert abs(got.logged.value - MU @ PAY) < Z * got.logged.se
    assert got.verdict.believe
    assert got.dr.se < got.ips.se


def test_errors_are_as_large_as_they_say():
    runs = [estimates(*simulated(seed, 1000), guess=PAY) for seed in range(300)]
    for pick in ("ips", "snips", "dr"):
        values = np.array([getattr(run, pick).value for run in runs])
        stated = np.mean([getattr(run, pick).se for run in runs])
        # A standard deviation from 300 runs has a relative error of 1 / sqrt(600).
        assert abs(values.std() / stated - 1) < Z / np.sqrt(600)


def test_doubly_robust_survives_a_bad_prediction():
    got = estimates(*simulated(), guess=np.array([5.0, -3.0, 2.0]))
    assert abs(got.dr.value - PI @ PAY) < Z * got.dr.se


def test_wrong_propensities_are_missed_by_nobody():
    """Negative control: the estimate is off, and the verdict says not to believe it."""
    wrong = np.array([0.4, 0.3, 0.3])
    got = estimates(*simulated(probabilities=wrong))
    assert abs(got.ips.value - PI @ PAY) > Z * got.ips.se
    assert not got.verdict.believe
    assert "propensities" in got.verdict.why


def test_few_effective_events_are_not_believed():
    rng = np.random.default_rng(0)
    logged = np.where(rng.random(5000) < 0.01, 1e-4, 0.9)
    got_value = OffPolicy()
    got_value.add(rng.random(5000), logged, np.full(5000, 0.5))
    got = got_value.evaluate()
    assert got.ess < 100
    assert not got.verdict.believe
    assert "effective sample" in got.verdict.why


def test_evaluating_the_logging_rule_gives_the_log():
    _, reward, logged, _ = simulated()
    value = OffPolicy()
    value.add(reward, logged, logged)
    got = value.evaluate()
    assert got.ips.value == got.snips.value == pytest.approx(reward.mean())
    assert got.ess == pytest.approx(N)
    assert got.dr is None


def test_a_propensity_of_zero_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        OffPolicy().add([1.0], [0.0], [0.5])


def test_a_weight_counts_as_repetitions():
    """Estimates, errors, sample size and verdict are those of the log with repeated events."""
    arm, reward, logged, evaluated = simulated(n=400)
    times = np.random.default_rng(5).integers(0, 4, 400)
    guess = np.array([0.1, 0.4, 0.9])
    extra = guess[arm], np.full(400, PI @ guess)
    weighted, repeated, ignored = OffPolicy(), OffPolicy(), OffPolicy()
    real = times > 0
    weighted.add(*(v[real] for v in (reward, logged, evaluated, *extra)), times[real])
    repeated.add(*(np.repeat(v, times) for v in (reward, logged, evaluated, *extra)))
    ignored.add(*(v[real] for v in (reward, logged, evaluated, *extra)))
    a, b, c = (value.evaluate() for value in (weighted, repeated, ignored))
    for name in ("ips", "snips", "dr", "logged", "weight"):
        assert getattr(a, name) == pytest.approx(getattr(b, name))
        # Negative control: without weights all of them differ.
        assert getattr(c, name).se != pytest.approx(getattr(b, name).se)
    assert a.ess == pytest.approx(b.ess)
    assert a.verdict == b.verdict


def test_tiny_propensities_are_taken_in_double_precision():
    value = OffPolicy()
    value.add([1.0] * 60, [0.5] * 59 + [1e-46], [0.5] * 60)
    got = value.evaluate()
    assert got.ips.value == pytest.approx(0.5e46 / 60)
    assert np.isfinite(got.ips.se)
    assert got.ips.low is None


@pytest.mark.parametrize("rewards", [[0.0, 1.0] * 20, [1.0] * 200])
def test_no_interval_of_few_events_or_of_no_width(rewards):
    value = OffPolicy()
    value.add(rewards, [0.5] * len(rewards), [0.5] * len(rewards))
    got = value.evaluate()
    assert (got.ips.low, got.ips.high) == (got.logged.low, got.logged.high) == (None, None)


@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_those_of_vw_estimators(weighted):
    """An event that counts three times is three events to them. See benchmarks/off_policy_peers.py
    for Open Bandit Pipeline, whose DR is compared too."""
    bandits = pytest.importorskip("estimators.bandits.ips", reason="pip install vw-estimators")
    from estimators.bandits import snips

    _, reward, mu, pi = simulated(n=300)
    times = np.arange(300) % 3 + 1 if weighted else np.ones(300, int)
    value = OffPolicy()
    value.add(reward, mu, pi, weight=times.astype(float))
    got = value.evaluate()
    theirs = bandits.Estimator(), snips.Estimator()
    for each in zip(*(np.repeat(x, times) for x in (mu, reward, pi)), strict=True):
        for estimator in theirs:
            estimator.add_example(*each)
    assert got.ips.value == pytest.approx(theirs[0].get(), abs=1e-9)
    assert got.snips.value == pytest.approx(theirs[1].get(), abs=1e-9)
    # Negative control: each event once is another value.
    if weighted:
        assert abs((pi / mu * reward).mean() - theirs[0].get()) > 1e-3
