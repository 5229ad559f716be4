"""The judge against closed forms, and against backends and proposals that are deliberately wrong.

See also: tests/decide/judge/engine/test_bench.py for the bench around it.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import SHIFT, Z
from uncertain.decide.judge.measures import gain as judging
from uncertain.decide.judge.measures.build_record import fit_slope, mean_se, ratio
from uncertain.decide.judge.measures.experiment import Cell
from uncertain.decide.judge.measures.gain import Bounds, contrastive_bounds, exact_gain, gain_bounds
from uncertain.decide.judge.measures.joint import (
    anchor_actions,
    joint_divergence,
    running_log_likelihood,
)
from uncertain.decide.judge.measures.quality import Wanted, agent_and_world, quality
from uncertain.decide.judge.measures.regret import regrets
from uncertain.decide.judge.records.read_record import to_dict
from uncertain.decide.judge.reference.likelihood import history_log_likelihood
from uncertain.decide.judge.reference.online import Reference, compute_reference, reference_kind
from uncertain.decide.loop.core.rollout import Trace, roll_out
from uncertain.decide.rules.base import arm_features
from uncertain.posteriors.base import Draws, Posterior
from uncertain.posteriors.models.finite import Finite
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.parts.unknowns import unknowns_of
from uncertain.posteriors.registry import build_model
from uncertain.streams.worlds.base import simulated_world

CELL = Cell("finite", "finite", "exact", "eig", None, None, 0, 32, 0.0, 6, 0, 40)

BACKENDS = """
from uncertain.posteriors.base import Draws
from uncertain.posteriors.methods.exact import Exact, build


def changed(model, belief):
    exact = build(model, Exact())
    return exact._replace(belief=lambda key, state, now: belief(exact.belief(key, state, now)))


def overconfident(model):
    import jax

    return changed(model, lambda b: Draws(b.values, jax.nn.log_softmax(10 * b.log_weights)))


def constant(model):
    exact = build(model, Exact())
    return exact._replace(absorb=lambda key, state, events: state)


def guess(model):
    import jax.numpy as jnp

    def one(b):
        likely = jnp.arange(b.log_weights.shape[0]) == jnp.argmax(b.log_weights)
        return Draws(b.values, jnp.where(likely, 0.0, -jnp.inf))

    return changed(model, one)
"""


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of posteriors that are wrong on purpose."""
    file = tmp_path_factory.mktemp("wrong") / "backends.py"
    file.write_text(BACKENDS)
    return file


# Total gain: a linear-Gaussian history with fixed designs, where everything has a closed form.

LINE = Linear(arms=0, features=2, noise=0.5)
DESIGNS = np.array([[1.0, 0.0], [0.5, 1.0], [-0.3, 0.8], [1.0, -1.0]])
RUNS = 96
SAMPLES = 200
KEY = jax.random.key(0)


@dataclass(frozen=True)
class Histories:
    truth: np.ndarray
    actions: np.ndarray
    observations: np.ndarray
    exact: np.ndarray
    draws: np.ndarray


@lru_cache(maxsize=1)
def histories() -> Histories:
    """Runs with their exact gains and 512 draws of each exact posterior."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(RUNS, 2))
    y = truth @ DESIGNS.T + LINE.noise * rng.normal(size=(RUNS, len(DESIGNS)))
    covariance = np.linalg.inv(np.eye(2) + DESIGNS.T @ DESIGNS / LINE.noise**2)
    mean = y @ DESIGNS @ covariance / LINE.noise**2
    noise = rng.normal(size=(RUNS, 512, 2)) @ np.linalg.cholesky(covariance).T
    actions = np.broadcast_to(DESIGNS, (RUNS, *DESIGNS.shape)).astype(np.float32)
    truth, y = truth.astype(np.float32), y.astype(np.float32)
    ref = compute_reference(LINE, KEY, actions, y, actions, y)
    moving = np.repeat(truth[:, None], len(DESIGNS), axis=1)
    exact = exact_gain(LINE, moving, actions, y, ref)
    return Histories(truth, actions, y, exact, (mean[:, None] + noise).astype(np.float32))


def closed_form() -> float:
    """Mutual information of the unknowns and all observations at the fixed designs."""
    return 0.5 * np.linalg.slogdet(np.eye(4) + DESIGNS @ DESIGNS.T / LINE.noise**2)[1]


def bracket(draws: np.ndarray) -> Bounds:
    h = histories()
    logs = np.full(draws.shape[:2], -np.log(draws.shape[1]), np.float32)
    ref = Reference(None, None, None, Draws(draws, logs))  # type: ignore[arg-type]
    judging._bounds.cache_clear()
    try:
        return gain_bounds(LINE, KEY, h.truth, h.actions, h.observations, ref, SAMPLES)
    finally:
        judging._bounds.cache_clear()


def below(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether the mean of `one` is no more than that of `two`, run by run."""
    gap = mean_se(one - two)
    return gap.mean <= Z * gap.se + 1e-4


