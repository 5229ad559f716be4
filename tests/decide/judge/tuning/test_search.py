"""Tuning: what may be tried, equal budgets, defaults first, the best kept, on runs of its own.

The searches here are over a made-up objective on a made-up clock, so that they cost nothing.
"""

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import pytest
from uncertain.decide.judge.engine.program_memory import forget_programs
from uncertain.decide.judge.measures.experiment import Experiment, Row
from uncertain.decide.judge.measures.latency import live_runs
from uncertain.decide.judge.measures.quality import JUDGE, Wanted, agent_and_world, quality
from uncertain.decide.judge.tuning import trials as judging
from uncertain.decide.judge.tuning.search import CHUNK, Outcome, Search, Task
from uncertain.decide.judge.tuning.space import add_defaults, search_distributions, search_space
from uncertain.decide.judge.tuning.trials import TUNING, Goal, Trials, choose_goal
from uncertain.posteriors.base import Method, Options, Span
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.registry import POSTERIORS, option_default, options_class
from uncertain.posteriors.specs import parse_spec
from uncertain.streams.worlds.registry import build_world


@dataclass(frozen=True)
class Made(Options):
    """A real number, a whole number, a choice, and three refine steps as a rule."""

    refine: ClassVar[int] = 3
    search: ClassVar[Any] = {
        "size": Span(0.01, 100.0),
        "count": Span(1, 20, log=False),
        "kind": ("plain", "fancy", "odd"),
    }
    size: float = 10.0
    count: int = 4
    kind: str = "plain"
    particles: int = 8


@dataclass(frozen=True)
class Choices(Options):
    """Six combinations."""

    refine: ClassVar[int] = 0
    search: ClassVar[Any] = {"left": (1, 2), "right": ("a", "b", "c")}
    left: int = 1
    right: str = "a"


@dataclass(frozen=True)
class Nothing(Options):
    refine: ClassVar[int] = 0


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, options in {"made": Made, "choices": Choices, "nothing": Nothing}.items():
        monkeypatch.setitem(POSTERIORS, name, Method(options, None))


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def settings(spec: str) -> dict[str, Any]:
    return dict(parse_spec(spec).settings)


def peak(spec: str) -> float:
    """Highest, 0, at size = 1."""
    return -abs(math.log10(settings(spec)["size"]))


def task(
    value: Callable[[str], float] = peak, cost: float = 1.0, runs: int = 1, budget: float = 50.0,
    latency: Callable[[str], float] | None = None, **more: Any,
) -> Task:  # fmt: skip
    """Runs that each score `value(spec)` and take `cost` seconds, as does timing a trial."""
    clock = Clock()

    def scores(spec: str, first: int, count: int) -> np.ndarray:
        clock.now += cost * count
        return np.full(count, value(spec))

    def timed(spec: str) -> float:
        assert latency is not None
        clock.now += cost
        return latency(spec)

    return Task(scores, runs, budget, clock=clock, latency=timed if latency else None, **more)


def searched(posterior: str, given: Task) -> Search:
    search = Search(posterior, given)
    search.try_defaults()
    search.try_random()
    return search


def test_what_may_be_tried() -> None:
    assert set(search_space("made")) == {"size", "count", "kind", "refine"}
    assert search_space("made")["refine"] == (1, 2, 3, 5, 10)
    assert set(search_space("made:kind=odd:refine=2:particles=3")) == {"size", "count"}
    assert set(search_space("choices")) == {"left", "right"}
    assert search_space("nothing") == {}
    assert add_defaults("made:kind=odd") == "made:count=4:kind=odd:refine=3:size=10.0"


@pytest.mark.parametrize("name", POSTERIORS)
def test_every_backend_says_what_can_be_tried(name: str) -> None:
    config = POSTERIORS[name][0]
    options = options_class(name)
    assert set(options.search) <= {f.name for f in fields(config)} | {"refine"}
    assert set(search_distributions(name)) == set(search_space(name))
    for option, values in options.search.items():
        if isinstance(values, Span):
            assert values.low <= option_default(name, option) <= values.high, option
        else:
            assert len(set(values)) > 1
            assert option_default(name, option) in values, option
    assert parse_spec(add_defaults(name)).target == name


