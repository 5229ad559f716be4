"""Tables of results: each has a command, and what comes out is compared with what is stored."""

import json
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
sys.path.insert(0, str(ROOT / "benchmarks"))
import regenerate  # noqa: E402  # a script, not a package

TABLES = tomllib.loads((ROOT / "benchmarks" / "regenerate.toml").read_text())
ELSEWHERE = {"README", "commands", "reliability", "regenerated", "gpu", "calibration-rates"}
"""Files that no command here makes again; the README says what does, or that it is a page."""
BESIDE = {"tuned.toml": "tune"}
"""Second files of a table under names of their own."""

UNTIMED = {"deadlines", "testbed-cost"}
"""Tables that nobody has made again yet; everything else has."""


def row(mean: float, se: float = 0.1, seeds: int = 16, **more: object) -> dict[str, object]:
    gain = {"lower": {"mean": mean, "se": se}, "exact": None}
    slow = {"p50": 1.0, "mean": 5.0, "se": 0.0001}
    return {"world": "w", "posterior": "smc", "seeds": seeds, "gain": gain, "total": slow} | more


def test_every_stored_table_says_how_it_is_made_and_every_command_has_its_table() -> None:
    stored = {path.name for path in RESULTS.iterdir() if path.is_file()}
    names = {BESIDE.get(name, name.partition(".")[0]) for name in stored} - ELSEWHERE
    assert names == set(TABLES)


def test_the_page_is_what_the_commands_say() -> None:
    times = {one["name"]: one for one in regenerate.rows_of(RESULTS / regenerate.TIMES)}
    assert (RESULTS / "commands.md").read_text() == regenerate.page(TABLES, times)


def test_no_table_takes_more_than_a_quarter_of_an_hour() -> None:
    times = {one["name"]: one["seconds"] for one in regenerate.rows_of(RESULTS / regenerate.TIMES)}
    assert TABLES.keys() - times.keys() <= UNTIMED
    assert max(times.values()) < 900


def test_figures_that_moved_are_noticed_and_times_are_not_compared() -> None:
    assert regenerate.apart([row(1.0)], [row(1.0)]) == (1, 0.0, "")
    count, worst, where = regenerate.apart([row(1.0)], [row(2.0, total={"mean": 9, "se": 1e-4})])
    assert (count, where) == (1, "smc gain.lower.mean")
    assert worst == pytest.approx(1.0 / (0.1 * 2**0.5))
    # Another posterior is another row.
    assert regenerate.apart([row(1.0)], [row(2.0, posterior="hmc")]) == (0, 0.0, "")


def test_a_smaller_table_is_expected_to_be_as_uncertain_as_its_runs_are_few() -> None:
    # Two runs that happened to be alike have an error of nearly nothing.
    _, worst, _ = regenerate.apart([row(1.0)], [row(1.3, se=1e-6, seeds=1)])
    assert worst == pytest.approx(0.3 / (0.1 * 17**0.5))


@pytest.mark.live
def test_a_table_is_made_again(data: Path, tmp_path: Path) -> None:
    argv = ["replay-phishing", "--data", str(data), "--out", str(tmp_path)]
    done = regenerate.subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "regenerate.py"), *argv],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    found = json.loads((tmp_path / regenerate.TIMES).read_text())
    assert found["name"] == "replay-phishing"
    assert found["figures"] > 5
    assert found["worst"] < 1
    assert f"apart {found['worst']:.1f} of {found['figures']}" in done.stdout


def test_an_unknown_name_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["regenerate.py", "locatoin"])
    with pytest.raises(SystemExit) as stop:
        regenerate.main()
    assert stop.value.code == 2
    assert "no table is called 'locatoin'" in capsys.readouterr().err
