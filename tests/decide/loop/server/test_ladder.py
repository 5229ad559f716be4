"""Deadlines: the rung taken; the first does everything, others less, and nothing recompiles."""

import time
from itertools import count, pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from uncertain.decide.loop.core.agent import build_agent
from uncertain.decide.loop.core.compiled import build_live
from uncertain.decide.loop.core.step import blank_request
from uncertain.decide.loop.server import deadline
from uncertain.decide.loop.server import ladder as ladders
from uncertain.decide.loop.server.ladder import (  # fmt: skip
    BEYOND,
    RECENT,
    SPARE,
    Ladder,
    Load,
    Rung,
    build_decide_variants,
    build_learn_variants,
    cheaper_rungs,
    median_seconds,
    rung_sizes,
)
from uncertain.decide.rules.base import thin_draws
from uncertain.decide.rules.registry import build_rule
from uncertain.posteriors.base import Draws
from uncertain.posteriors.placeholders import example_event
from uncertain.posteriors.registry import build_model

MODEL = build_model("location")
AGENT, _ = build_agent(MODEL, "smc", "eig", 64, 4, candidates=32)


@pytest.fixture
def each_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way half as dear as the last, whatever this machine would say of ways so small."""
    halves = count()
    monkeypatch.setattr(ladders, "median_seconds", lambda call: 1e-3 * 0.5 ** next(halves))


def rule_of(draws: int):
    return build_rule("eig", MODEL, 0.0, draws)


def test_rungs_go_from_all_to_a_few() -> None:
    found = rung_sizes(128, 32, False)
    assert found[0] == Rung(128, 32)
    assert found[-1] == Rung(4, 4)
    assert all(a.draws * a.candidates > b.draws * b.candidates for a, b in pairwise(found))
    assert {rung.candidates for rung in rung_sizes(128, 10, True)} == {10}
    assert rung_sizes(2, 3, False) == (Rung(2, 3),)
    assert rung_sizes(0, 32, False)[-1] == Rung(0, 4)


def test_rungs_that_save_nothing_are_left_out() -> None:
    assert cheaper_rungs([10.0, 9.5, 8.0, 8.1, 1.0]) == [0, 2, 4]
    assert cheaper_rungs([1.0]) == [0]


def test_the_largest_rung_that_fits_is_taken() -> None:
    ladder = Ladder([0.010, 0.005, 0.001], Load())
    assert ladder.pick(0.020) == (0, True)
    assert ladder.pick(0.010 * SPARE) == (0, True)
    assert ladder.pick(0.006 * SPARE) == (1, True)
    assert ladder.pick(0.001 * SPARE) == (2, True)
    assert ladder.pick(0.0009 * SPARE) == (2, False)
    assert ladder.pick(-1.0) == (2, False)


def test_a_slow_machine_moves_down_and_a_quick_one_up_again() -> None:
    ladder = Ladder([0.010, 0.005, 0.001], Load())
    for _ in range(RECENT):
        ladder.record_time(2, 0.003)
    assert ladder.pick(0.012 * SPARE) == (2, True)
    for _ in range(RECENT):
        ladder.record_time(2, 0.001)
    assert ladder.pick(0.012 * SPARE) == (0, True)


def test_a_few_stalls_do_not_move_it() -> None:
    ladder = Ladder([0.010, 0.001], Load())
    for _ in range(RECENT):
        ladder.record_time(0, 0.010)
    for _ in range(BEYOND):
        ladder.record_time(0, 1.0)
    assert ladder.pick(0.011 * SPARE) == (0, True)
    ladder.record_time(0, 1.0)
    assert ladder.pick(0.011 * SPARE) == (1, False)


def test_time_around_the_call_is_set_aside() -> None:
    ladder = Ladder([0.010, 0.001], Load())
    for _ in range(RECENT):
        ladder.overhead.add(0.002)
    assert ladder.pick(0.010 * SPARE + 0.003) == (0, True)
    assert ladder.pick(0.010 * SPARE + 0.001) == (1, True)


def test_thinning_keeps_the_weights() -> None:
    weights = np.array([0.5, 0.25, 0.0, 0.25])
    draws = Draws(jnp.arange(4.0)[:, None], jnp.log(jnp.asarray(weights)))
    # One uniform and even places: each count is its expectation, up to less than one.
    for seed in range(20):
        found = thin_draws(jax.random.key(seed), draws, 3)
        assert found.values.shape == (3, 1)
        np.testing.assert_allclose(np.exp(found.log_weights).sum(), 1, rtol=1e-5)
        counts = np.bincount(np.ravel(found.values).astype(int), minlength=4)
        assert (np.abs(counts - 3 * weights) < 1).all()
        assert counts[2] == 0
    assert thin_draws(jax.random.key(0), draws, 4) is draws


def packed_after(live, count: int = 3):
    packed = live.init(jax.random.key(0))
    blank = jax.tree.map(np.asarray, example_event(MODEL))
    for n in range(count):
        event = blank._replace(observation=np.asarray(n + 1.0), id=n, weight=1.0)
        packed, _ = live.learn(packed, live.write_event(event))
    return packed


def test_seconds_are_those_of_the_call() -> None:
    assert 1e-3 <= median_seconds(lambda: time.sleep(1e-3)) < 0.1
    calls: list[None] = []
    median_seconds(lambda: calls.append(None))
    assert len(calls) > 10


@pytest.mark.usefixtures("each_cheaper")
def test_the_first_rung_is_the_decision_in_full_and_all_are_of_their_size() -> None:
    live = build_live(AGENT)
    choices = build_decide_variants(AGENT, 0, rule_of, Load())
    assert choices.variants[0] == Rung(64, 32)
    assert choices.variants[-1] == Rung(4, 4)
    packed = packed_after(live)
    blank = jax.tree.map(np.asarray, blank_request(AGENT))
    whole = live.read_decision(np.asarray(live.decide(packed, live.write_request(blank))))
    for number, (rung, call) in enumerate(choices.calls.items()):
        kept = slice(rung.candidates)
        request = blank._replace(valid=blank.valid[kept], cost=blank.cost[kept])
        made = call.read_decision(np.asarray(call.decide(packed, call.write_request(request))))
        assert made.scores.shape == (rung.candidates,)
        assert made.propensity.sum() == pytest.approx(1, abs=1e-5)
        same = number == 0
        assert np.array_equal(made.action, whole.action) is same


@pytest.mark.usefixtures("each_cheaper")
def test_learning_less_refines_less_and_takes_the_event_in_all_the_same() -> None:
    lessons = build_learn_variants(AGENT, Load())
    assert lessons.variants[0] == 4
    assert list(lessons.variants) == sorted(lessons.variants, reverse=True)
    live = build_live(AGENT)
    event = jax.tree.map(np.asarray, example_event(MODEL))._replace(observation=1.0, weight=1.0)
    steps, work = [], []
    for call in lessons.calls.values():
        packed, report = call.learn(live.init(jax.random.key(0)), call.write_event(event))
        steps.append(int(call.unpack(packed).step))
        work.append(float(call.read_learned(np.asarray(report)).work))
    assert set(steps) == {1}
    assert work == pytest.approx([work[0] * k / 4 for k in lessons.calls])
    assert work[0] > 0


@pytest.mark.usefixtures("each_cheaper")
def test_a_pace_falls_to_the_last_rung_when_late_and_never_recompiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = build_live(AGENT)
    pace = deadline.DeadlineControl(AGENT, live, {live: 0}, 1.0, rule_of)
    before = pace.traces()
    blank = jax.tree.map(np.asarray, blank_request(AGENT))
    packed = packed_after(live)
    pace.begin()
    _, _, calm = pace.decide(live, packed, blank, live.write_request(blank))
    assert calm["rung"]["number"] == 0
    assert calm["fallback"] is False
    pace.begin(arrived=time.perf_counter_ns() - 2 * 10**9)
    left = pace.seconds_left()
    assert left is not None
    assert left < 0
    decision, _, late = pace.decide(live, packed, blank, live.write_request(blank))
    assert late["fallback"] is True
    assert decision.scores.shape == (late["rung"]["candidates"],)
    assert late["rung"]["draws"] * late["rung"]["candidates"] < 64 * 32
    event = jax.tree.map(np.asarray, example_event(MODEL))._replace(weight=1.0)
    _, _, _, said = pace.learn(packed, live.write_event(event))
    assert said["refine"] == 0
    # An input's own deadline comes before the usual one.
    pace.begin(deadline=1e-9)
    assert (
        pace.decide(live, packed_after(live), blank, live.write_request(blank))[2]["fallback"]
        is True
    )
    assert pace.traces() == before


def paced() -> tuple[Any, deadline.DeadlineControl, Any, Any]:
    """A live agent, its pace by the second, and a request and an event as both take them."""
    live = build_live(AGENT)
    pace = deadline.DeadlineControl(AGENT, live, {live: 0}, 1.0, rule_of)
    blank = jax.tree.map(np.asarray, blank_request(AGENT))
    event = jax.tree.map(np.asarray, example_event(MODEL))._replace(weight=1.0)
    return live, pace, blank, live.write_event(event)


@pytest.mark.usefixtures("each_cheaper")
def test_what_is_spent_around_a_call_counts_once_the_answer_is_there() -> None:
    live, pace, blank, event = paced()
    packed = packed_after(live)
    assert pace._learn_variants is not None
    ladders = pace._decide_variants[live].ladder, pace._learn_variants.ladder
    for number in range(2):
        pace.begin()
        if number == 0:
            pace.decide(live, packed, blank, live.write_request(blank))
        else:
            pace.learn(packed, event)
        time.sleep(0.02)
        assert ladders[number].overhead.high == 0.0
        assert pace.answered_in_time()
        assert 0.02 <= ladders[number].overhead.high < 1.0
        # Asked again, or of an input that nothing was done about, it adds nothing.
        seen = len(ladders[number].overhead._values)
        pace.answered_in_time()
        pace.begin()
        pace.answered_in_time()
        assert len(ladders[number].overhead._values) == seen == 1


@pytest.mark.usefixtures("each_cheaper")
def test_what_the_clock_chose_before_is_followed() -> None:
    live, pace, blank, event = paced()
    late = time.perf_counter_ns() - 2 * 10**9
    # In full although there is no time, and on a low rung although there is plenty.
    pace.begin(arrived=late)
    _, _, hurried = pace.decide(live, packed_after(live), blank, live.write_request(blank))
    _, _, _, taught = pace.learn(packed_after(live), event)
    pace.begin()
    _, _, calm = pace.decide(live, packed_after(live), blank, live.write_request(blank))
    for arrived, before in ((None, hurried | taught), (late, calm | {"refine": 4})):
        pace.begin(arrived=arrived, earlier=before | {"deadline_met": arrived is not None})
        decision, _, said = pace.decide(live, packed_after(live), blank, live.write_request(blank))
        assert said == {name: before[name] for name in said}
        assert decision.scores.shape == (before["rung"]["candidates"],)
        assert pace.learn(packed_after(live), event)[3] == {"refine": before["refine"]}
        assert pace.answered_in_time() is (arrived is not None)


def test_without_a_deadline_nothing_is_said() -> None:
    live = build_live(AGENT)
    pace = deadline.DeadlineControl(AGENT, live, {live: 0})
    pace.begin()
    blank = jax.tree.map(np.asarray, blank_request(AGENT))
    assert pace.seconds_left() is None
    assert pace.decide(live, packed_after(live), blank, live.write_request(blank))[2] == {}