def test_a_span_that_cannot_be_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Made, "search", {"size": Span(0.0, 1.0)})
    with pytest.raises(UsageError, match="made: size cannot be searched"):
        Search("made", task())


def test_the_defaults_come_first_and_the_best_is_kept() -> None:
    search = searched("made", task(budget=200.0))
    assert search.default.spec == "made:count=4:kind=plain:refine=3:size=10.0"
    assert search.best is not None
    assert search.best.mean == max(t.mean for t in search.trials)
    # 200 draws over four decades: the chance of none within 0.1 of a decade is 0.95^200 < 1e-4.
    assert search.best.mean > -0.1
    assert search.default.mean == pytest.approx(-1.0)


def test_lower_is_better_where_it_is() -> None:
    search = searched("made", task(budget=200.0, maximise=False))
    assert search.best is not None
    assert search.best.mean == min(t.mean for t in search.trials) < -1.9


def test_the_defaults_stay_unless_something_is_strictly_better() -> None:
    search = searched("made", task(lambda spec: 1.0))
    assert len(search.trials) == 50
    assert search.best is search.default
    best = settings(add_defaults("made"))
    search = searched("made", task(lambda spec: float(settings(spec) == best)))
    assert search.best is search.default


def test_what_is_drawn() -> None:
    drawn = [settings(t.spec) for t in searched("made", task(budget=300.0)).trials[1:]]
    assert len({d["size"] for d in drawn}) > 250
    assert all(0.01 <= d["size"] <= 100 and isinstance(d["size"], float) for d in drawn)
    assert {d["count"] for d in drawn} == set(range(1, 21))
    assert {d["kind"] for d in drawn} == {"plain", "fancy", "odd"}
    assert {d["refine"] for d in drawn} == {1, 2, 3, 5, 10}
    assert all(len(f"{d['size']:.10g}".replace(".", "").strip("0")) <= 3 for d in drawn)


def test_pinned_options_stay() -> None:
    for trial in searched("made:count=7:particles=2:refine=2", task()).trials:
        found = settings(trial.spec)
        assert (found["count"], found["particles"], found["refine"]) == (7, 2, 2)
        assert set(found) == {"count", "particles", "refine", "size", "kind"}


def test_budgets_are_equal_and_what_is_late_does_not_count() -> None:
    quick = searched("made", task(cost=1.0, budget=10.5))
    slow = searched("made", task(cost=4.0, budget=10.5))
    assert [t.outcome for t in quick.trials] == [Outcome.DONE] * 10 + [Outcome.LATE]
    assert [t.outcome for t in slow.trials] == [Outcome.DONE] * 2 + [Outcome.LATE]
    assert (quick.seconds, slow.seconds) == (11.0, 12.0)

    tried: list[str] = []

    def rising(spec: str) -> float:
        tried.append(spec)
        return len(tried)

    search = searched("made", task(rising, cost=4.0, budget=10.5))
    assert search.best is search.trials[1]
    assert search.trials[2].mean > search.best.mean


def test_time_between_two_calls_is_nobodys() -> None:
    given = task(cost=2.0, budget=10.5)
    search = Search("made", given)
    search.try_defaults()
    assert isinstance(given.clock, Clock)
    given.clock.now += 1000.0
    search.try_random()
    assert search.count(Outcome.DONE) == 5
    assert search.spent == search.seconds == 12.0


def test_a_long_trial_is_left_between_two_chunks() -> None:
    search = searched("made", task(cost=1.0, runs=5 * CHUNK, budget=7.0 * CHUNK))
    assert [len(t.scores) for t in search.trials] == [5 * CHUNK, 3 * CHUNK]
    assert search.trials[1].outcome is Outcome.LATE


def test_a_finite_space_is_tried_once_and_then_over() -> None:
    search = searched("choices", task(lambda spec: settings(spec)["left"], budget=1e6))
    assert len(search.trials) == len({t.spec for t in search.trials}) == 6
    assert search.seconds == 6.0
    assert len(searched("nothing", task(lambda spec: 1.0)).trials) == 1