def test_exact_gain_is_the_closed_form() -> None:
    found = mean_se(histories().exact)
    assert abs(found.mean - closed_form()) < Z * found.se
    # Gain that is twice what it should be is found out.
    assert abs(2 * found.mean - closed_form()) > Z * 2 * found.se


def test_exact_gain_is_bracketed_closely() -> None:
    h = histories()
    made = bracket(h.draws)
    assert below(made.lower, h.exact)
    assert below(h.exact, made.upper)
    assert np.mean(made.upper - made.lower) < 0.1
    assert np.median(made.ess) > SAMPLES / 4


def test_a_proposal_that_does_not_cover_flatters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "WIDTH", 0.01)
    monkeypatch.setattr(judging, "DEFENSIVE", 0.0)
    h = histories()
    made = bracket(h.draws)
    # The evidence estimate alone is biased low: taken for a lower bound, it fails.
    assert not below(made.upper, h.exact)
    assert below(made.lower, h.exact)
    assert np.median(made.ess) < SAMPLES / 4


def test_a_proposal_that_knows_the_truth_breaks_the_bracket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judging, "DEFENSIVE", 0.0)
    h = histories()
    noise = np.random.default_rng(1).normal(size=h.draws.shape)
    made = bracket((h.truth[:, None] + 0.01 * noise).astype(np.float32))
    assert not below(made.lower, h.exact)


def test_contrastive_bounds_and_their_cap() -> None:
    h = histories()
    made = contrastive_bounds(LINE, KEY, h.truth, h.actions, h.observations, 20)
    assert made.cap == pytest.approx(np.log(21))
    assert np.all(made.lower <= made.cap + 1e-5)
    assert below(made.lower, h.exact)
    assert below(h.exact, made.upper)


# Calibration: what an action promised against what it brought.


def played(world: str, posterior: str, runs: int = 160) -> dict[str, Any]:
    cell = replace(CELL, world=world, model=world, posterior=posterior, seed=SHIFT)
    return quality(cell, 0, runs, Wanted())


def unbiased(found: dict[str, Any], which: str) -> bool:
    made = fit_slope(found[f"{which}predicted"], found[f"{which}realised"])
    return abs(made.bias) < Z * made.se + 1e-5


SLOW = pytest.mark.statistical, pytest.mark.rate(1e-5)


@pytest.mark.parametrize("world", [pytest.param("number-game", marks=SLOW), "finite"])
def test_the_exact_posterior_is_calibrated(world: str) -> None:
    found = played(world, "exact")
    assert found["exact"].all()
    assert unbiased(found, "")
    assert unbiased(found, "probe_")


def test_an_overconfident_posterior_is_not(backends: Path) -> None:
    # Its prior is even, so that only what it has learnt is exaggerated.
    found = played("finite", f"{backends}:overconfident", 1200)
    assert not unbiased(found, "")
    assert not unbiased(found, "probe_")


def test_slope_and_bias_of_made_up_runs() -> None:
    promised = np.abs(np.random.default_rng(0).normal(size=(50, 4)))
    assert to_dict(fit_slope(promised, promised)) == pytest.approx({"slope": 1, "bias": 0, "se": 0})
    half = fit_slope(promised, promised / 2)
    assert half.slope == pytest.approx(0.5)
    assert half.bias == pytest.approx(-promised.mean() / 2)


# Regret.

