"""Damaged results: stores and NDJSON that `show`, `compare`, `report` and `sweep` read."""

import io
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made_results
import msgspec
import numpy as np
import pytest
from fuzzing import Mistake, asked_for, odd, spoil, survey, twist
from uncertain.cli.commands.compare import CompareOptions
from uncertain.cli.commands.report import ReportOptions
from uncertain.cli.commands.show import Format, ShowOptions
from uncertain.cli.environment import Environment
from uncertain.cli.jobs.compare import compare
from uncertain.cli.jobs.show import show
from uncertain.cli.report.report import report
from uncertain.decide.judge.engine.result_index import CELLS
from uncertain.streams.storage import results
from uncertain.streams.storage.results import (
    DONE,
    IDENTITY,
    RECORD,
    Done,
    digest,
    encode_arrays,
    result_key,
)

KEPT = Path(__file__).parents[3] / "docs" / "results"
TABLES = ("default.ndjson", "refine-or-think.ndjson", "location-T10.ndjson", "deadlines.ndjson")


def quiet(terminal: bool = False) -> Environment:
    """Streams that nobody looks at."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    return Environment(io.BytesIO(), out, err, terminal, variables={"UNCERTAIN_NO_CACHE": "1"})


def shown(place: Path) -> list[dict[str, Any]]:
    """The rows as `show` writes them; which are at the frontier depends on the others."""
    environment = quiet()
    show(ShowOptions(place=str(place), format=Format.NDJSON), environment)
    rows = environment.data.getvalue().splitlines()  # type: ignore[attr-defined]
    return [{**json.loads(row), "frontier": False} for row in rows]


def draw_markdown(place: Path) -> None:
    report(ReportOptions(place=str(place), output=f"{place}.report.md"), quiet())


JOBS: tuple[Callable[[Path], Any], ...] = (
    lambda place: show(ShowOptions(place=str(place), format=Format.TABLE), quiet()),
    lambda place: show(ShowOptions(place=str(place)), quiet(terminal=True)),
    lambda place: show(ShowOptions(place=str(place), format=Format.CSV), quiet()),
    lambda place: show(ShowOptions(place=str(place), format=Format.PARQUET), quiet()),
    lambda place: show(ShowOptions(place=str(place), format=Format.MARKDOWN), quiet()),
    lambda place: compare(CompareOptions(before=str(place), after=str(place)), quiet(True)),
    draw_markdown,
)


class Reading:
    """Reads by one job after another. wanted: rows that there are, where others would be wrong."""

    def __init__(self, wanted: list[dict[str, Any]] | None = None) -> None:
        self.wanted, self.number = wanted, 0

    def __call__(self, place: Path) -> None:
        self.number += 1
        turn, job = divmod(self.number, 2)
        if job:
            JOBS[turn % len(JOBS)](place)
            return
        rows = shown(place)
        if self.wanted is not None and any(row not in self.wanted for row in rows):
            raise Mistake("shows what was never stored")


def draw_page(place: Path) -> tuple[object, ...]:
    return "report", place, "-o", f"{place}.html"


def filled(folder: Path, *sizes: int) -> Path:
    """A store of a cell for each S."""
    with pytest.MonkeyPatch.context() as patched:
        some = [made_results.cell("laplace", size, 1, "location") for size in sizes]
        patched.setattr(made_results, "cells", lambda world: some)
        return Path(made_results.fill(folder / "store", "location"))


def damaged_stores(folder: Path, count: int) -> Iterator[tuple[str, Path]]:
    """A store with a change to one of its files."""
    chance, store = random.Random(5), filled(folder, 8, 16)
    whole = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    for _ in range(count):
        path = chance.choice(list(whole))
        kind = chance.choice(("spoil", "spoil", "delete", "swap"))
        done = kind
        if kind == "delete":
            path.unlink()
        elif kind == "swap":
            path.write_bytes(whole[chance.choice(list(whole))])
        else:
            done, content = spoil(chance, whole[path], list(whole.values()))
            path.write_bytes(content)
        yield f"{path.name}: {done}", store
        path.write_bytes(whole[path])


def odd_arrays(chance: random.Random, parts: dict[str, bytes]) -> str:
    """Change an array, or how it is described; what was done."""
    name = chance.choice([n for n in parts if n.endswith("/zarr.json")])
    array = name.removesuffix("/zarr.json")
    if chance.random() < 0.6:
        about = json.loads(parts[name])
        done = twist(chance, about)
        if chance.random() < 0.3:
            about["shape"] = chance.choice(([10**9], [10**5, 10**5, 10**5], [0], [-1], [2, 3], []))
            done = f"shape {about['shape']}"
        parts[name] = json.dumps(about).encode()
        return f"{name}: {done}"
    other = chance.choice(
        (np.array(1.0), np.zeros((3, 2, 2)), np.full(8, np.nan), np.full((3, 12), -np.inf),
         np.zeros(1), np.zeros((3, 12), bool), np.zeros((2, 5), np.uint8), np.full(8, 1e308),
         np.zeros((1 << 12, 1 << 10)))
    )  # fmt: skip
    for key in [key for key in parts if key.startswith(f"{array}/")]:
        del parts[key]
    parts |= {n: value for n, value in encode_arrays({array: other}).items() if "/" in n}
    return f"{array} is {other.dtype} {other.shape}"


def odd_stores(folder: Path, count: int) -> Iterator[tuple[str, Path]]:
    """A store of a cell that is whole, but holds what no sweep would write."""
    chance, store = random.Random(6), filled(folder, 8)
    (first,) = store.glob(f"{CELLS}/*/*")
    whole = {str(f.relative_to(first)): f.read_bytes() for f in first.rglob("*") if f.is_file()}
    del whole[DONE]
    for _ in range(count):
        parts = dict(whole)
        if chance.random() < 0.4:
            done = odd_arrays(chance, parts)
        else:
            name = chance.choice((RECORD, RECORD, RECORD, IDENTITY))
            tree = [json.loads(parts[name])]
            done = f"{name}: {twist(chance, tree)}"
            parts[name] = json.dumps(tree[0] if tree else odd(chance)).encode()
        shutil.rmtree(store / CELLS)
        key = digest(parts[IDENTITY])[: len(result_key({}))]
        keys = {name: (len(value), digest(value)) for name, value in parts.items()}
        parts[DONE] = msgspec.json.encode(Done(results.SCHEMA, keys, 1.0))
        for name, value in parts.items():
            path = store / CELLS / key / first.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(value)
        yield done, store


def tables(folder: Path, count: int) -> Iterator[tuple[str, Path]]:
    """NDJSON of a few results, one of them changed."""
    chance, path = random.Random(7), folder / "rows.ndjson"
    rows = [line for name in TABLES for line in (KEPT / name).read_bytes().splitlines()]
    for _ in range(count):
        some = chance.sample(rows, chance.randint(1, 3))
        if chance.random() < 0.4:
            done, content = spoil(chance, b"\n".join(some), rows)
        else:
            tree = [json.loads(some[0])]
            done = twist(chance, tree)
            some[0] = json.dumps(tree[0] if tree else odd(chance)).encode()
            content = b"\n".join(some)
        path.write_bytes(content)
        yield done, path


KINDS = {"damaged": damaged_stores, "odd": odd_stores, "ndjson": tables}
# Only a job that reads arrays refuses wrong ones.
COMMANDS = {"damaged": draw_page, "odd": None, "ndjson": draw_page}
kinds = pytest.mark.parametrize("kind", list(KINDS))


def reading(folder: Path, kind: str) -> Reading:
    """A reader that knows what a damaged store held."""
    if kind != "damaged":
        return Reading()
    (folder / "whole").mkdir()
    return Reading(shown(filled(folder / "whole", 8, 16)))


@kinds
@pytest.mark.soak
def test_each_is_read_rightly_or_refused(tmp_path: Path, kind: str) -> None:
    # A store takes ten times as long as a file does.
    count = asked_for() if kind == "ndjson" else asked_for("UNCERTAIN_STORES") // 2
    read = reading(tmp_path, kind)
    found = survey(KINDS[kind](tmp_path, count), read, COMMANDS[kind], every=500)
    print(f"\n{kind}: {found}")
    assert found.faults == []
    # Of a damaged store the other cell is shown.
    refused = found.told["refused"] if kind != "damaged" else found.told["read"]
    assert min(found.told["read"], refused) > 0.02 * found.told.total()


@kinds
def test_some_are(tmp_path: Path, kind: str) -> None:
    read = reading(tmp_path, kind)
    assert survey(KINDS[kind](tmp_path, 70), read, COMMANDS[kind]).faults == []


@pytest.mark.parametrize("value", [1e-320, [1], {}, 10**30, "a\nb", True])
def test_any_value_of_a_configuration_is_shown_or_refused(tmp_path: Path, value: Any) -> None:
    row = json.loads((KEPT / TABLES[0]).read_bytes().splitlines()[0])
    path = tmp_path / "rows.ndjson"
    for name in row["config"]:
        other = {**row, "config": {**row["config"], name: value}}
        path.write_text(json.dumps(row) + "\n" + json.dumps(other) + "\n")
        for job in JOBS:
            assert survey(iter([(name, path)]), job).faults == []


def test_a_reader_with_a_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: what a store says is believed without its digests."""

    class Same(str):
        """Equal to any text."""

        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

        def __getitem__(self, key: Any) -> "Same":
            return self

    read = reading(tmp_path, "damaged")

    def trustful(place: Path) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(results, "digest", lambda value: Same())
            read(place)

    (first, _) = (store := filled(tmp_path, 8, 16)).rglob(RECORD)
    first.write_bytes(first.read_bytes().replace(b'"seeds":8', b'"seeds":9'))
    for reader, faults in ((read, 0), (trustful, 1)):
        # Every second time it only shows what it reads.
        twice = iter([("another digit", store)] * 2)
        assert len(survey(twice, reader).faults) == faults