def test_the_same_seed_draws_the_same() -> None:
    one, same, other = (
        [t.spec for t in searched("made", task(seed=seed)).trials] for seed in (1, 1, 2)
    )
    assert one == same != other


def test_halving_gives_up_on_what_others_beat() -> None:
    given = task(runs=4 * CHUNK, budget=4000.0, halving=True)
    search = searched("made", given)
    pruned = [t for t in search.trials if t.outcome is Outcome.PRUNED]
    done = [t for t in search.trials if t.outcome is Outcome.DONE]
    assert {len(t.scores) for t in pruned} == {CHUNK, 2 * CHUNK}
    assert all(len(t.scores) == 4 * CHUNK for t in done)
    assert search.best in done
    assert search.best.mean == max(t.mean for t in search.trials)
    assert search.default.outcome is Outcome.DONE
    plain = searched("made", task(runs=4 * CHUNK, budget=4000.0))
    assert not plain.count(Outcome.PRUNED)
    assert len(search.trials) > 1.5 * len(plain.trials)


def test_halving_never_prunes_the_defaults() -> None:
    """As bad as can be, and still seen through, with its scores known."""
    given = task(lambda spec: -float(settings(spec) == settings(add_defaults("made"))),
                 runs=4 * CHUNK, budget=1000.0, halving=True)  # fmt: skip
    search = searched("made", given)
    assert (search.default.outcome, len(search.default.scores)) == (Outcome.DONE, 4 * CHUNK)
    assert search.best is not search.default


def test_slow_options_lose_however_good() -> None:
    def latency(spec: str) -> float:
        return 1e-3 * settings(spec)["refine"]

    def value(spec: str) -> float:
        return settings(spec)["refine"]

    search = searched("made", task(value, max_p99=2.5e-3, latency=latency))
    assert search.best is not None
    assert settings(search.best.spec)["refine"] == 2
    assert search.best.p99 == pytest.approx(2e-3)
    # Told of even where they are too slow, because everything is compared with them.
    assert search.default.outcome is Outcome.SLOW
    assert search.default.mean == 3
    assert all(len(t.scores) == 0 for t in search.trials[1:] if t.outcome is Outcome.SLOW)
    assert searched("made", task(value, max_p99=1e-4, latency=latency)).best is None
    # Without a bound the slowest wins: the bound is what decided.
    best = searched("made", task(value)).best
    assert best is not None
    assert settings(best.spec)["refine"] == 10


def test_what_a_backend_refuses_or_breaks_is_passed_over() -> None:
    def value(spec: str) -> float:
        kind = settings(spec)["kind"]
        if kind == "odd":
            raise UsageError("odd is not possible")
        return math.nan if kind == "fancy" else 0.0

    search = searched("made", task(value))
    assert search.count(Outcome.FAILED) > 10
    assert {settings(t.spec)["kind"] for t in search.trials if t.outcome is Outcome.DONE} == {
        "plain"
    }
    with pytest.raises(UsageError, match="odd is not possible"):
        searched("made:kind=odd", task(value))
    broken = searched("made:kind=fancy", task(value))
    assert broken.best is None
    assert not math.isfinite(broken.default.mean)


def test_a_space_in_which_all_is_refused_ends() -> None:
    def value(spec: str) -> float:
        if spec != add_defaults("made"):
            raise UsageError("no")
        return 0.0

    search = searched("made", task(value, budget=1e9))
    assert search.best is search.default


def test_a_budget_too_small_says_how_long_a_trial_takes() -> None:
    with pytest.raises(UsageError, match=r"budget of 3 s .* of made, its defaults, took 4 s"):
        Search("made", task(cost=4.0, budget=3.0)).try_defaults()
    long = task(cost=1.0, runs=4 * CHUNK, budget=CHUNK + 1)
    with pytest.raises(UsageError, match=r"was going to take about 32 s"):
        Search("made", long).try_defaults()
    Search("made", task(cost=4.0, budget=4.0)).try_defaults()