ARMS = 3


def made_up(actions: np.ndarray) -> Trace:
    """A trace of `linear:arms=3:features=0` with the given arms `[N, T]` and random truths."""
    count, steps = actions.shape
    truth = np.random.default_rng(0).normal(size=(count, 1, ARMS)).repeat(steps, 1)
    offered = np.asarray(arm_features(ARMS, jnp.zeros(0)))
    features = np.broadcast_to(offered, (count, steps, *offered.shape))
    nothing = np.zeros((count, steps))
    return Trace(
        actions[..., None].astype(np.float32), nothing, None, features, None, None,
        truth.astype(np.float32), None, None, None, None, None, None, None, None, None,
    )  # fmt: skip


def test_regret_of_the_best_and_of_uniform_choices() -> None:
    model = Linear(arms=ARMS, features=0)
    around = made_up(np.tile(np.arange(ARMS), (20, 2)))
    best = around.truth.argmax(-1)
    found = regrets(simulated_world(model), made_up(best))
    assert np.allclose(found["regret"], 0, atol=1e-5)
    found = regrets(simulated_world(model), around)
    # Every arm twice is what uniform choices pay on average.
    assert np.allclose(found["regret"], found["uniform"], rtol=1e-4)
    assert 100 * ratio(found["regret"], found["uniform"]).mean == pytest.approx(100, rel=1e-4)
    worst = regrets(simulated_world(model), made_up(around.truth.argmin(-1)))
    assert np.all(worst["regret"] > worst["uniform"])
    gaps = around.truth.max(-1) - around.truth.min(-1)
    assert np.allclose(worst["regret"], gaps.sum(1), rtol=1e-4)


def test_no_reward_no_regret() -> None:
    assert regrets(simulated_world(build_model("location")), made_up(np.zeros((1, 1), int))) == {}


# Joint prediction, fidelity, kinds of reference.


@pytest.mark.statistical
@pytest.mark.rate(1e-5)
def test_joint_prediction_tells_a_posterior_from_a_guess(backends: Path) -> None:
    wanted = Wanted(joint=(5,), gain=False)
    short = replace(CELL, steps=3, rule="random")
    exact = quality(short, 0, 200, wanted)["joint"][:, 0]
    guess = quality(replace(short, posterior=f"{backends}:guess"), 0, 200, wanted)["joint"][:, 0]
    assert not below(guess, exact)
    assert mean_se(exact).mean > -Z * mean_se(exact).se


def test_the_truth_predicts_perfectly() -> None:
    agent, world = agent_and_world(replace(CELL, rule="random"))
    _, trace = roll_out(agent, world, 3, 0, 8)

    def belief(key: Any, state: Any, now: Any) -> Draws:
        return Draws(state[None], jnp.zeros(1))

    knowing = agent._replace(posterior=Posterior(None, None, None, belief))  # type: ignore[arg-type]
    found = joint_divergence(knowing, world, trace.truth[:, -1], trace, KEY, (5, 60))
    # Sixty logs in float32, added on both sides.
    assert found.shape == (8, 2)
    assert np.allclose(found, 0, atol=1e-4)


@pytest.mark.parametrize("name", ["linear", "logistic", "testbed:hidden=(3,)", "causal-pair"])
def test_running_likelihoods_end_in_that_of_the_history(name: str) -> None:
    """Of scalar and finite outcomes, and of those that depend on what came before."""
    model = build_model(name)
    keys = jax.random.split(KEY, 3)
    anchors = np.asarray(jax.jit(anchor_actions, static_argnums=1)(keys[0], model))
    pick = np.asarray([0, 1, 1, 0, 1])
    if name == "causal-pair":  # arm 0 observes, the others forbid some outcomes
        anchors = np.zeros_like(anchors)
    particles = jax.jit(unknowns_of(model).sample, static_argnums=1)(keys[1], 4).T
    ys = np.asarray([0.0, 1.0, 0.0, 1.0, 1.0], np.float32)
    stats = model.init_stats()
    running = jax.jit(running_log_likelihood, static_argnums=0)
    history = jax.jit(history_log_likelihood, static_argnums=0)
    found = np.asarray(running(model, particles, anchors, pick, ys, stats))
    for t in range(1, 6):
        rows = anchors[pick[:t]]
        expected = history(model, particles, rows, ys[:t], stats)
        assert np.allclose(found[t - 1], expected, rtol=1e-4, atol=1e-5)
    # Negative control: other answers.
    other = history(model, particles, anchors[pick], np.zeros(5, np.float32), stats)
    assert not np.allclose(found[-1], other, rtol=1e-2)


