"""A line that would spoil the belief is refused by name, and the run goes on as if without it."""

import json
from pathlib import Path

import pytest
from console import call, lines

LARGE = {"id": "big", "x": [1e20, 0.2], "action": 1, "y": 1}
POISON = LARGE | {"x": [1, 0.2], "y": -1e7}
"""None of its numbers is refused unread, but no draw gives it a probability above 0."""
STEEP = '''
"""Outcomes far below their mean have a probability that underflows."""
from dataclasses import dataclass
from uncertain.posteriors import Arms, Model, dist

@dataclass(frozen=True)
class Steep(Model):
    actions = Arms(3, 2)
    def prior(self):
        return {"w": dist.Normal(0.0, 1.0).expand((2,)).to_event(1)}
    def predict(self, params, stats, action):
        return dist.Gumbel(action[1:] @ params["w"], 0.5)
    def reward(self, action, observation):
        return observation
'''
GOOD = [
    {"id": 1, "x": [1, 1]},
    {"id": 1, "y": 0.5},
    {"id": 2, "x": [0.5, -1], "action": 0, "y": 2},
    {"id": 3, "x": [1, 2]},
]
BOUNDED = '''
"""A rate that must stay above zero, without a constraint: below, the density is no number."""
from dataclasses import dataclass
import jax.numpy as jnp
from uncertain.posteriors import Model, Vector, dist

@dataclass(frozen=True)
class Bounded(Model):
    actions = Vector(1, 0.1, 10.0)
    def prior(self):
        return {"rate": dist.Normal(1.0, 1.0)}
    def predict(self, params, stats, action):
        return dist.Normal(jnp.log(params["rate"]) * action[0], 0.5)
'''


@pytest.fixture
def steep(tmp_path: Path) -> tuple[str, ...]:
    """Options of a model that one line spoils."""
    (tmp_path / "steep.py").write_text(STEEP)
    return ("--model", f"{tmp_path / 'steep.py'}:Steep", "--posterior", "smc:particles=32")


def plain(rows):
    """Replies without what the clock decides."""
    return [{k: v for k, v in row.items() if k != "latency"} for row in rows]


@pytest.mark.parametrize("batch", [(), ("--batch", "2")], ids=["one", "batch"])
def test_the_belief_is_as_without_the_line(steep, batch) -> None:
    told = [1.0, 0.5] if batch else 0.5
    good = [line if line.get("y") != 0.5 else line | {"y": told} for line in GOOD]
    # The second of a batch spoils it after the first was learnt: the whole batch is refused.
    wrong = {"id": 1, "y": [0.5, -1e7]} if batch else POISON
    mixed = [good[0], wrong, *good[1:]]
    done = call("run", *steep, *batch, "--on-error", "skip", stdin=lines(*mixed))
    assert done.status == 0
    assert "not finite" in done.rows[1]["error"]
    without = call("run", *steep, *batch, stdin=lines(*good))
    assert plain(done.rows[:1] + done.rows[2:]) == plain(without.rows)
    assert any("belief not finite" in line for line in done.errors)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (LARGE, "x: too large for float32 arithmetic, above 1e+10; rescale it"),
        (POISON, "y: 1e+07 would leave a belief that is not finite; rescale it"),
    ],
)
def test_the_run_ends_at_the_line_and_names_the_field(steep, line, says) -> None:
    done = call("run", *steep, stdin=lines(line, *GOOD))
    assert done.status == 2
    assert not done.rows
    assert done.errors[-1] == f"uncertain: error: <stdin>:1: {says}"


def test_replay_scores_only_what_it_learnt(steep, tmp_path) -> None:
    events = [GOOD[2], GOOD[2] | {"id": 4, "y": 1}, GOOD[2] | {"id": 5, "y": -1}]
    rows = []
    for name, more in (("without", []), ("with", [POISON])):
        path = tmp_path / f"{name}.ndjson"
        path.write_text(lines(*events[:2], *more, events[2]))
        done = call("replay", path, *steep)
        assert done.status == 0
        (row,) = done.rows
        rows.append(row)
    names = ("events", "nll", "gain", "reward")
    assert [rows[0][name] for name in names] == [rows[1][name] for name in names]
    assert [row["failures"] for row in rows] == [0, 1]


def test_a_density_that_is_no_number_is_said_at_once(tmp_path) -> None:
    (tmp_path / "bounded.py").write_text(BOUNDED)
    model = ("--model", f"{tmp_path / 'bounded.py'}:Bounded", "--posterior", "smc:particles=64")
    request = json.dumps({"id": 0}) + "\n"
    live = call("run", *model, "--rule", "eig", "--candidates", "4", stdin=request)
    assert live.status == 2
    assert "the model's density may be no number" in live.errors[-1]
    log = tmp_path / "log.ndjson"
    log.write_text(lines(*({"id": i, "action": [2.0 + i], "y": -1.0} for i in range(3))))
    replayed = call("replay", log, *model)
    assert replayed.status == 2
    assert "none of 3 events could be learnt" in replayed.errors[-1]
