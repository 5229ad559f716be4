"""Compare every number but time that two revisions print; the second reads the first's files too.

    python benchmarks/same_numbers.py BEFORE [AFTER] [--keep FOLDER]

Installs each revision (AFTER is the working tree unless given) into a folder of its own, beside the
dependencies of this environment. Each then runs what same_numbers.toml says: commands of its own,
and commands on a copy of what BEFORE made: logs in each format, a store, checkpoints of a run that
was killed and of one that ended. Numbers are equal where their text is; LEFT_OUT names fields that
are not compared. The exit code is 1 where anything differs. `--keep` keeps what BEFORE printed, and
compiled programs, for the next comparison on the same machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LEFT_OUT = {
    "decide": "seconds", "learn": "seconds", "latency": "seconds", "thought": "seconds",
    "p50": "of seconds", "p99": "of seconds", "total": "seconds of decide + learn",
    "compile": "seconds", "seconds": "of a cell, for a guess at what is left",
    "events_per_second": "of time", "retraces": "depends on what was compiled before",
    "frontier": "depends on latency", "versions": "a revision may have another",
    "host": "a machine may have another name", "key": "compared by what is found under it",
    "what": "words about an option", "age": "of a checkpoint, seconds",
    "bytes": "of files, which hold times",
}  # fmt: skip
"""Fields of a row, not of its parts, that are not compared, and why."""
SHOWN = 5
"""Differences of a command that are shown; all are counted."""
TURNS, USERS = 1000, 20
"""Of the lines that `run` is given."""
MADE, READ, LINES = "made", "read", "lines"
ALONE = """\
import sys
sys.meta_path[:] = [x for x in sys.meta_path if "editable" not in getattr(x, "__module__", "")]
sys.path[:] = [x for x in sys.path if "__editable__" not in x]
"""
"""Put where a revision is installed: another one, installed editable, would fill its gaps."""
BEGIN = (
    "from importlib.metadata import distribution as d; import sys; sys.argv[0] = 'uncertain'; "
    "d('uncertain').entry_points.select(group='console_scripts', name='uncertain')"
    "['uncertain'].load()()"
)
WHERE = "import uncertain; print(*map(str, uncertain.__path__))"
NOTHING = object()

Step = dict[str, Any]
Difference = tuple[str, str, str]
"""Path, before and after."""


class Number(str):
    """The text of a number."""


def parsed(line: str) -> Any:
    """A line of JSON, numbers as their text; any other line as it is."""
    try:
        return json.loads(line, parse_float=Number, parse_int=Number, parse_constant=Number)
    except json.JSONDecodeError:
        return line


def shown(value: Any) -> str:
    """A part of a record for a person."""
    if value is NOTHING:
        return "nothing"
    if isinstance(value, Number):
        return str(value)
    return "something" if isinstance(value, dict | list) else json.dumps(value)


def differences(before: Any, after: Any, path: str, row: str) -> Iterator[Difference]:
    """Yield the differences of two parts.

    before, after: the parts.
    path: their path.
    row: path of the whole row.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            if path != row or name not in LEFT_OUT:
                pair = before.get(name, NOTHING), after.get(name, NOTHING)
                yield from differences(*pair, f"{path}.{name}", row)
    elif isinstance(before, list) and isinstance(after, list):
        for index, pair in enumerate(zip_longest(before, after, fillvalue=NOTHING)):
            yield from differences(*pair, f"{path}[{index}]", row)
    elif type(before) is not type(after) or before != after:
        yield path, shown(before), shown(after)


def compared(before: str, after: str) -> list[Difference]:
    """Return all differences between two outputs, with the line in their path."""
    texts = (map(parsed, text.splitlines()) for text in (before, after))
    found: list[Difference] = []
    for number, pair in enumerate(zip_longest(*texts, fillvalue=NOTHING), start=1):
        row = f"line {number}"
        found += differences(*pair, row, row)
    return found


