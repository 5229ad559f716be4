"""`uncertain run`: the protocol line by line, joining by id, and the same words from the same seed.

See also: ../test_wrong_use.py for wrong input.
"""

import json
import math
import subprocess
import sys
import time
from itertools import count
from typing import Any, cast

import numpy as np
import pytest
from console import call, lines
from uncertain.cli.live.run import next_line
from uncertain.decide.loop.server import ladder

LINEAR = ("run", "--model", "linear:arms=3:features=1")


def plain(rows):
    """Replies without what the clock decides."""
    return [{k: v for k, v in row.items() if k != "latency"} for row in rows]


def test_a_request_and_its_observation() -> None:
    given = lines({"id": "a", "t": 1e9, "x": [0.5]}, {"id": "a", "y": 1.5})
    result = call(*LINEAR, "--seed", 3, stdin=given)
    assert result.status == 0
    asked, learnt = result.rows
    assert asked["action"] in (0, 1, 2)
    assert len(asked["scores"]) == 3
    assert 0 < asked["propensity"] <= 1
    expected = {"id": "a", "gain": None, "posterior": "laplace", "seed": 3, "step": 0, "ahead": 0}
    assert asked.items() >= expected.items()
    assert asked["latency"]["decide"] > 0
    assert set(learnt) == {"id", "realised_gain", "nll", "alarm", "latency"}
    # Closed form: y ~ Normal(w0 + .5 w1, .5) with unit weights, so of variance 1.25 + .25.
    share, error = 1.25 / 1.5, 1.5**2 / 1.5
    assert learnt["nll"] == pytest.approx(0.5 * (math.log(2 * math.pi * 1.5) + error), rel=1e-4)
    gain = 0.5 * (math.log(1 + 1.25 / 0.25) - share + share * error)
    assert learnt["realised_gain"] == pytest.approx(gain, rel=1e-4)
    assert "ready after" in result.err
    assert "1 decisions, 1 events learnt; decide p50" in result.err


def test_under_a_half_life_an_event_is_as_old_as_it_is() -> None:
    """Twenty seconds late it counts half, whenever it comes: the prediction after it is the same,
    and the textbook's."""
    told = [{"id": i, "t": t, "x": [0], "action": 0, "y": y} for i, t, y in ((1, 0, 2), (2, 20, 1))]
    asked = {"id": 3, "t": 20, "x": [0], "action": 0, "y": 0.5}
    found = []
    for order in ((0, 1), (1, 0)):
        given = lines(*(told[i] for i in order), asked)
        found.append(call(*LINEAR, "--half-life", "20s", stdin=given).rows[-1]["nll"])
    # Of prior variance 1, noise variance 1/4: 4 (2 / 2 + 1) over 1 + 4 (1 / 2 + 1).
    mean, variance = 8 / 7, 1 / 7 + 1 / 4
    expected = 0.5 * (math.log(2 * math.pi * variance) + (0.5 - mean) ** 2 / variance)
    assert found == pytest.approx([expected, expected], rel=1e-4)
    # Its decision waited: the observation is as old as the decision, unless it says otherwise.
    decided = {key: value for key, value in told[0].items() if key != "y"}
    late = lines(decided, told[1], {"id": 1, "y": 2}, asked)
    assert call(*LINEAR, "--half-life", "20s", stdin=late).rows[-1]["nll"] == pytest.approx(
        expected, rel=1e-4
    )
    late = lines(decided, told[1], {"id": 1, "t": 20, "y": 2}, asked)
    fresh = call(*LINEAR, "--half-life", "20s", stdin=late).rows[-1]["nll"]
    assert abs(fresh - expected) > 0.01
    # Without a half-life the past counts whole.
    assert abs(call(*LINEAR, stdin=given).rows[-1]["nll"] - expected) > 0.01


