"""`run --alarm` and the columns of a replay and a bench: one warning, at the line, with a remedy.

See also: tests/decide/loop/core/test_e_process.py for the evidence itself.
"""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from console import call, lines
from msgspec.structs import replace
from rich.console import Console
from uncertain.cli.tables.bench_table import bench_table
from uncertain.cli.tables.format_values import format_alarm
from uncertain.decide.judge.records.read_record import record_of
from uncertain.decide.judge.records.record import Alarm

KEPT = Path(__file__).parents[3] / "docs" / "results" / "default.ndjson"
RUN = ("run", "--model", "linear:arms=2:features=1:noise=0.5", "--no-cache")


def observed(noise: float, count: int = 80) -> str:
    """Events of a linear truth with errors of `noise`."""
    rng = np.random.default_rng(0)
    xs, errors = rng.normal(size=count), noise * rng.normal(size=count)
    return lines(
        *(
            {"id": i, "x": [x], "action": i % 2, "propensity": 0.5, "y": 0.3 + 0.5 * x + e}
            for i, (x, e) in enumerate(zip(xs.tolist(), errors.tolist(), strict=True))
        )
    )


def test_a_wrong_model_is_said_once_where_it_was_found() -> None:
    found = call(*RUN, stdin=observed(1.5))
    assert found.status == 0
    alarms = [row["alarm"]["highest"] for row in found.rows]
    line = next(i for i, highest in enumerate(alarms, 1) if highest >= np.log(1e4))
    told = [text for text in found.err.splitlines() if "alarm" in text]
    assert len(told) == 1
    assert re.search(rf"\b{line}: alarm: the model, or the posterior's belief in it,", told[0])
    assert "intervals far too narrow" in told[0]
    assert "try a larger noise" in told[0]
    # Sooner where more false alarms are put up with; never where none are wanted.
    sooner = call(*RUN, "--alarm", "0.1", stdin=observed(1.5)).err
    assert int(re.search(r"(\d+): alarm", sooner)[1]) < line  # type: ignore[index]
    unwatched = call(*RUN, "--alarm", "0", stdin=observed(1.5))
    assert "alarm" not in unwatched.err
    assert {row["alarm"] for row in unwatched.rows} == {None}
    losses = ([row["nll"] for row in rows] for rows in (unwatched.rows, found.rows))
    assert next(losses) == pytest.approx(next(losses), rel=1e-5)
    assert "alarm" not in call(*RUN, "--quiet", stdin=observed(1.5)).err


def test_the_right_model_is_not() -> None:
    found = call(*RUN, stdin=observed(0.5))
    assert "alarm" not in found.err
    last = found.rows[-1]["alarm"]
    assert last["n"] == 80
    assert last["leading"] is None or last["log_e"] > 0
    assert last["within_50"] < last["within_90"]


def test_a_decision_says_what_was_found_so_far() -> None:
    given = lines({"id": "a", "x": [0.0]}, {"id": "a", "y": 0.1}, {"id": "b", "x": [0.0]})
    first, learnt, second = call(*RUN, stdin=given).rows
    assert first["alarm"] is None
    assert second["alarm"] == learnt["alarm"] is not None


def test_out_of_range() -> None:
    result = call(*RUN, "--alarm", "2", stdin=b"")
    assert (result.status, len(result.errors)) == (2, 1)
    assert "0.5" in result.err


def test_a_resumed_run_does_not_say_it_again_as_new(tmp_path) -> None:
    folder = str(tmp_path / "kept")
    text = observed(1.5)
    head = "".join(text.splitlines(keepends=True)[:60])
    assert ": alarm: " in call(*RUN, "--checkpoint", folder, stdin=head).err
    again = call(*RUN, "--checkpoint", folder, "--resume", stdin=text).err
    assert ": alarm: " not in again
    assert "was found wrong before this was resumed" in again


@pytest.mark.parametrize(("noise", "shown"), [(1.5, "at"), (0.5, "no")])
def test_a_replay_says_when(tmp_path, noise: float, shown: str) -> None:
    log = tmp_path / "log.ndjson"
    log.write_text(observed(noise))
    model = "linear:arms=2:features=1:noise=0.5"
    (row,) = call("replay", str(log), "--model", model, "--latency", "0").rows
    at = row["alarm"]["at"]
    assert (at is not None) == (shown == "at")
    live = call("run", "--model", model, "--no-cache", stdin=observed(noise)).rows
    assert live[-1]["alarm"]["highest"] == pytest.approx(row["alarm"]["highest"], abs=0.1)


def test_a_cell_of_the_table() -> None:
    row = record_of(json.loads(KEPT.read_text().splitlines()[0]))
    assert format_alarm(replace(row, alarm=None)) == "–"
    assert format_alarm(replace(row, alarm=Alarm(0.05, 0.0))) == "0"
    assert format_alarm(replace(row, alarm=Alarm(0.05, 0.125, 31.0))) == "12.5 31"


def test_a_narrow_table_has_no_room_for_alarms() -> None:
    found = Alarm(0.05, 1.0, 12.5)
    kept = (record_of(json.loads(line)) for line in KEPT.read_text().splitlines())
    rows = [replace(row, alarm=found) for row in kept]

    def drawn(width: int) -> str:
        out = io.StringIO()
        Console(width=width, file=out, color_system=None).print(bench_table(rows, width))
        return out.getvalue()

    assert "alarm" not in drawn(80)
    assert "…" not in drawn(80)
    assert "alarm" in drawn(120)
    assert "…" not in drawn(120)
