"""A user's own rule states its properties, and `uncertain run` honours them."""

from pathlib import Path

import pytest
from console import call, lines
from uncertain.decide.rules.entries import RuleEntry
from uncertain.decide.rules.registry import (
    build_batch,
    build_rule,
    default_proposer,
    rule_entry,
    rule_option,
)
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.registry import build_model

RULES = """
from dataclasses import dataclass

from uncertain.decide.rules.base import choose_best
from uncertain.decide.rules.entries import RuleEntry
from uncertain.decide.rules.information import belief_gain
from uncertain.posteriors import Draws, Gaussian


def silent(model, scale: float = 1.0, per_cost: bool = False):
    def choose(key, belief, model, stats, candidates):
        gain = belief_gain(key, model, belief, stats, candidates.features, 64)
        return choose_best(key, scale * gain, candidates.valid)

    return choose


def curious(model, scale: float = 1.0):
    return silent(model, scale)


curious.informs = True


def draws_only(model):
    return silent(model)


draws_only.reads = (Draws,)


def misread(model):
    return silent(model)


misread.reads = "draws"


@dataclass(frozen=True)
class Options:
    scale: float = 2.0
    per_cost: bool = True


def together(options, model, count, explore):
    def choose(key, belief, model, stats, candidates):
        raise AssertionError("not called: the batch is only built")

    return choose


entry = RuleEntry(
    Options, lambda options, model: silent(model, options.scale), informs=True, batch=together
)
"""
COINS = ("run", "--model", "finite", "--posterior", "exact", "--rule")


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own.py"
    path.write_text(RULES)
    return str(path)


def turns(count: int) -> str:
    """Requests, each followed by its observation."""
    return lines(*(line for i in range(count) for line in ({"id": i}, {"id": i, "y": 1})))


@pytest.mark.parametrize("name", ["curious", "entry:scale=1"])
def test_own_rule_reports_gain_and_stops_by_it(own: str, name: str) -> None:
    rows = call(*COINS, f"{own}:{name}", "--until-gain", 0.05, stdin=turns(200)).rows
    *before, last = [row for row in rows if "gain" in row or "stop" in row]
    assert last["stop"] is True
    assert before
    assert all(row["gain"] >= 0.05 for row in before)


def test_a_rule_that_states_nothing_reports_no_gain(own: str) -> None:
    """The negative control."""
    rule = f"{own}:silent"
    assert call(*COINS, rule, stdin=turns(1)).rows[0]["gain"] is None
    refused = call(*COINS, rule, "--until-gain", 0.05, stdin=turns(1))
    assert refused.status == 2
    assert "--until-gain needs a rule" in refused.err


def test_options_and_their_defaults(own: str) -> None:
    assert rule_option(f"{own}:silent", "scale") == 1.0
    assert rule_option(f"{own}:silent:scale=3", "scale") == 3
    assert rule_option(f"{own}:entry", "per_cost") is True
    assert rule_option("eig", "per_cost") is False
    assert rule_option("random", "per_cost") is None
    model = build_model("finite")
    with pytest.raises(UsageError, match='no option "scal"; did you mean "scale"'):
        build_rule(f"{own}:entry:scal=1", model)
    assert build_rule(f"{own}:entry", model) is build_rule(f"{own}:entry", model)


def test_a_batch_of_its_own(own: str) -> None:
    model = build_model("finite")
    assert build_batch(f"{own}:entry", model, 2).__qualname__.startswith("together")
    assert not build_batch(f"{own}:curious", model, 2).__qualname__.startswith("together")


def test_beliefs_it_cannot_read_are_refused(own: str) -> None:
    ask = ("run", "--model", "linear:arms=2:features=0", "--rule", f"{own}:draws_only")
    refused = call(*ask, "--posterior", "laplace", stdin=turns(1))
    assert refused.status == 2
    assert "reads Draws" in refused.err
    assert "laplace is Gaussian" in refused.err
    assert call(*ask, "--posterior", "smc", "--particles", 8, stdin=turns(1)).status == 0
    with pytest.raises(UsageError, match="reads should be a tuple of Draws, Gaussian, Summary"):
        rule_entry(f"{own}:misread")


def test_the_example_is_a_rule(examples: Path) -> None:
    text = f"{examples / 'safe_dose.py'}:safe:most=6"
    model = build_model(f"{examples / 'dose.py'}:Dose")
    assert isinstance(rule_entry(text), RuleEntry)
    assert rule_entry(text).informs
    assert default_proposer(text, model) == "around"
