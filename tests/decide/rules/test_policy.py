"""A trained policy in the loop: its rule, its proposer, what is refused, what a bench makes of it.

See also: tests/posteriors/methods/test_amortised.py for its memory and file,
tests/decide/training/test_training.py for training.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from console import call, lines
from uncertain.decide.judge.measures.experiment import Experiment, Row, check_experiment
from uncertain.decide.judge.measures.quality import Wanted, agent_and_world, quality
from uncertain.decide.loop.core.agent import build_agent, check_draws
from uncertain.decide.loop.core.rollout import roll_out
from uncertain.decide.rules.base import Candidates
from uncertain.decide.rules.registry import build_proposer, build_rule
from uncertain.decide.training.settings import Settings
from uncertain.decide.training.training import Training
from uncertain.posteriors.base import Draws, Summary
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.methods.amortised import Intention
from uncertain.posteriors.parts.policy_file import load_fitting_policy, save_policy
from uncertain.posteriors.parts.policy_network import NetworkShape
from uncertain.posteriors.registry import build_model
from uncertain.streams.worlds.registry import build_world

HORIZON = 4
MODEL = build_model("location")


@pytest.fixture
def spec(tmp_path: Path) -> str:
    """An untrained policy for location finding."""
    settings = Settings(HORIZON, 1, 4, 4, 1e-3, 0.98, 0.9, 0.999)
    training = Training(
        "location", MODEL, settings, NetworkShape(width=8, code=4, encoder=1, emitter=1)
    )
    save_policy(tmp_path / "policy.npz", training.artefact(over=True))
    return f"amortised:file={tmp_path}/policy.npz"


def offered(features: Any) -> Candidates:
    rows = jnp.asarray(features, jnp.float32)
    return Candidates(rows, jnp.ones(len(rows), bool), jnp.ones(len(rows)))


def test_the_nearest_candidate_is_taken() -> None:
    rule = build_rule("policy", MODEL)
    belief = Summary(Intention(jnp.asarray([1.0, -1.0]), jnp.zeros(())))
    near = offered([[0.0, 0.0], [1.1, -0.9], [1.0, 1.0]])
    for seed in range(5):
        made = rule(jax.random.key(seed), belief, MODEL, (), near)
        assert made.index == 1
        np.testing.assert_array_equal(made.propensity, [0, 1, 0])
    left = near._replace(valid=jnp.asarray([True, False, True]))
    assert rule(jax.random.key(0), belief, MODEL, (), left).index == 0


def test_the_loop_does_what_the_network_says(spec: str) -> None:
    agent, _ = build_agent(MODEL, spec, "policy")
    assert agent.candidates == 1
    _, trace = roll_out(agent, build_world("location"), HORIZON, 0, 3, probed=False)
    artefact, policy = load_fitting_policy(spec.partition("file=")[2], MODEL)
    for run in range(3):
        code = policy.start()
        for action, y in zip(trace.action[run], trace.observation[run], strict=True):
            wanted = policy.action(policy.emit(artefact.weights, code))
            np.testing.assert_allclose(action, wanted, rtol=1e-4, atol=1e-5)
            code = code + policy.encode(artefact.weights, policy.raw(jnp.asarray(action)), y)


def test_a_bench_takes_its_own_rule_and_judges_it(spec: str) -> None:
    cells = [Row(spec), Row("smc", particles=8)]
    experiment = check_experiment(
        Experiment(cells=cells, steps=HORIZON, seeds=2, proposer="prior"), "test"
    )
    own, other = experiment.resolved()
    assert (own.rule, own.proposer) == ("policy", None)
    assert (other.rule, other.proposer) == ("eig", "prior")
    found = quality(own, 0, 2, Wanted(samples=0, spce=200))
    assert np.all(np.isfinite(found["lower"]))
    assert np.all(found["lower"] <= found["upper"])
    assert "predicted" not in found


def test_a_run_asks_the_network_and_says_of_no_draws(spec: str) -> None:
    given = lines({"id": 1}, {"id": 1, "y": 0.5}, {"id": 2})
    done = call("run", "--model", "location", "--posterior", spec, "--rule", "policy", stdin=given)
    assert done.status == 0, done.err
    asked, learnt, again = done.rows
    assert (asked["draws"], asked["propensity"], learnt["nll"]) == (None, 1.0, None)
    assert len(again["action"]) == 2
    assert again["action"] != asked["action"]


def test_another_file_is_another_agent(spec: str, tmp_path: Path) -> None:
    """Or a program kept for the old weights would decide."""
    name = build_agent(MODEL, spec, "policy")[0].name
    assert name == build_agent(MODEL, spec, "policy")[0].name
    place = tmp_path / "policy.npz"
    artefact, _ = load_fitting_policy(place, MODEL)
    changed = {key: value + 1 for key, value in artefact.weights.items()}
    save_policy(place, artefact.__class__(**{**artefact.__dict__, "weights": changed}))
    assert build_agent(MODEL, spec, "policy")[0].name != name


@pytest.mark.parametrize(
    ("rule", "proposer", "says"),
    [
        ("eig", None, "rule eig needs draws"),
        ("policy", "around", "proposer around needs draws"),
    ],
)
def test_what_needs_draws_is_refused(spec: str, rule: str, proposer: Any, says: str) -> None:
    with pytest.raises(UsageError) as error:
        build_agent(MODEL, spec, rule, proposer=proposer)
    assert says in str(error.value)
    assert "posterior amortised" in str(error.value)


def test_the_others_are_refused(spec: str) -> None:
    with pytest.raises(UsageError, match=r"rule policy .*posterior smc"):
        build_agent(MODEL, "smc", "policy")
    with pytest.raises(UsageError, match=r"proposer emitted .*posterior smc"):
        build_agent(MODEL, "smc", "random", proposer="emitted")
    with pytest.raises(UsageError, match=r"replay needs draws.*posterior amortised"):
        check_draws(spec, "replay")
    check_draws("smc", "replay")
    with pytest.raises(UsageError, match=r"joint prediction needs draws.*posterior amortised"):
        check_experiment(Experiment(cells=[Row(spec)], steps=HORIZON, joint=3), "test")
    for kind, build in (("rule policy", build_rule), ("proposer emitted", build_proposer)):
        name = kind.split()[1]
        with pytest.raises(UsageError, match=f"{kind}.* are arms"):
            build(name, build_model("linear:arms=3"))
    rule = build_rule("policy", MODEL)
    draws = Draws(jnp.zeros((1, 4)), jnp.zeros(1))
    with pytest.raises(UsageError, match=r"rule policy .* Draws"):
        rule(jax.random.key(0), draws, MODEL, (), offered([[0.0, 0.0]]))
    cell = Experiment(cells=[Row(spec)], steps=HORIZON + 1).resolved()[0]
    with pytest.raises(UsageError, match="4 events of Location, not for 5"):
        agent_and_world(cell)


def test_random_actions_need_no_belief(spec: str) -> None:
    agent, _ = build_agent(MODEL, spec, "random")
    _, trace = roll_out(agent, build_world("location"), HORIZON, 0, 2, probed=False)
    assert np.all(np.isfinite(trace.action))