def test_a_half_life_needs_times() -> None:
    result = call(*LINEAR, "--half-life", "20s", stdin=lines({"id": 1, "x": [0]}))
    assert result.status == 2
    assert len(result.errors) == 2
    assert "t: missing; moving unknowns, and a half-life, need the time" in result.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--half-life", "soon"), "no duration"),
        (("--half-life", "0s"), "no duration"),
        (("--model", "drifting", "--half-life", "20s"), "Drifting"),
        (("--posterior", "point:full=reservoir", "--half-life", "20s"), "full=forget"),
    ],
)
def test_half_lives_without_meaning_are_refused(options: tuple[str, ...], words: str) -> None:
    result = call("run", *options)
    assert result.status == 2
    assert len(result.errors) == 1
    assert words in result.err


def test_late_unknown_dropped_and_waiting() -> None:
    ids = ["a", "b", "c", "d"]
    given = lines(
        *({"id": i, "x": [1]} for i in ids),
        {"id": "c", "y": 1},
        {"id": "a", "y": 1},
        {"id": "b", "y": 1},
        {"id": "b", "y": 1},
    )
    result = call(*LINEAR, "--horizon", 3, stdin=given)
    assert result.status == 0
    replies = {(row["id"], "nll" in row): row for row in result.rows}
    assert [row["ahead"] for row in result.rows[:4]] == [0, 1, 2, 3]
    assert result.rows[4]["nll"] is not None
    assert result.rows[5] == {
        "id": "a", "realised_gain": None, "nll": None, "alarm": None, "latency": {"learn": None}
    }  # fmt: skip
    assert replies["b", True]["nll"] is None
    assert len(result.rows) == 8
    for words in (
        "2 observations of an id that was not waiting",
        "1 decisions dropped unanswered",
        "1 decisions still without an observation",
        "4 decisions, 2 events learnt",
    ):
        assert words in result.err


def test_waiting_decisions_do_not_share_their_noise() -> None:
    given = lines(*({"id": i, "x": [1]} for i in range(40)))
    chosen = [row["action"] for row in call(*LINEAR, stdin=given).rows]
    assert len(set(chosen)) == 3


def test_same_seed_same_decisions() -> None:
    turns = [({"id": i, "x": [i % 3]}, {"id": i, "y": i % 2}) for i in range(12)]
    given = lines(*(line for turn in turns for line in turn))
    first, again, other = (
        plain(call(*LINEAR, "--seed", seed, stdin=given).rows) for seed in (0, 0, 1)
    )
    assert first == again
    assert [r["action"] for r in first if "action" in r] != [
        r["action"] for r in other if "action" in r
    ]


def test_names_and_listed_arms() -> None:
    given = lines(
        {"id": 1, "x": [1]},
        {"id": 2, "x": [1], "actions": ["c", {"id": "a", "cost": 2}], "deadline": 60},
        {"id": 2, "y": 0},
        {"id": 3, "x": [1], "action": "b", "propensity": 0.5, "y": 1},
        {"id": 4, "x": [1], "action": "b"},
        {"id": 4, "y": 1},
    )
    result = call(
        "run", "--model", "linear:features=1", "--arms", "a,b,c", "--rule", "eig", stdin=given
    )
    assert result.status == 0, result.err
    named, listed, *rest = result.rows
    assert named["action"] in ("a", "b", "c")
    assert named["gain"] == max(named["scores"])
    assert listed["action"] in ("a", "c")
    assert len(listed["scores"]) == 2
    assert listed["deadline_met"] is True
    assert [row.get("nll") is not None for row in rest] == [True, True, False, True]
    assert rest[2] == {"id": 4, "action": "b", "propensity": None}


