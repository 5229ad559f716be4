"""`uncertain tune` from end to end: its rows, its configuration, and what ends it early.

See also: tests/decide/judge/tuning/test_search.py for the search itself.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from console import call, validate_rows
from uncertain.cli.commands.tune import GoalName
from uncertain.cli.jobs import tune as tuning
from uncertain.decide.judge.measures.experiment import Cell
from uncertain.decide.judge.measures.experiment_toml import decode_experiment
from uncertain.decide.judge.tuning import trials as judging
from uncertain.decide.judge.tuning.search import Task
from uncertain.decide.judge.tuning.trials import Goal, Trials

WORLD = ("tune", "linear:arms=2:features=1", "--steps", "3", "--seeds", "2")
TWO = (
    *WORLD, "--posterior", "laplace:jitter=0.1:refine=1", "--budget", "600s", "--rule", "random",
)  # fmt: skip
"""Two trials, `structure` being all that is left to try."""


def spec_score(cell: Cell) -> float:
    """Better with more refine steps."""
    return cell.refine


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """A judge that takes no time; the cells it was asked about."""
    asked: list[Cell] = []

    def quality(cell: Cell, first: int, count: int, wanted: Any) -> dict[str, Any]:
        asked.append(cell)
        rising = np.linspace(0, 0.5, count)
        return {"lower": spec_score(cell) + rising, "regret": 9 - spec_score(cell) + rising}

    monkeypatch.setattr(judging, "quality", quality)
    return asked


@pytest.fixture
def tenths(quick: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which judging takes a tenth of a second, however slow the machine."""

    def task(*settings: Any) -> Task:
        return replace(Task(*settings), clock=lambda: len(quick) / 10)

    monkeypatch.setattr(tuning, "Task", task)


def cells_of(text: str) -> list[tuple[str, int]]:
    return [(c.posterior, c.refine) for c in decode_experiment(text, "tuned.toml").resolved()]


@pytest.mark.live
def test_a_real_search_and_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "tuned.toml"
    result = call(*TWO, "-o", file)
    assert result.status == 0, result.err
    (row,) = result.rows
    validate_rows("tuning", result.rows)
    assert row["spec"] in (
        f"laplace:jitter=0.1:refine=1:structure={s}" for s in ("auto", "diagonal")
    )
    assert (row["trials"], row["late"], row["failed"], row["goal"]) == (2, 0, 0, "gain")
    assert (row["steps"], row["seeds"], row["first"]) == (3, 2, 2_000_000)
    assert row["best"]["mean"] >= row["default"]["mean"] > 0
    assert row["improvement"]["mean"] == pytest.approx(row["best"]["mean"] - row["default"]["mean"])
    assert 0 < row["seconds"] < row["budget"] == 600
    printed = call("bench", "--config", file, "--print-config")
    assert printed.status == 0, printed.err
    assert cells_of(printed.out) == cells_of(file.read_text())
    experiment = decode_experiment(file.read_text(), "tuned.toml")
    assert (experiment.world, experiment.steps) == (WORLD[1], 3)
    (cell,) = experiment.resolved()
    assert f"{cell.posterior}:refine={cell.refine}".split(":")[0] == "laplace"
    assert cell.posterior == row["spec"].replace(":refine=1", "")
    header = [line for line in file.read_text().splitlines() if line.startswith("#")]
    assert any("uncertain tune linear:arms=2:features=1" in line for line in header)
    assert any("runs 2000000 to 2000001 of seed 0" in line for line in header)
    assert any("optuna" in line for line in header)


def test_a_budget_too_small_is_one_line(quick: list[Cell], tmp_path: Path) -> None:
    file = tmp_path / "tuned.toml"
    file.write_text("precious")
    result = call(*WORLD, "--posterior", "point,laplace", "--budget", "1ns", "-o", file)
    assert result.status == 2
    (line,) = result.errors
    assert "the first trial of point, its defaults, took" in line
    assert not result.out
    assert file.read_text() == "precious"
    assert {cell.posterior.split(":")[0] for cell in quick} == {"smc", "point"}


@pytest.mark.usefixtures("tenths")
def test_rows_and_configuration_of_several(tmp_path: Path) -> None:
    file = tmp_path / "tuned.toml"
    args = (*WORLD, "--posterior", "point:step_size=0.1,laplace:jitter=0.1,exact", "--budget", "9s")
    result = call(*args[:1], "finite", *args[2:4], "--posterior", "exact", "--budget", "9s")
    assert (result.status, result.rows[0]["searched"], result.rows[0]["trials"]) == (0, [], 1)
    assert "no options to tune" in result.err
    assert "-o tuned.toml" in result.err
    args = (*WORLD, "--posterior", "point:step_size=0.1,smc:move=walk:particles=4:ess=0.5")
    result = call(*args, "--refine", "2", "--budget", "1s", "-o", file)
    assert result.status == 0, result.err
    point, smc = result.rows
    assert point["spec"] == "point:refine=2:step_size=0.1"
    assert (point["trials"], point["searched"]) == (1, [])
    assert smc["searched"] == ["step_size"]
    assert smc["trials"] > 1
    assert cells_of(file.read_text())[0] == ("point:step_size=0.1", 2)
    # A long path is broken anywhere at the console's width.
    assert f"bench--config{file}" in "".join(result.err.split())


