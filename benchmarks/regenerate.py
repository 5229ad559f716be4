"""Make tables of docs/results again, smaller unless `--full`, and compare them with the stored.

    python benchmarks/regenerate.py --list
    python benchmarks/regenerate.py location mushroom --data FOLDER --out again
    python benchmarks/regenerate.py wheel --full

regenerate.toml beside this file says how each is made. Without names all are made, one after the
other; each is written to `--out`, and how long it took and how far its figures are from the stored
ones is added to `regenerated.ndjson` there. A sweep whose store is there already goes on, and then
takes less. `--page` writes docs/results/commands.md from what is
known of them.

See also: docs/results/README.md for the tables themselves.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE.parent / "docs" / "results"
TIMES = "regenerated.ndjson"
KEY = (
    "study", "group", "who", "target", "set", "split", "log", "world", "model", "posterior", "rule",
    "particles", "refine", "think", "half_life", "steps", "settle", "deadline", "goal",
)  # fmt: skip
"""What a row of any table is known by."""
CONFIG = "proposer", "candidates", "explore"
MACHINE = {"decide", "learn", "total", "p99", "thought"}
"""Parts of a row that differ from machine to machine."""
TELL = 3
"""Standard errors from which it is said which figure is so far off."""

Row = dict[str, Any]


def key(row: Row) -> tuple[Any, ...]:
    """What a row is known by."""
    config = row.get("config") or {}
    # Older rows leave out what is nought.
    found = *(row.get(name) for name in KEY), *(config.get(name) for name in CONFIG)
    return tuple(str(value or None) for value in found)


def figures(part: Any, path: str = "") -> Iterator[tuple[str, float, float]]:
    """Path, mean and standard error of every figure in a row that has both."""
    if isinstance(part, dict):
        if "se" in part and (name := next((n for n in ("mean", "kl") if n in part), None)):
            if None not in (part[name], part["se"]):
                yield f"{path}.{name}", part[name], part["se"]
            return
        for name, inner in part.items():
            if name not in MACHINE:
                yield from figures(inner, f"{path}.{name}")
    elif isinstance(part, list):
        for index, inner in enumerate(part):
            yield from figures(inner, f"{path}[{index}]")


def apart(old: list[Row], new: list[Row]) -> tuple[int, float, str]:
    """How many figures both have, the largest distance of two in standard errors, and of which.

    A few runs say little of their own error, so that of a smaller table is what the stored one
    would have with as many. Runs that both share make distances smaller than chance would.
    """
    known = {key(row): row for row in old}
    count, worst, where = 0, 0.0, ""
    for row in new:
        before = known.get(key(row))
        if before is None:
            continue
        runs = (before.get("seeds") or 1) / (row.get("seeds") or 1)
        stored = {path: (mean, se) for path, mean, se in figures(before)}
        for path, mean, se in figures(row):
            if path not in stored:
                continue
            there, error = stored[path]
            both = math.hypot(error, error * math.sqrt(runs) if runs != 1 else se)
            if both > 0 and math.isfinite(both):
                count += 1
                far = abs(mean - there) / both
                if far > worst:
                    name = row.get("posterior") or row.get("who") or ""
                    worst, where = far, f"{name} {path.lstrip('.')}"
    return count, worst, where


def rows_of(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]


def program(word: str) -> str:
    """The interpreter and the tool of this environment, whatever PATH says."""
    if word == "python":
        return sys.executable
    return str(Path(sys.executable).with_name(word)) if word == "uncertain" else word


def commands(one: Row, full: bool) -> list[str]:
    """The command lines of a table, places not yet filled in."""
    made = one["make"] if isinstance(one["make"], list) else [one["make"]]
    size = one.get("full", "") if full else one.get("size", "")
    return [" ".join(line.replace("{size}", size).split()) for line in made]


def regenerate(name: str, one: Row, full: bool, data: Path | None, out: Path) -> Row | None:
    """Make one table; None where it cannot be made, which is said."""
    lines = commands(one, full)
    if data is None and any("{data}" in text for text in (*lines, one.get("within", ""))):
        print(f"{name}: skipped, it needs --data FOLDER (or UNCERTAIN_DATA)", flush=True)
        return None
    places = {
        "out": str(out), "data": str(data), "results": str(RESULTS), "here": str(HERE),
        "files": f"--export-json {out}/{name}.ndjson --export-markdown {out}/{name}.table.md",
    }  # fmt: skip
    within = Path(one.get("within", str(out)).format(**places))
    printed, began = b"", time.perf_counter()
    for line in lines:
        print(f"{name}: {line.replace('{files}', '').strip()}", flush=True)
        words = shlex.split(line.format(**places))
        # A terminal sees their tables; a pipe would get rows that are in a file already.
        rest = None if sys.stdout.isatty() else subprocess.DEVNULL
        kept = rest if "{files}" in line or "stdout" not in one else subprocess.PIPE
        done = subprocess.run([program(words[0]), *words[1:]], cwd=within, stdout=kept, check=False)
        printed += done.stdout or b""
        if done.returncode:
            print(f"{name}: failed with exit code {done.returncode}", flush=True)
            return None
    seconds = time.perf_counter() - began
    if "stdout" in one:
        (out / one["stdout"]).write_bytes(printed)
    stored, new = (folder / f"{name}.ndjson" for folder in (RESULTS, out))
    both = stored.exists() and new.exists()
    count, worst, where = apart(rows_of(stored), rows_of(new)) if both else (0, 0.0, "")
    return {
        "name": name, "full": full or "full" not in one, "seconds": round(seconds, 1),
        "cores": len(os.sched_getaffinity(0)), "figures": count, "worst": round(worst, 2),
        "where": where, "versions": {n: version(n) for n in ("uncertain", "jax", "numpy")},
    }  # fmt: skip


def took(row: Row) -> str:
    minutes, seconds = divmod(round(row["seconds"]), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def distance(row: Row) -> str:
    """The comparison of one table in words."""
    if not row["figures"]:
        return "–"
    where = f": {row['where']}" if row["worst"] > TELL else ""
    return f"{row['worst']:.1f} of {row['figures']}{where}"


def page(tables: dict[str, Row], times: dict[str, Row]) -> str:
    """Markdown: every table, its command, and how it went when it was last made again."""
    lines = [
        "# How each table is made\n",
        "`python benchmarks/regenerate.py NAME --data FOLDER --out FOLDER` runs the commands "
        "below, with what stands in [brackets] in place of the size of the stored table unless "
        "`--full` is said, and compares what comes out with what is stored. `took` is how long "
        "that was on two cores, mostly with another table made beside it, programs compiled on "
        "the way. `apart` is the largest distance of a figure from the stored one, in standard "
        "errors, of how many figures; of a hundred figures one is 2.6 apart by chance. Latencies "
        "and what has no standard error are not compared.\n",
        "| name | commands | took | apart | read |",
        "|---|---|---|---|---|",
    ]
    for name, one in tables.items():
        instead = f"`{one['size']}`" if one.get("size") else "nothing"
        smaller = f" [{instead}]" if "full" in one else ""
        shown = "<br>".join(f"`{line.replace(' {files}', '')}`" for line in commands(one, True))
        row = times.get(name)
        cells = [f"`{name}`", shown + smaller, took(row) if row else "–"]
        cells += [distance(row) if row else "–", one.get("note", "")]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append(
        "\n`{here}` is benchmarks, `{results}` this folder, `{out}` and `{data}` those given."
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make tables, or the page about them."""
    tables = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="tables; all unless given")
    parser.add_argument("--full", action="store_true", help="as large as the stored ones")
    parser.add_argument("--data", type=Path, default=os.environ.get("UNCERTAIN_DATA"))
    parser.add_argument("--out", type=Path, default=Path("regenerated"), metavar="FOLDER")
    parser.add_argument("--list", action="store_true", help="names and commands, and stop")
    parser.add_argument(
        "--page", action="store_true", help="write docs/results/commands.md, and stop"
    )
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in tables]:
        parser.error(f"no table is called {unknown[0]!r}; there are {', '.join(tables)}")
    if given.list:
        for name in given.names or tables:
            print(*(f"{name}: {line}" for line in commands(tables[name], given.full)), sep="\n")
        return
    if given.page:
        file = RESULTS / TIMES
        times = {row["name"]: row for row in rows_of(file)} if file.exists() else {}
        (RESULTS / "commands.md").write_text(page(tables, times))
        return
    out, data = given.out.absolute(), given.data and given.data.absolute()
    out.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in given.names or tables:
        row = regenerate(name, tables[name], given.full, data, out)
        failed |= row is None
        if row is not None:
            print(f"{name}: {took(row)}; apart {distance(row)}", flush=True)
            with (out / TIMES).open("a") as file:
                file.write(json.dumps(row) + "\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
