"""What `auto` chooses: the best that fits there and here, out of records that can be compared.

Made-up records and made-up times.

See also: tests/cli/live/test_auto_posterior.py for the command.
"""

from typing import Any

import pytest
from uncertain.decide.judge.measures.frontier import (
    TRIED,
    Option,
    WantedSpecs,
    choose_option,
    comparable_options,
    measure_p99,
    options_in_time,
    same_model,
)
from uncertain.decide.judge.records.read_record import record_of
from uncertain.decide.judge.records.record import Record
from uncertain.decide.loop.core.agent import build_agent
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.registry import build_model

MS = 1e-3
ASKED = WantedSpecs("location", "eig")


def row(posterior: str, p99: float, above: float, **changes: Any) -> Record:
    """A record with the fields that a choice reads."""
    made = {
        "world": "location", "model": "location", "posterior": posterior, "rule": "eig",
        "particles": 32, "refine": 5, "think": 0, "steps": 30, "deadline": None,
        "seeds": 8,
        "total": {**dict.fromkeys(("p50", "p95", "p99", "max"), p99), "n": 1},
        "gain": {"above_random": {"mean": above, "se": 0.1}},
        "regret": None, "config": {"proposer": None},
    }  # fmt: skip
    return record_of(made | changes)


ROWS = [row("point", 0.1 * MS, 2.0), row("smc", 0.5 * MS, 9.0), row("hmc", 4 * MS, 12.0)]


def chosen(rows: list[Record], deadline: float, here: dict[str, float] | None = None):
    """What is chosen where calls take what they took, but for those `here`."""
    times = here or {}
    return choose_option(
        comparable_options(rows, ASKED), deadline, lambda o: times.get(o.posterior, o.p99)
    )


@pytest.mark.parametrize(
    ("deadline", "best"), [(5 * MS, "hmc"), (1 * MS, "smc"), (0.2 * MS, "point")]
)
def test_the_slow_one_that_gains_more_is_taken_where_there_is_time(deadline, best) -> None:
    pick = chosen(ROWS, deadline)
    assert (pick.option.posterior, pick.fits, pick.slow) == (best, True, ())


def test_what_is_slower_here_gives_way_to_the_next() -> None:
    pick = chosen(ROWS, 5 * MS, {"hmc": 6 * MS})
    assert (pick.option.posterior, pick.p99, pick.fits) == ("smc", 0.5 * MS, True)
    assert [(one.posterior, p99) for one, p99 in pick.slow] == [("hmc", 6 * MS)]
    # Faster here is no reason to believe what was too slow there.
    assert chosen(ROWS, 1 * MS, {"hmc": 0.1 * MS}).option.posterior == "smc"


def test_where_none_fits_it_is_the_cheapest_and_told() -> None:
    pick = chosen(ROWS, 0.01 * MS)
    assert (pick.option.posterior, pick.fits, pick.within, pick.of) == ("point", False, 0, 3)
    slow = {"point": 1.0, "smc": 1.0, "hmc": 1.0}
    pick = chosen(ROWS, 5 * MS, slow)
    assert (pick.option.posterior, pick.fits, pick.within) == ("point", False, 3)


def test_only_the_best_few_are_timed() -> None:
    rows = [row(f"p{i}", 1 * MS, float(i)) for i in range(20)]
    rows.append(row("cheap", 0.5 * MS, 0.0))
    asked: list[str] = []

    def timed(option: Option) -> float:
        asked.append(option.posterior)
        return 1.0

    assert choose_option(comparable_options(rows, ASKED), 5 * MS, timed).option.posterior == "cheap"
    assert asked == [*(f"p{19 - i}" for i in range(TRIED)), "cheap"]


def test_one_that_cannot_be_built_here_is_passed_over() -> None:
    def timed(option: Option) -> float:
        if option.posterior == "hmc":
            raise UsageError("no such option any more")
        return option.p99

    assert choose_option(comparable_options(ROWS, ASKED), 5 * MS, timed).option.posterior == "smc"


def test_only_what_can_be_compared_is_compared() -> None:
    """Another rule, model, proposer or length, thinking, a deadline, nothing timed."""
    others = [
        row("other", 0.1 * MS, 99.0, rule="thompson"),
        row("other", 0.1 * MS, 99.0, model="location:noise=1.0"),
        row("other", 0.1 * MS, 99.0, config={"proposer": "polish"}),
        row("other", 0.1 * MS, 99.0, steps=60),
        row("other", 0.1 * MS, 99.0, think=5),
        row("other", 0.1 * MS, 99.0, deadline=1 * MS),
        row("other", 0.1 * MS, 99.0, total=None),
        row("other", 0.1 * MS, 99.0, gain={"above_random": None}),
        *[row("other", 0.1 * MS, 99.0, world="location:noise=1.0")] * 9,
    ]
    assert chosen(ROWS + others, 5 * MS).option.posterior == "hmc"
    assert len(comparable_options(ROWS + others, ASKED)) == 3
    assert comparable_options(others, WantedSpecs("linear", "eig")) == []
    assert comparable_options(others, WantedSpecs("location", "eig", "polish"))[0].worth == 99.0


def test_little_regret_is_worth_more_where_no_gain_was_measured() -> None:
    rows = [row(name, 1 * MS, 0.0, gain=None, regret={"mean": lost, "se": 0.1})
            for name, lost in (("a", 5.0), ("b", 3.0), ("c", 9.0))]  # fmt: skip
    best = options_in_time(comparable_options(rows, ASKED), 2 * MS)
    assert [option.posterior for option in best] == ["b", "a", "c"]
    assert not best[0].informs


def test_models_are_the_same_by_what_they_are() -> None:
    assert same_model("location", "location:sources=2")
    assert not same_model("location", "location:sources=3")
    assert not same_model("location", "linear")
    assert not same_model("location:gone=1", "location")
    assert same_model("mine.py:build", "mine.py:build")
    assert not same_model("mine.py:build", "mine.py:build:x=1")


def test_what_it_takes_here_is_measured() -> None:
    model = build_model("finite")
    agent, _ = build_agent(model, "exact", "eig")
    assert 0 < measure_p99(agent) < 1.0
