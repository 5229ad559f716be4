"""`--attend K`: a decision looks at K of the draws that are kept, a belief keeps all."""

import jax
import numpy as np
import pytest
from uncertain.decide.judge.measures.experiment import Experiment, Grid
from uncertain.decide.loop.core.agent import build_agent, with_attend
from uncertain.decide.loop.core.step import blank_request, build_step
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.registry import build_model


def decided(posterior: str) -> tuple[int, np.ndarray]:
    """Draws kept, and the scores of one decision."""
    agent, _ = build_agent(build_model("location"), posterior, "eig", 64, candidates=8)
    step = build_step(agent)
    state = step.init(jax.random.key(0))
    decision = jax.jit(step.decide)(state, blank_request(agent))
    kept = jax.tree.leaves(agent.posterior.belief(jax.random.key(1), state.posterior, 0.0))[0]
    return len(kept), np.asarray(decision.scores)


def test_fewer_draws_are_looked_at_and_all_are_kept() -> None:
    every, whole = decided("smc")
    same, few = decided("smc:attend=2")
    assert every == same == 64
    # The gain is a mutual information: at most the log of the number of draws.
    assert few.max() <= np.log(2) + 1e-4 < whole.max()


@pytest.mark.parametrize("attend", [64, 200, "all"])
def test_as_many_as_are_kept_is_all(attend: int | str) -> None:
    np.testing.assert_array_equal(decided(with_attend("smc", attend))[1], decided("smc")[1])


def test_a_gaussian_is_drawn_from_as_often() -> None:
    assert decided("laplace:attend=2")[1].max() <= np.log(2) + 1e-4 < decided("laplace")[1].max()


def test_a_grid_has_a_row_for_each() -> None:
    cells = Experiment(grid=Grid(posterior=["smc"], attend=["8", "all"])).resolved()
    assert [cell.posterior for cell in cells] == ["smc:attend=8", "smc"]


@pytest.mark.parametrize("attend", ["0", "few", -3, 1.5, True])
def test_wrong_numbers_are_named(attend: object) -> None:
    with pytest.raises(UsageError, match=r"attend=.*whole number of draws.*or all"):
        build_agent(build_model("location"), f"smc:attend={attend}", "eig")