def test_gain_per_cost_of_what_a_request_says() -> None:
    ask = ("run", "--quiet", "--model", "linear:features=0", "--arms", "a,b,c", "--rule")
    given = lines(
        {"id": 1, "cost": [4, 1, 4]},
        {"id": 2, "actions": ["c", "a"], "cost": [1, 4]},
        {"id": 3, "actions": [{"id": "b", "cost": 4}, "c"]},
    )
    rows = call(*ask, "eig:per_cost=true", stdin=given).rows
    # All arms are alike but for what they cost.
    assert [row["action"] for row in rows] == ["b", "c", "c"]
    bits = 0.5 * math.log(1 + 1 / 0.25)
    assert rows[0]["scores"] == pytest.approx([bits / 4, bits, bits / 4], rel=1e-5)
    assert rows[1]["scores"] == pytest.approx([bits, bits / 4], rel=1e-5)
    assert [row["gain"] for row in rows] == pytest.approx([bits] * 3, rel=1e-5)
    # Negative control: without per_cost, cost is nobody's business.
    plain_rows = call(*ask, "eig", stdin=given).rows
    assert plain_rows[0]["scores"] == pytest.approx([bits] * 3, rel=1e-5)


def test_a_model_of_ones_own_makes_or_is_given_candidates(examples) -> None:
    given = lines(
        {"id": 1},
        {"id": 1, "y": True},
        {"id": 2, "actions": [[1.0], [5.0], {"id": "strong", "x": [9.5]}]},
        {"id": 2, "y": 0},
    )
    model = ("--model", examples / "dose.py:Dose", "--posterior", "laplace", "--candidates", 4)
    result = call("run", *model, "--rule", "eig", stdin=given)
    assert result.status == 0, result.err
    made, _, listed, _ = result.rows
    assert len(made["action"]) == 1
    assert len(made["scores"]) == 4
    assert listed["action"] in ([1.0], [5.0], "strong")
    assert len(listed["scores"]) == 3
    for wrong, words in (
        ({"id": 1, "actions": [[1]] * 5}, "5 candidates, room for 4"),
        ({"id": 1, "actions": [[1, 2]]}, "expected 1 numbers, got 2"),
        ({"id": 1, "actions": ["a"]}, "has no features"),
        ({"id": 1, "x": [1]}, "means nothing without actions"),
        ({"id": 1, "cost": [1]}, "cost: means nothing without actions"),
        ({"id": 1, "actions": [[1]], "cost": [1, 2]}, "cost: expected 1 numbers, got 2"),
    ):
        result = call("run", *model, "--rule", "eig", "--quiet", stdin=lines(wrong))
        assert (result.status, len(result.errors)) == (2, 1)
        assert words in result.err


def test_run_and_replay_say_the_same_of_a_log(tmp_path) -> None:
    log, rows = tmp_path / "log.ndjson.gz", tmp_path / "rows.ndjson"
    assert call("simulate", "linear:arms=3:features=1", "--steps", 50, "-o", log).status == 0
    live = call(*LINEAR, log).rows
    assert [row["id"] for row in live] == list(range(50))
    options = ("--model", "linear:arms=3:features=1", "--latency", 0, "--export-json", rows)
    replayed = call("replay", log, *options).rows[0]
    assert replayed["events"] == 50
    assert np.mean([row["nll"] for row in live]) == pytest.approx(replayed["nll"]["mean"], rel=1e-4)
    total = sum(row["realised_gain"] for row in live)
    assert total == pytest.approx(replayed["gain"]["total"], rel=1e-4)


def test_time_is_counted_from_the_first_event() -> None:
    """Epoch seconds do not fit a float32: an hour apart must not look like the same moment."""
    turns = [({"id": i, "t": 1.7e9 + i, "x": [1]}, {"id": i, "y": 3}) for i in range(20)]
    given = lines(*(line for turn in turns for line in turn))
    near = [r["nll"] for r in call("run", "--model", "drifting", stdin=given).rows[1::2]]
    hours = [({"id": i, "t": 1.7e9 + 3600 * i, "x": [1]}, {"id": i, "y": 3}) for i in range(20)]
    given = lines(*(line for turn in hours for line in turn))
    far = [r["nll"] for r in call("run", "--model", "drifting", stdin=given).rows[1::2]]
    assert near[-1] < far[-1]