def steps_of(text: str, data: Path, given: Path) -> dict[str, list[dict[str, Step]]]:
    """Return the commands of `made` and `read` by group, and print those whose data are absent.

    text: the TOML.
    data: folder of data.
    given: folder of the lines for `run`.
    """
    tables = tomllib.loads(text)
    words = {**tables["words"], "data": data, "lines": given}
    found: dict[str, list[dict[str, Step]]] = {}
    for part in (MADE, READ):
        found[part] = []
        for group in tables[part].values():
            steps = {n: s if isinstance(s, dict) else {"command": s} for n, s in group.items()}
            for name in [n for n, s in steps.items() if "{data}" in s["command"]]:
                if not data.is_dir():
                    print(f"{name}: skipped, no folder {data}; UNCERTAIN_DATA names another")
                    del steps[name]
            for step in steps.values():
                line = step["command"].format(**words)
                step["command"] = line.format(**words)
            found[part].append(steps)
    return found


def given_lines() -> dict[str, str]:
    """Return the input of `run` by file name: requests and observations in turn."""
    rng = random.Random(0)
    plain, keyed = [], []
    for i in range(TURNS):
        x, y = [rng.gauss(0, 1), rng.gauss(0, 1)], rng.gauss(0, 1)
        user = f"user {rng.randrange(USERS)}"
        for said in ({"id": i, "t": float(i), "x": x}, {"id": i, "y": y}):
            plain.append(json.dumps(said) + "\n")
            keyed.append(json.dumps({"user": user, **said}) + "\n")
    return {"plain": "".join(plain), "keyed": "".join(keyed)}


def installed(revision: str | None, folder: Path) -> None:
    """Install a revision, the working tree where it is None, into a folder."""
    git = ["git", "-C", str(ROOT)]
    with tempfile.TemporaryDirectory() as place:
        if revision is None:
            named = [*git, "ls-files", "-coz", "--exclude-standard"]
            for name in output(named).split("\0"):
                if name and (ROOT / name).is_file():
                    (Path(place) / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / name, Path(place) / name)
        else:
            packed = subprocess.run([*git, "archive", revision], check=True, capture_output=True)
            subprocess.run(["tar", "-x", "-C", place], input=packed.stdout, check=True)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--target", str(folder), place], check=True)
    (folder / "sitecustomize.py").write_text(ALONE)


def output(words: list[str], environment: dict[str, str] | None = None) -> str:
    """Return what a command prints, run where no checkout of the package is."""
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            words, cwd=place, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
    return done.stdout.strip()


class Side:
    """A revision in a folder: installed in `package`; `said` holds the outputs of its commands."""

    def __init__(self, revision: str | None, folder: Path, cache: Path, lines: Path) -> None:
        self.lines, self.said = lines, {}
        installed(revision, folder / "package")
        kept = {n: value for n, value in os.environ.items() if not n.startswith("UNCERTAIN_")}
        more = {"PYTHONPATH": str(folder / "package"), "XDG_CACHE_HOME": str(cache)}
        self.environment = kept | more
        place = output([sys.executable, "-c", WHERE], self.environment)
        if place != str(folder / "package" / "uncertain"):
            sys.exit(f"the package of this revision is mixed with another: {place}")

    def run(self, groups: list[dict[str, Step]], within: Path) -> None:
        """Run commands in a folder, those of one group beside one another."""
        within.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for group in groups:
                said = pool.map(lambda name, step: self.one(name, step, within), group,
                                group.values())  # fmt: skip
                self.said |= dict(zip(group, said, strict=True))

    def one(self, name: str, step: Step, within: Path) -> dict[str, Any]:
        """Run one command, and return its exit status and outputs."""
        given = ""
        if "given" in step:
            every = (self.lines / step["given"]).read_text().splitlines(keepends=True)
            given = "".join(every[step.get("from") : step.get("to")])
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", BEGIN, *shlex.split(step["command"])], cwd=within, text=True,
            env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        if step.get("killed"):
            out, err = killed(process, given), ""
        else:
            out, err = process.communicate(given)
        (within / name).write_text(out)
        print(f"  {name}: {time.perf_counter() - began:.1f} s", flush=True)
        return {"status": process.returncode, "out": out, "err": err}


