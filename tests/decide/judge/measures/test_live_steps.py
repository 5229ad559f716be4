"""Judged steps taken again live: which, what differs, and the verdict on the frontier.

See also: tests/statistical/test_gaming.py for cheats that are found, and
tests/decide/loop/core/test_executions.py for whole histories.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from uncertain.cli.report.data import group_sections
from uncertain.cli.report.page import render_page
from uncertain.cli.tables.bench_table import bench_table, list_bench_remarks, render_bench_markdown
from uncertain.cli.tables.columns import page_columns
from uncertain.cli.tables.results import Result
from uncertain.decide.judge.measures.executions.judged_steps import (
    CHECKED,
    ROOM,
    WIDTH,
    JudgedSteps,
    choose_steps,
    keep_steps,
    states_to_keep,
    take_steps,
)
from uncertain.decide.judge.measures.executions.live_steps import (
    FEW,
    MATERIAL,
    StepDistances,
    judge_distances,
    same_choice,
    take_again,
)
from uncertain.decide.judge.measures.experiment import Cell
from uncertain.decide.judge.measures.quality import Wanted, agent_and_world, quality
from uncertain.decide.judge.records.mark_frontier import UNMOVED, mark_frontier, why_struck
from uncertain.decide.judge.records.read_record import record_of, to_dict
from uncertain.decide.judge.records.record import Apart, Record
from uncertain.decide.loop.core.packing import build_packing, unpack_on_host
from uncertain.decide.loop.core.rollout import roll_out
from uncertain.decide.loop.core.step import Agent, Decision

CELL = Cell("location", "location", "hmc", "eig", None, 8, 2, 4, 0.0, 6, 0, 5)


@pytest.fixture(scope="module")
def judged() -> tuple[Agent, Any, JudgedSteps]:
    """An agent, its world, and steps that it was judged by."""
    agent, world = agent_and_world(CELL)
    chosen = choose_steps(agent, CELL.steps)
    _, trace = roll_out(
        agent, world, CELL.steps, CELL.seed, CELL.seeds, kept=states_to_keep(chosen)
    )
    steps = take_steps(keep_steps(trace, chosen, 0))
    assert steps is not None
    return agent, world, steps


def test_steps_lie_at_the_start_in_the_middle_and_at_the_end() -> None:
    agent, _ = agent_and_world(CELL)
    assert choose_steps(agent, 6) == (0, 1, 2, 3, 4, 5)
    assert choose_steps(agent, 100) == (*range(8), 50, 51, 52, 53, 96, 97, 98, 99)
    assert states_to_keep((0, 1, 7)) == (0, 1, 2, 7, 8)


def test_large_states_keep_few_steps() -> None:
    agent, _ = agent_and_world(CELL)

    def sized(numbers: int) -> Agent:
        grown = agent.posterior._replace(init=lambda key: jnp.zeros(numbers))
        return agent._replace(posterior=grown)

    for numbers in (2**16, 2**18, 2**19, 2**24):
        kept = states_to_keep(choose_steps(sized(numbers), 100))
        assert 4 * numbers * WIDTH * (len(kept) + 1) <= ROOM or not kept
    assert len(choose_steps(sized(2**16), 100)) == 16
    assert 0 < len(choose_steps(sized(2**18), 100)) < 16
    assert choose_steps(sized(2**24), 100) == ()


def test_keeping_states_changes_no_history(judged: tuple[Agent, Any, JudgedSteps]) -> None:
    agent, world, steps = judged
    _, plain = roll_out(agent, world, CELL.steps, CELL.seed, CELL.seeds)
    assert plain.kept == ()
    for name in ("action", "observation", "features", "context"):
        # Two programs, which need not round alike wherever they are compiled.
        one, two = getattr(steps, name), getattr(plain, name)[:CHECKED]
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-3, err_msg=name)


def test_pieces_of_a_cell_keep_the_same_steps() -> None:
    whole = quality(CELL, 0, 5, Wanted(samples=0, spce=1, gain=False))
    parts = [
        quality(CELL, first, n, Wanted(samples=0, spce=1, gain=False))
        for first, n in ((0, 3), (3, 2))
    ]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in whole}
    one, two = take_steps(whole), take_steps(joined)
    assert one is not None
    assert two is not None
    assert one.number.shape == two.number.shape == (CHECKED, CELL.steps)
    assert np.array_equal(one.run, two.run)
    # Nothing is left among the measures, and nothing is there a second time.
    assert all(not name.startswith("judged.") for name in whole)
    assert take_steps(whole) is None


def test_leaves_on_the_host_are_those_that_were_packed() -> None:
    tree = {
        "a": jnp.arange(3.0), "b": jnp.asarray([True, False]), "c": jnp.full((2, 2), -7, jnp.int32),
        "d": jnp.zeros(70_000), "e": jnp.asarray(3, jnp.uint32),
    }  # fmt: skip
    packed = jax.vmap(build_packing(tree).pack)(jax.tree.map(lambda x: jnp.stack([x, x]), tree))
    found = unpack_on_host(tree, tuple(np.asarray(part) for part in packed))
    for leaf, wanted in zip(found, jax.tree.leaves(tree), strict=True):
        assert leaf.dtype == wanted.dtype
        assert np.array_equal(leaf, np.stack([wanted, wanted]))


def test_an_honest_method_is_the_same(judged: tuple[Agent, Any, JudgedSteps]) -> None:
    agent, world, steps = judged
    found = take_again(agent, world, CELL.seed, steps)
    assert found.start.max() < 1e-5
    assert np.median(found.learnt) < 1e-3
    assert judge_distances(steps, found).step is None
    assert not found.unmoved.any()


def changed(part: str) -> Callable[[Agent], Agent]:
    """A change to an agent that only its live calls have."""

    def change(agent: Agent) -> Agent:
        old = agent.posterior
        if part == "init":
            return agent._replace(
                posterior=old._replace(init=lambda key: old.init(jax.random.key(9)))
            )
        if part == "absorb":
            skipped = old._replace(absorb=lambda key, state, events: state)
            return agent._replace(posterior=skipped)
        if part == "refine":
            return agent._replace(refine=agent.refine + 1)
        if part == "belief":

            def moved(key: Any, state: Any, now: Any) -> Any:
                return jax.tree.map(lambda x: x + 0.1, old.belief(key, state, now))

            return agent._replace(posterior=old._replace(belief=moved))
        assert part == "rule"

        def lowest(*given: Any) -> Any:
            choice = agent.rule(*given)
            worst = jnp.argmin(choice.scores)
            return choice._replace(index=worst.astype(choice.index.dtype))

        return agent._replace(rule=lowest)

    return change


@pytest.mark.parametrize("part", ["init", "absorb", "refine", "belief", "rule"])
def test_a_part_that_differs_live_is_found(
    judged: tuple[Agent, Any, JudgedSteps], part: str
) -> None:
    agent, world, steps = judged
    other = changed(part)(agent)._replace(name=None)
    verdict = judge_distances(steps, take_again(other, world, CELL.seed, steps))
    assert verdict.step == 0
    assert verdict.share > FEW
    assert verdict.compared == steps.number.size


def distances(learnt: Any, shape: tuple[int, int] = (2, 10)) -> StepDistances:
    values = np.broadcast_to(np.asarray(learnt, float), shape)
    return StepDistances(np.zeros(shape[0]), values, np.ones(shape, bool), np.zeros(shape, bool))


def test_a_few_steps_may_part_and_the_first_of_many_is_named() -> None:
    made: Any = [None] * 6
    steps = JudgedSteps(np.tile(np.arange(10), (2, 1)), np.zeros((2, 10)), *made)
    once = np.where(np.arange(10) == 4, 1.0, 0.0)
    assert judge_distances(steps, distances(once * [[1], [0]])) == Apart(None, 0.05, 20)
    often = np.where(np.arange(10) >= 4, 2 * MATERIAL, 0.5 * MATERIAL)
    assert judge_distances(steps, distances(often)) == Apart(4, 0.6, 20)
    assert judge_distances(steps, distances(np.nan)) == Apart(0, 1.0, 20)
    begun = distances(0.0)._replace(start=np.asarray([0.0, np.inf]))
    assert judge_distances(steps, begun) == Apart(0, 0.5, 20)


def test_a_choice_as_good_is_the_same() -> None:
    features = np.asarray([[0.0], [1.0], [2.0]])

    def chose(index: int, scores: list[float], features: np.ndarray = features) -> Decision:
        made: Any = np.asarray(index), features[index], np.asarray(scores), np.ones(3) / 3, features
        return Decision(*made)

    assert same_choice(chose(1, [0.0, 1.0, 0.5]), features, features[1])
    assert same_choice(chose(1, [0.0, 1.0, 0.999]), features, features[2])
    assert not same_choice(chose(1, [0.0, 1.0, 0.9]), features, features[2])
    assert not same_choice(chose(1, [0.0, 1.0, 0.5], features + 1), features, features[1])


def row(name: str, p99: float, above: float, **more: Any) -> Record:
    times = {**dict.fromkeys(("p50", "p95", "p99", "max"), p99), "n": 1}
    made = {
        "world": "location", "model": "location", "posterior": name, "rule": "eig",
        "particles": 8, "refine": 1, "steps": 6, "seeds": 5, "total": times, "decide": times,
        "learn": times, "gain": {"above_random": {"mean": above, "se": 0.1}}, "config": {},
    }  # fmt: skip
    return record_of(made | more)


APART = {"step": 3, "share": 0.5, "compared": 64}


@pytest.mark.parametrize("why", [{"apart": APART}, {"unmoved": UNMOVED}])
def test_a_struck_record_has_no_star_and_says_so(why: dict[str, Any]) -> None:
    honest, cheat = row("smc", 2e-3, 3.0), row("mine", 1e-3, 3.0, frontier=True, **why)
    mark_frontier([honest, cheat])
    assert [honest.frontier, cheat.frontier] == [True, False]
    reason = why_struck(cheat)
    assert reason
    assert why_struck(honest) is None
    said = [line for line in list_bench_remarks([honest, cheat]) if reason in line]
    assert len(said) == 1
    assert "mine" in said[0]
    # Negative control: without the finding the cheaper one has the star, alone.
    clean = row("mine", 1e-3, 3.0)
    mark_frontier([honest, clean])
    assert [honest.frontier, clean.frontier] == [False, True]
    assert not any("struck" in line for line in list_bench_remarks([honest, clean]))


def test_tables_have_the_column_where_a_record_is_apart() -> None:
    honest, cheat = row("smc", 2e-3, 3.0), row("mine", 1e-3, 3.0, apart=APART)
    same = row("smc", 2e-3, 3.0, apart={"step": None, "share": 0.0, "compared": 64}, unmoved=0.0)
    assert "apart at" in render_bench_markdown([honest, cheat])
    assert "apart at" not in render_bench_markdown([honest, same])
    assert bench_table([honest, cheat], 200).row_count == 2
    assert [c.field for c in page_columns([cheat]) if c.field == "apart.step"]
    fields = {column.field for column in page_columns([same])}
    assert not fields & {"apart.step", "unmoved"}


def test_pages_name_what_is_struck() -> None:
    pytest.importorskip("vl_convert")
    honest, cheat = row("smc", 2e-3, 3.0), row("mine", 1e-3, 3.0, apart=APART)
    for rows, named in (([honest, cheat], True), ([honest], False)):
        sections = group_sections([Result(one) for one in rows])
        page = render_page("page", [(section, []) for section in sections], [], [])
        assert ("mine S=8 k=1 eig is struck from the frontier" in page) == named
        assert ("apart at" in page) == named


def test_records_of_before_can_be_read() -> None:
    old = to_dict(row("smc", 2e-3, 3.0))
    del old["apart"], old["unmoved"]
    read = record_of(old)
    assert read.apart is None
    assert read.unmoved is None
    assert record_of(to_dict(row("smc", 2e-3, 3.0, apart=APART))).apart == Apart(3, 0.5, 64)


def test_random_actions_need_learn_nothing() -> None:
    idle = row("smc", 2e-3, 0.0, rule="random", unmoved=1.0)
    assert why_struck(idle) is None
    assert why_struck(row("smc", 2e-3, 0.0, unmoved=1.0))