def test_a_deadline_is_kept_with_less_or_told_to_be_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Each way half as dear as the last, whatever this machine would say of ways so small.
    halves = count()
    monkeypatch.setattr(ladder, "median_seconds", lambda call: 1e-3 * 0.5 ** next(halves))
    asked = lines({"id": 1}, {"id": 1, "y": 0.5}, {"id": 2, "deadline": 1e-9})
    done = call(
        "run", "--model", "location", "--posterior", "smc", "--particles", "32", "--rule", "eig",
        "--deadline", "10s", stdin=asked,
    )  # fmt: skip
    assert done.status == 0, done.err
    calm, learnt, late = done.rows
    assert calm["rung"] == {"number": 0, "draws": 32, "candidates": 32}
    assert (calm["fallback"], calm["deadline_met"]) == (False, True)
    assert (learnt["refine"], learnt["deadline_met"]) == (1, True)
    assert (late["fallback"], late["deadline_met"]) == (True, False)
    assert len(late["scores"]) == late["rung"]["candidates"] == 4
    assert "1 answers after their deadline" in done.err


def test_while_nobody_waits_it_thinks() -> None:
    options = (
        "run", "--model", "linear:arms=2:features=1", "--posterior", "svgd", "--particles", "4",
        "--think", "5",
    )  # fmt: skip
    command = [sys.executable, "-c", "from uncertain.cli.main import main; main()", *options]
    given = lines({"id": 1, "x": [1]}, {"id": 1, "y": 0.5}, {"id": 2, "x": [1]})
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        thought = []
        for line in given.splitlines(True):
            process.stdin.write(line.encode())
            process.stdin.flush()
            thought.append(json.loads(process.stdout.readline())["thought"])
            time.sleep(0.5)
        process.stdin.close()
    # Before anything is learnt there is nothing to think about.
    assert thought == [0, 0, 5]
    # Negative control: who gives all lines at once leaves no time for it.
    assert [row["thought"] for row in call(*options, stdin=given).rows] == [0, 0, 0]


class Thinker:
    """A server that has so many slices left to think, each of which takes a while."""

    def __init__(self, slices: int) -> None:
        self.slices = slices

    @property
    def can_refine(self) -> bool:
        return self.slices > 0

    def refine_once(self) -> None:
        self.slices -= 1
        time.sleep(0.002)


class Slow:
    """An input whose line comes at the so manieth look; no look is waited for."""

    ended = False

    def __init__(self, looks: int) -> None:
        self.looks, self.waits = looks, []

    def take(self, seconds: float | None = None) -> str | None:
        self.looks -= 1
        self.waits.append(seconds)
        return "line" if self.looks <= 0 else None


def test_a_line_that_came_while_it_thought_may_have_come_at_once() -> None:
    thinker, source = Thinker(5), Slow(4)
    before = time.perf_counter_ns()
    line, began = next_line(cast(Any, thinker), cast(Any, source), None)
    assert (line, thinker.slices) == ("line", 2)
    assert source.waits == [0.0] * 4
    # The third slice is the last before the line; two came before it.
    assert began is not None
    assert before + 4_000_000 < began < time.perf_counter_ns() - 2_000_000
    # Who has nothing to think about waits, and a line's own time counts.
    source = Slow(1)
    assert next_line(cast(Any, Thinker(0)), cast(Any, source), None) == ("line", None)
    assert source.waits == [None]
    # Who is to look at something else in between thinks no longer than that.
    thinker = Thinker(1000)
    assert next_line(cast(Any, thinker), cast(Any, Slow(9999)), 0.02) == (None, None)
    assert thinker.slices > 900


def test_a_deadline_and_a_batch_do_not_go_together() -> None:
    done = call("run", "--batch", "2", "--deadline", "1ms", stdin=b"")
    assert done.status == 2
    assert "--batch" in done.err