def killed(process: subprocess.Popen[str], given: str) -> str:
    """Return the answers of a process to lines, and kill it with its input still open."""
    assert process.stdin
    assert process.stdout
    with ThreadPoolExecutor(1) as pool:
        # Where it ended by itself, its exit code says so.
        pool.submit(lambda: (process.stdin.write(given), process.stdin.flush()))
        found = "".join(process.stdout.readline() for _ in given.splitlines())
    process.kill()
    with suppress(BrokenPipeError):
        process.communicate()
    return found


def is_same(name: str, step: Step, before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether a command did the same twice; says how it did not."""
    found = [] if step.get("quiet") else compared(before["out"], after["out"])
    wanted = -signal.SIGKILL if step.get("killed") else 0
    as_it_should = before["status"] == after["status"] == wanted
    if not as_it_should:
        print(f"{name}: exit code {before['status']}, then {after['status']}")
        print(*(f"    {line}" for line in after["err"].splitlines()[-SHOWN:]), sep="\n")
    if found:
        print(f"{name}: {len(found)} differences")
        print(*(f"    {path}: {a} was, {b} is" for path, a, b in found[:SHOWN]), sep="\n")
    if same := as_it_should and not found:
        print(f"{name}: same, {len(before['out'].splitlines())} lines")
    return same


def main() -> None:
    """Run both sides and compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", metavar="BEFORE", help="a revision of git")
    parser.add_argument("after", metavar="AFTER", nargs="?", help="another; else the working tree")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for the outputs of BEFORE")
    given = parser.parse_args()
    data = Path(os.environ.get("UNCERTAIN_DATA", ROOT.parent / "shared" / "data")).absolute()
    commit = output(["git", "-C", str(ROOT), "rev-parse", f"{given.before}^{{commit}}"])
    text = Path(__file__).with_suffix(".toml").read_text()
    asked = text, data.is_dir(), sys.version, version("jax"), version("numpy")
    mark = hashlib.sha256(repr(asked).encode()).hexdigest()[:8]
    with tempfile.TemporaryDirectory() as scratch:
        base = (given.keep or Path(scratch)).absolute()
        steps = steps_of(text, data, base / LINES)
        (base / LINES).mkdir(parents=True, exist_ok=True)
        for name, lines in given_lines().items():
            (base / LINES / name).write_text(lines)
        kept, after = base / f"{commit[:12]}-{mark}", Path(scratch) / "after"
        if not (kept / "said.json").exists():
            shutil.rmtree(kept, ignore_errors=True)
            print(f"before: {commit}", flush=True)
            first = Side(commit, kept, base / "cache", base / LINES)
            first.run(steps[MADE], kept / MADE)
            shutil.copytree(kept / MADE, kept / READ)
            first.run(steps[READ], kept / READ)
            (kept / "said.json").write_text(json.dumps(first.said))
        print(f"after: {given.after or 'the working tree'}", flush=True)
        second = Side(given.after, after, base / "cache", base / LINES)
        second.run(steps[MADE], after / MADE)
        shutil.copytree(kept / MADE, after / READ)
        second.run(steps[READ], after / READ)
        said = json.loads((kept / "said.json").read_text())
        every = {
            name: step for part in steps.values() for group in part for name, step in group.items()
        }
        same = [is_same(n, step, said[n], second.said[n]) for n, step in every.items()]
    print(f"{sum(same)} of {len(same)} commands do the same")
    sys.exit(not all(same))


if __name__ == "__main__":
    main()