@pytest.mark.usefixtures("quick")
def test_the_best_refine_steps_reach_the_configuration() -> None:
    args = (*WORLD, "--posterior", "point:step_size=0.1", "--budget", "600s")
    shown = call(*args, "-o", "-")
    assert shown.status == 0
    assert cells_of(shown.out) == [("point:step_size=0.1", 10)]
    assert not shown.err.startswith("uncertain: error")
    (row,) = call(*args).rows
    assert (row["refine"], row["trials"]) == (10, 4)
    assert row["improvement"] == {"mean": 5.0, "se": 0.0}
    # Regret is better the lower it is, and is judged of the same cells.
    (row,) = call(*args, "--for", "regret").rows
    assert (row["refine"], row["improvement"]["mean"]) == (10, 5.0)
    assert row["best"]["mean"] < row["default"]["mean"]


@pytest.mark.usefixtures("quick")
def test_a_table_on_a_terminal() -> None:
    args = (*WORLD, "--posterior", "point:step_size=0.1", "--budget", "600s")
    shown = call(*args, terminal=True)
    assert shown.status == 0
    heading, line = shown.out.splitlines()[:2]
    assert "better by" in heading
    assert "5.00" in line
    assert "refine=10" in line
    shown = call(*WORLD, "--posterior", "point:step_size=0.1:refine=2", terminal=True)
    assert "the defaults" in shown.out


def interrupting(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    given: Callable[..., Any] = judging.quality
    calls = [0]

    def quality(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] > after:
            raise KeyboardInterrupt
        return given(*args)

    monkeypatch.setattr(judging, "quality", quality)


@pytest.mark.usefixtures("quick")
def test_an_interrupt_keeps_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The judge, the defaults of both, and two of the first one's random options.
    interrupting(monkeypatch, 5)
    file = tmp_path / "tuned.toml"
    result = call(*WORLD, "--posterior", "point,laplace", "--budget", "600s", "-o", file)
    assert result.status == 130
    (row,) = result.rows
    assert (row["posterior"], row["trials"], row["interrupted"]) == ("point", 3, True)
    assert [spec.split(":")[0] for spec, _ in cells_of(file.read_text())] == ["point"]
    assert "3 trials" in file.read_text()
    assert "interrupted" in result.errors[-1]


@pytest.mark.usefixtures("quick")
def test_an_interrupt_before_anything_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupting(monkeypatch, 1)
    result = call(*WORLD, "--posterior", "point", "-o", tmp_path / "tuned.toml")
    assert (result.status, result.out) == (130, "")


@pytest.mark.usefixtures("quick")
def test_no_trial_is_quick_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trials, "latency", lambda self, spec: 1e-3 * self.cell(spec).refine)
    args = (*WORLD, "--posterior", "point:step_size=0.1", "--budget", "600s")
    file = tmp_path / "tuned.toml"
    (row,) = call(*args, "--max-p99", "2.5ms", "-o", file).rows
    assert (row["refine"], row["slow"], row["p99"]) == (2, 2, {"default": 5e-3, "best": 2e-3})
    assert row["improvement"]["mean"] == -3
    result = call(*args, "--max-p99", "500us", "-o", file)
    assert result.status == 1
    assert "none of its 4 trials keeps p99 within 0.5 ms" in result.err
    assert result.rows[0]["best"] is None
    # There is no experiment without a cell: what an earlier search wrote stays.
    assert cells_of(file.read_text()) == [("point:step_size=0.1", 2)]


WRONG = {
    "posterior": (("--posterior", "laplas"), 'did you mean "laplace"'),
    "option": (("--posterior", "point:step=1"), 'did you mean "step_size"'),
    "refused": (("--posterior", "exact"), "exact"),
    "search": (("--search", "halfing"), "did you mean halving?"),
    "goal": (("--for", "speed"), "choose gain or regret or joint"),
    "budget": (("--budget", "long"), "--budget"),
    "p99": (("--max-p99", "0"), "--max-p99"),
    "seeds": (("--seeds", "0"), "--seeds"),
    "nothing to halve": (("--search", "halving", "--seeds", "8"), "starts with 8 runs"),
    "tau": (("--joint", "5"), "add it"),
    "samples": (("--samples", "0"), "set spce"),
    "output": (("-o", "absent/tuned.toml"), "absent/tuned.toml: cannot be written"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_wrong_use(quick: list[Cell], arguments: tuple[str, ...], words: str) -> None:
    given = arguments if "--posterior" in arguments else ("--posterior", "point", *arguments)
    result = call(*WORLD, *given)
    assert result.status == 2
    assert len(result.errors) == 1, result.err
    assert words in result.err
    assert not quick


def test_wrong_worlds(quick: list[Cell]) -> None:
    result = call("tune", "liner", "--posterior", "point")
    assert (result.status, len(result.errors)) == (2, 1)
    assert '"linear"' in result.err
    result = call("tune", "location", "--posterior", "point", "--for", "regret")
    assert (result.status, len(result.errors)) == (2, 1)
    assert "pays no reward" in result.err
    assert not quick


def test_without_the_library(quick: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = call(*WORLD, "--posterior", "point")
    assert result.status == 2
    (line,) = result.errors
    assert "pip install 'uncertain[tune]'" in line
    assert not quick


def test_the_help_names_every_goal() -> None:
    assert {str(goal) for goal in GoalName} == {str(goal) for goal in Goal}