def test_a_point_falls_behind_in_proportion_to_tau_a_posterior_by_its_logarithm() -> None:
    world, wanted = "logistic:arms=0:features=2", Wanted(joint=(1, 50), gain=False)
    cell = replace(CELL, world=world, model=world, rule="random", steps=5, candidates=2)
    point = quality(replace(cell, posterior="point", refine=50), 0, 24, wanted)["joint"]
    particles = replace(cell, posterior="smc", particles=128, refine=2)
    posterior = quality(particles, 0, 24, wanted)["joint"]
    assert point.shape == posterior.shape == (24, 2)
    ratio_of = [found[:, 1].mean() / found[:, 0].mean() for found in (point, posterior)]
    # Each row costs a point as much as the first; Bayes learns from fifty of two kinds.
    assert 40 < ratio_of[0] < 60
    assert ratio_of[1] < 25


def test_settling_goes_on_after_the_last_event() -> None:
    world = "linear:arms=0:features=2"
    cell = replace(CELL, world=world, model=world, rule="random", steps=8, candidates=2)
    found = {}
    for settle in (0, 400):
        agent, true = agent_and_world(replace(cell, posterior="point:jitter=1", refine=0))
        states, trace = roll_out(agent, true, 8, 0, 4, settle=settle)
        assert trace.healthy.all()
        found[settle] = states.estimate.params
    design = trace.action.astype(float)
    noise = build_model(world).noise
    for run in range(4):
        precision = design[run].T @ design[run] / noise**2 + np.eye(2)
        exact = np.linalg.solve(precision, design[run].T @ trace.observation[run] / noise**2)
        assert np.allclose(found[400][run], exact, atol=0.05)
    # Negative control: without it nothing has been learnt.
    assert not np.allclose(found[0], found[400], atol=0.3)


def test_fidelity_of_the_exact_posterior_is_one(backends: Path) -> None:
    wanted = Wanted(fidelity=True)
    exact = quality(CELL, 0, 200, wanted)
    assert ratio(exact["bought"], exact["best"]).mean == pytest.approx(1, abs=1e-5)
    constant = quality(replace(CELL, posterior=f"{backends}:constant"), 0, 200, wanted)
    assert np.array_equal(constant["best"], exact["best"])
    found = ratio(constant["bought"], constant["best"])
    assert found.mean < 1 - Z * found.se


@pytest.mark.parametrize(
    ("model", "expected"),
    {
        "linear": "linear",
        "drifting": "linear",
        "finite": "enumerated",
        "number-game": "enumerated",
        "causal-pair": "enumerated",
        "location": "sampled",
        "logistic": "sampled",
        "discounting": "sampled",
        "testbed:hidden=(5,)": "sampled",
        "testbed": "none",
    }.items(),
)
def test_kinds_of_reference(model: str, expected: str) -> None:
    assert reference_kind(build_model(model)) == expected


def test_the_enumerated_reference_is_bayes() -> None:
    model = Finite()
    arms, answers = np.array([[0, 1, 0, 0]]), np.array([[1, 0, 1, 0]])
    actions = arms[..., None].astype(np.float32)
    y = answers.astype(np.float32)
    found = compute_reference(model, KEY, actions, y, actions[:, ::-1], 1 - y)
    table, weights = np.asarray(model.table), np.full(4, 0.25)
    for t in range(4):
        like = table[:, arms[0, t], answers[0, t]]
        probe = table[:, arms[0, ::-1][t], 1 - answers[0, t]]
        assert found.log_marginal[0, t] == pytest.approx(np.log(weights @ like), abs=1e-5)
        assert found.probe_log_marginal[0, t] == pytest.approx(np.log(weights @ probe), abs=1e-5)
        weights = weights * like / (weights @ like)
