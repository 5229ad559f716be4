"""Simulation-based calibration of every backend, against what was expected of it beforehand.

`python benchmarks/calibration.py --out docs/results/calibration` reads calibration.toml beside this
file, writes a row a cell to `.ndjson` and the comparison to `.md`. Cells that are in the `.ndjson`
already are not run again. `--full` adds what is marked so there.

See also: decide/judge/measures/rank_calibration.py for the measure.
"""

import argparse
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uncertain.cli.tables.calibrate_table import draw_histogram, format_p_value
from uncertain.decide.judge.engine.bench import resolve_cells
from uncertain.decide.judge.engine.program_memory import forget_programs
from uncertain.decide.judge.engine.worker_process import start_processes
from uncertain.decide.judge.measures.experiment import Cell, Experiment, Row
from uncertain.decide.judge.measures.rank_calibration import calibrate_cell
from uncertain.decide.judge.measures.rank_runs import RankSettings
from uncertain.decide.judge.records.read_record import to_dict
from uncertain.decide.loop.core.cores import count_cores

RUNS, STEPS, DRAWS, BINS, LEVEL = 1024, 10, 15, 16, 1e-4


def cells(wanted: dict[str, Any]) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Every cell with what is expected of it."""
    for one in wanted["expected"]:
        for world in one["worlds"]:
            experiment = Experiment(
                world=world, steps=STEPS, seeds=RUNS, rule="random", candidates=1,
                cells=[Row(one["posterior"])],
            )  # fmt: skip
            yield resolve_cells(experiment)[0], one


def same(row: dict[str, Any], cell: Cell, settle: int) -> bool:
    found = row["world"], row["posterior"], row["settle"]
    return found == (cell.world, cell.posterior, settle)


def line(row: dict[str, Any], one: dict[str, Any]) -> str:
    """A row of the comparison."""
    word = {True: "yes", False: "no"}
    seen = word[row["calibrated"]] + (f": {row['shape']}" if row["shape"] else "")
    if row["calibrated"] != one["calibrated"]:
        seen = f"**{seen}**"
    unknown, likelihood = row["unknown"], row["likelihood"]
    parts = (
        f"`{row['posterior']}`", f"`{row['world']}`", row["particles"] or "–", row["refine"],
        row["settle"], f"`{draw_histogram(unknown['counts'])}` {format_p_value(unknown['p'])}",
        f"`{draw_histogram(likelihood['counts'])}` {format_p_value(likelihood['p'])}",
        word[one["calibrated"]], seen, one["why"],
    )  # fmt: skip
    return "| " + " | ".join(str(part) for part in parts) + " |"


def page(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> str:
    """The comparison as Markdown."""
    right = sum(r["calibrated"] == e["calibrated"] for r, e in zip(rows, expected, strict=True))
    top = (
        f"{right} of {len(rows)} verdicts are as expected; the others stand out. {STEPS} events "
        f"chosen at random, {RUNS} truths a cell, rank among {DRAWS} draws in {BINS} bins (▄ is an "
        f"even share), level {LEVEL:g} a cell over all its quantities. Histogram and p are of the "
        "worst unknown and of the log likelihood.\n\n"
        "| posterior | world | S | k | settle | worst unknown | log likelihood | expected | seen "
        "| why expected |\n|---|---|---|---|---|---|---|---|---|---|\n"
    )
    lines = [line(r, e) for r, e in zip(rows, expected, strict=True)]
    return top + "\n".join(lines) + "\n"


def one_cell(cell: Cell, asked: RankSettings) -> dict[str, Any]:
    """In a worker, which keeps no programs of a cell that is done. Of single unknowns there are up
    to 26 a cell: only the worst, which the row names, is kept."""
    try:
        row = to_dict(calibrate_cell(cell, asked))
        return {name: part for name, part in row.items() if name != "quantities"}
    finally:
        forget_programs()


def main() -> None:
    """Every cell that is not there yet, a worker a core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="files to write, without their endings")
    parser.add_argument("--full", action="store_true", help="every posterior in every world")
    given = parser.parse_args()
    out = Path(given.out)
    wanted = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    file = out.with_suffix(".ndjson")
    kept = [json.loads(text) for text in file.read_text().splitlines()] if file.exists() else []
    expected: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    with start_processes(count_cores()) as pool:
        running: list[tuple[Any, Any]] = []
        for cell, one in cells(wanted):
            settle = one.get("settle", 0)
            asked = RankSettings(DRAWS, BINS, settle=settle, level=LEVEL)
            row = next((row for row in kept if same(row, cell, settle)), None)
            if row is None and one.get("full") and not given.full:
                continue
            expected.append(one)
            running.append((row, None if row else pool.submit(one_cell, cell, asked)))
        for (row, future), one in zip(running, expected, strict=True):
            rows.append(row or future.result())
            print(line(rows[-1], one), f"{rows[-1]['seconds']:.0f} s", flush=True)
            # What was kept and is yet to come in turn stays there.
            later = [row for row, _ in running[len(rows) :] if row]
            file.write_text("".join(json.dumps(row) + "\n" for row in (*rows, *later)))
    out.with_suffix(".md").write_text(page(rows, expected))


if __name__ == "__main__":
    main()
