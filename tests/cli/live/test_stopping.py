"""`uncertain run --until-gain` and `--budget`: the last answer says so, and nothing more is read.

See also: tests/decide/rules/test_rules.py for the gain expected of an action.
"""

import json

import numpy as np
import pytest
from console import call, lines
from uncertain.decide.loop.server.stopping import Stopping

COINS = ("run", "--model", "finite", "--posterior", "exact")
BEST = ("--rule", "eig:about=best")


def turns(count: int, **asked: object) -> str:
    """Requests, each followed by its observation."""
    pairs = (({"id": i, **asked}, {"id": i, "y": 1}) for i in range(count))
    return lines(*(line for pair in pairs for line in pair))


def test_it_stops_where_nothing_is_worth_asking() -> None:
    result = call(*COINS, "--rule", "eig", "--until-gain", 0.05, stdin=turns(200))
    assert result.status == 0
    *rows, last = result.rows
    asked = [row for row in rows if "gain" in row]
    assert len(asked) == len(rows) / 2
    assert all(row["gain"] >= 0.05 and "stop" not in row for row in asked)
    assert last["stop"] is True
    assert max(last["scores"]) < 0.05
    assert last["reason"] == f"expected gain of {max(last['scores']):.3g} nats is below 0.05"
    assert f"stopped: {last['reason']}" in result.err
    assert f"{len(asked)} decisions, {len(asked)} events learnt" in result.err
    assert "still without an observation" not in result.err
    # Negative control: without the option it goes on to the end of the input.
    assert len(call(*COINS, "--rule", "eig", stdin=turns(200)).rows) == 400


def test_the_rest_of_the_input_is_not_read() -> None:
    wrong = turns(3) + "not JSON"
    assert call(*COINS, *BEST, stdin=wrong).status == 2
    assert call(*COINS, *BEST, "--until-gain", 10, stdin=wrong).status == 0
    assert call(*COINS, *BEST, "--budget", 2, stdin=wrong).status == 0


def test_nothing_expected_is_less_than_anything_asked_for() -> None:
    """A point estimate believes that it has nothing to learn."""
    given = lines({"id": 1, "x": [1]})
    ask = ("run", "--model", "logistic:arms=2:features=1", "--posterior", "point", "--rule", "eig")
    row = call(*ask, "--until-gain", 1e-6, stdin=given).rows[0]
    assert row["stop"]
    assert row["action"] in (0, 1)


def test_ids_says_what_it_expects() -> None:
    rows = call(*COINS, "--rule", "ids", "--until-gain", 0.05, stdin=turns(200)).rows
    assert rows[-1]["stop"]
    assert len(rows) < 400


def test_a_budget_of_decisions() -> None:
    result = call(*COINS, "--rule", "thompson", "--budget", 3, stdin=turns(9))
    assert result.status == 0
    assert [row.get("action") is not None for row in result.rows] == [True, False] * 3 + [False]
    last = result.rows[-1]
    assert last["id"] == 3
    assert (last["action"], last["propensity"], last["stop"]) == (None, None, True)
    assert "3 of a budget of 3 spent" in last["reason"]
    assert "3 decisions, 3 events learnt" in result.err


def test_a_budget_of_costs_pays_for_what_is_left() -> None:
    ask = ("run", "--quiet", "--model", "linear:features=0:arms=2", "--rule", "eig")
    rows = call(*ask, "--budget", 10, stdin=turns(9, cost=[6, 3])).rows
    chosen = [row for row in rows if row.get("action") is not None]
    # Arm 0 once at most: then only arm 1 can be paid for, and it once.
    assert sum({0: 6, 1: 3}[row["action"]] for row in chosen) <= 10
    assert chosen[-1]["action"] == 1
    assert chosen[-1]["propensity"] == 1
    assert rows[-1]["stop"]
    # Made by a proposer, candidates cost 1 each.
    made = lines(*({"id": i} for i in range(5)))
    ask = ("run", "--quiet", "--model", "location", "--posterior", "smc:particles=8", "--rule")
    rows = call(*ask, "random", "--candidates", 2, "--budget", 2.5, stdin=made).rows
    assert [row.get("stop", False) for row in rows] == [False, False, True]


def test_tenths_add_up() -> None:
    stopping = Stopping(budget=0.3)
    assert stopping.pay(np.full(4, 0.1)) == 3
    assert not stopping.affordable(np.array([0.1, 1e-6])).any()
    assert Stopping().affordable(np.array([1e9])).all()


def test_broken_gains_do_not_stop_anything() -> None:
    stopping = Stopping(until_gain=0.5)
    assert stopping.low_gain_reason(np.array([np.nan, 0.6])) is None
    assert stopping.low_gain_reason(np.array([np.nan, np.nan])) is None
    assert stopping.low_gain_reason(np.array([np.nan, 0.4]))


def test_a_rule_that_expects_no_gain_is_refused() -> None:
    result = call(*COINS, "--rule", "thompson", "--until-gain", 0.1)
    assert result.status == 2
    assert "use eig or ids" in result.err


def test_gain_is_not_gain_per_cost() -> None:
    ask = ("run", "--quiet", "--model", "linear:features=0:arms=2", "--rule", "eig:per_cost=true")
    given = json.dumps({"id": 1, "cost": [50, 60]})
    row = call(*ask, "--until-gain", 0.5, stdin=given).rows[0]
    assert "stop" not in row
    assert max(row["scores"]) < 0.5 < row["gain"]
    assert row["gain"] == pytest.approx(50 * max(row["scores"]))