def test_an_interrupt_keeps_what_was_found() -> None:
    tried: list[str] = []

    def value(spec: str) -> float:
        tried.append(spec)
        if len(tried) == 4:
            raise KeyboardInterrupt
        return len(tried)

    search = Search("made", task(value))
    search.try_defaults()
    with pytest.raises(KeyboardInterrupt):
        search.try_random()
    assert [t.mean for t in search.trials] == [1, 2, 3]
    assert search.best is search.trials[2]
    assert search.seconds == search.spent == 4.0


def test_every_trial_is_let_go_of() -> None:
    told: list[int] = []
    search = searched("made", task(budget=5.0, forget=lambda: told.append(1)))
    assert len(told) == len(search.trials)


EXPERIMENT = Experiment(world="finite", steps=3, seeds=4, cells=[Row("exact")])


def test_tuning_runs_are_never_scored_by_a_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, Wanted]] = []

    def spy(cell: Any, first: int, count: int, wanted: Wanted) -> dict[str, Any]:
        asked.append((first, count, wanted))
        return {"lower": np.zeros(count)}

    monkeypatch.setattr(judging, "quality", spy)
    trials = Trials(Experiment(world="finite", seeds=20, cells=[Row("exact")]))
    trials.warm("exact")
    for first, count in ((0, 8), (8, 8), (16, 4)):
        assert len(trials.scores("exact", first, count)) == count
    # All the same length, for one compiled program; what is too much is dropped.
    assert [(f - TUNING, c) for f, c, _ in asked] == [(0, 8), (0, 8), (8, 8), (16, 8)]
    assert TUNING > 1_000_000
    assert not TUNING <= JUDGE < TUNING + 1_000_000

    started: list[int] = []

    def live(agent: Any, world: Any, steps: int, seed: int, runs: int, first: int) -> Any:
        started.append(first)
        assert steps * runs >= judging.TIMED
        return live_runs(agent, world, steps, seed, 1, first)

    monkeypatch.setattr(judging, "live_runs", live)
    assert 0 < trials.latency("exact") < 60
    assert started == [TUNING]


def test_a_trial_scores_what_the_judge_says_and_is_let_go_of() -> None:
    trials = Trials(EXPERIMENT)
    found = trials.scores("exact", 0, 4)
    cell = trials.cell("exact")
    assert np.array_equal(found, quality(cell, TUNING, 4, Wanted())["lower"])
    assert not np.array_equal(found, quality(cell, 0, 4, Wanted())["lower"])
    agent, _ = agent_and_world(cell)
    alive = weakref.ref(agent.posterior.absorb)
    del agent
    assert alive() is not None
    forget_programs()
    assert alive() is None


def test_only_what_the_goal_needs_is_judged() -> None:
    assert Trials(EXPERIMENT).wanted.gain
    regret = Trials(EXPERIMENT, Goal.REGRET)
    assert not regret.wanted.gain
    assert (regret.measure.field, regret.measure.maximise) == ("regret", False)
    joint = Trials(Experiment(world="finite", joint=3, cells=[Row("exact")]), Goal.JOINT)
    assert (joint.wanted.joint, joint.wanted.gain) == ((3,), False)


def test_what_a_world_can_be_tuned_for() -> None:
    assert choose_goal("linear", build_world("linear"), None) is Goal.GAIN
    assert choose_goal("linear", build_world("linear"), Goal.REGRET) is Goal.REGRET
    with pytest.raises(UsageError, match=r"location pays no reward.*gain or joint"):
        choose_goal("location", build_world("location"), Goal.REGRET)
    paying = build_world("linear")._replace(
        truth=None, model=None, pays=lambda state, features: features[:, 0]
    )
    assert choose_goal("bandit", paying, None) is Goal.REGRET
    with pytest.raises(UsageError, match="has no model"):
        choose_goal("bandit", paying, Goal.GAIN)
    with pytest.raises(UsageError, match="neither gain nor regret"):
        choose_goal("dark", paying._replace(pays=None), None)
