"""Damaged logs of columns: Parquet and npz, which `validate`, `replay` and `convert` read."""

import contextlib
import io
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from columnar import converted, event, log
from fuzzing import LARGEST, Mistake, asked_for, odd, spoil, survey
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.ndjson import FIELDS, decode_line, encode_line
from uncertain.streams.formats.record import LineError, Record, Where
from uncertain.streams.formats.registry import open_log
from uncertain.streams.formats.tables import npz, parquet

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

Made = Callable[[random.Random], bytes]
ROWS = 12
BOMB = 300_000_000
"""Numbers of a column that takes few bytes on disk."""


def good_logs(folder: Path) -> dict[str, list[bytes]]:
    """By format: arms and vectors, with candidates and without."""
    offers = [{"id": "a", "x": [1.0]}, {"id": "b", "x": [2.0]}]
    rows = [
        [event(i, action=i % 3, t=float(i)) for i in range(ROWS)],
        [event(i, action=[0.5, float(i)]) for i in range(ROWS)],
        [{"id": i, "actions": offers, "action": "a", "y": float(i)} for i in range(ROWS)],
    ]
    paths = [log(folder, *some) for some in rows[:1]]
    found: dict[str, list[bytes]] = {}
    for form in ("parquet", "npz"):
        found[form] = []
        for some in rows:
            paths = [log(folder, *some)]
            found[form] += [converted(path, form)[0].read_bytes() for path in paths]
    return found


def column(chance: random.Random) -> list[Any]:
    """Values of one column, some of them odd."""
    usual = chance.choice((0.5, 1, "a", [0.5, 1.0], None, True, b"\0\xff", {"id": 1}))
    return [odd(chance) if chance.random() < 0.1 else usual for _ in range(ROWS)]


def odd_table(chance: random.Random) -> bytes:
    """Parquet of columns whose types nobody asked for."""
    arrays = {}
    for name in chance.sample(FIELDS, chance.randint(1, 5)) + ["id"] * (chance.random() < 0.8):
        try:
            made = pa.array(column(chance))
            kind = chance.choice((None, None, pa.float16(), pa.timestamp("ns"), pa.decimal128(9, 2),
                                  pa.large_string(), pa.date32(), pa.duration("us"), pa.binary(),
                                  pa.uint64(), pa.time64("ns")))  # fmt: skip
            arrays[name] = made if kind is None else made.cast(kind)
        except (pa.ArrowException, OverflowError, RecursionError):
            arrays[name] = pa.array([str(i) for i in range(ROWS)]).dictionary_encode()
    out = io.BytesIO()
    codec = chance.choice(("none", "snappy", "zstd", "gzip"))
    with contextlib.suppress(pa.ArrowException):  # of a type that Parquet has not
        pq.write_table(pa.table(arrays), out, compression=codec)
    return out.getvalue()


def wide_text(chance: random.Random) -> bytes:
    """A long text, said once and meant in each of many rows."""
    count = 2_000
    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), ["x" * 1_000_000])
    return _written(pa.table({"id": ids, "y": np.zeros(count)}))


def wide_rows(chance: random.Random) -> bytes:
    """Rows of very many equal numbers."""
    count, width = 40, 1_000_000
    flat = pa.array(np.zeros(count * width))
    x = pa.ListArray.from_arrays(pa.array(np.arange(count + 1) * width, pa.int32()), flat)
    return _written(pa.table({"id": np.arange(count), "x": x, "y": np.zeros(count)}))


def _written(table: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def packed(members: dict[str, bytes]) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def array_file(shape: str, kind: str = "<f8", content: bytes = b"\0" * 96, major: int = 1) -> bytes:
    """An npy file whose header says anything."""
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    size = struct.pack("<H" if major == 1 else "<I", len(header) + 1)
    return b"\x93NUMPY" + bytes([major, 0]) + size + header + b"\n" + content


def odd_archive(chance: random.Random) -> bytes:
    """An npz of arrays whose types and shapes nobody asked for."""
    ids = np.arange(ROWS)
    members = {}
    for name in {"id", "y", *chance.sample(FIELDS, chance.randint(0, 4))}:
        kind = chance.randrange(5)
        if kind == 0:
            shape = chance.choice(("(12,)", "(10**11,)", "(100000000000,)", "(-1,)", "(2**63,)",
                                   "(12, 0)", "()", "'a'", "(12" * 500, "(3000000000, 3)",
                                   "[12]"))  # fmt: skip
            kind_name = chance.choice(("<f8", "|O", "<U9", "<U100000000", "|V8", "<M8[s]", "<c16",
                                       ">i8", "|b1", "<f2", "no"))  # fmt: skip
            members[f"{name}.npy"] = array_file(shape, kind_name, major=chance.choice((1, 2, 3)))
            continue
        values: Any = chance.choice(
            (ids, ids * 0.5, ids * np.nan, ids.astype(str), np.ones((ROWS, 3)), np.ones((3, ROWS)),
             np.zeros((ROWS, 0)), ids[:3], ids.astype("M8[s]"), ids.astype(complex),
             np.full(ROWS, 1e308), np.full(ROWS, 2**63, np.uint64), np.full(ROWS, "[" * 3000),
             np.full(ROWS, '[{"id":1,"x":[1e999]}]'), np.full(ROWS, "a\0b"), np.array(1.0))
        )  # fmt: skip
        out = io.BytesIO()
        np.lib.format.write_array(out, values)
        members[f"{name}.npy"] = out.getvalue()
    if chance.random() < 0.1:
        members[chance.choice(("id", "../id.npy", "y.npy.npy", "a.txt"))] = b"text"
    return packed(members)


def bomb(chance: random.Random) -> bytes:
    """An npz that unpacks to gigabytes."""
    rows = BOMB // 2
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("id", "y"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                file.write(array_file(f"({rows},)", content=b""))
                for _ in range(rows // 10**6):
                    file.write(b"\0" * (8 * 10**6))
    return out.getvalue()


ODD: dict[str, Made] = {"parquet": odd_table, "npz": odd_archive}
BOMBS: dict[str, tuple[Made, ...]] = {"parquet": (wide_text, wide_rows), "npz": (bomb,)}


def files(folder: Path, form: str, count: int) -> Iterator[tuple[str, Path]]:
    """So many logs, one after another in the same place."""
    chance, path = random.Random(2), folder / f"mutated.{form}"
    good = good_logs(folder)[form]
    for _ in range(count):
        if chance.random() < 0.3:
            done, content = "other columns", ODD[form](chance)
        else:
            done, content = spoil(chance, chance.choice(good), good)
        path.write_bytes(content)
        yield done, path


def read(path: Path) -> None:
    """To its end; what is read means the same as a line."""
    log = open_log(str(path))
    for number, record in enumerate(log.written, 1):
        try:
            said = {n: v for n in FIELDS if (v := getattr(record, n)) not in (None, ())}
            again = decode_line(encode_line(said), Where(record.where.file, record.where.line))
        except LineError as error:
            raise Mistake(f"row {number} is no event: {error}") from error
        if again != record:
            raise Mistake(f"row {number} is {record}, as a line {again}")


def command(path: Path) -> tuple[object, ...]:
    return "validate", path


forms = pytest.mark.parametrize("form", list(ODD))


@forms
@pytest.mark.soak
def test_each_is_read_rightly_or_refused(tmp_path: Path, form: str) -> None:
    found = survey(files(tmp_path, form, asked_for()), read)
    print(f"\n{form}: {found}")
    assert found.faults == []
    assert min(found.told["read"], found.told["refused"]) > 0.02 * found.told.total()


@pytest.mark.live
@pytest.mark.parametrize(("form", "make"), [(f, make) for f in BOMBS for make in BOMBS[f]])
def test_few_bytes_that_mean_many(tmp_path: Path, form: str, make: Made) -> None:
    """A bomb is refused, or read in little memory."""
    path = tmp_path / f"bomb.{form}"
    path.write_bytes(make(random.Random(0)))
    assert path.stat().st_size < LARGEST >> 6
    assert survey(iter([("bomb", path)]), read_only, slowest=60).faults == []


def test_rows_of_many_numbers_are_decoded_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a list that is far longer than the others is refused."""
    wide, path, batches = 1 << 17, tmp_path / "wide.parquet", []
    ends = pa.array(np.arange(65) * wide, pa.int32())
    x = pa.ListArray.from_arrays(ends, pa.array(np.zeros(64 * wide)))
    path.write_bytes(_written(pa.table({"id": np.arange(64), "x": x, "y": np.zeros(64)})))
    real = parquet._listed
    monkeypatch.setattr(
        parquet, "_listed", lambda pa, column: batches.append(len(column)) or real(pa, column)
    )
    read_only(path)
    # Each of three columns in two halves; the numbers of the lists come apart.
    assert batches.count(32) == 6
    longest = parquet.VALUES + 1
    ends = pa.array([0, longest, *range(longest + 1, longest + 64)], pa.int32())
    x = pa.ListArray.from_arrays(ends, pa.array(np.zeros(longest + 63)))
    path.write_bytes(_written(pa.table({"id": np.arange(64), "x": x, "y": np.zeros(64)})))
    with pytest.raises(UsageError, match=f"a list of {longest} values, at most"):
        read_only(path)


def read_only(path: Path) -> None:
    """To its end."""
    for _ in open_log(str(path)).written:
        pass


@forms
def test_some_are(tmp_path: Path, form: str) -> None:
    assert survey(files(tmp_path, form, 300), read).faults == []


@pytest.mark.parametrize(
    ("form", "module", "name", "faulty"),
    [
        # A number that is none passes; an error of NumPy's own comes through.
        ("parquet", parquet, "record_from_fields", lambda _, where: Record(1, where, y=np.nan)),
        ("npz", npz, "load_archive", lambda file: dict(np.load(file, allow_pickle=False))),
    ],
)
def test_a_reader_with_a_fault_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, module: Any, name: str, faulty: Any
) -> None:
    """Negative control."""
    monkeypatch.setattr(module, name, faulty)
    assert survey(files(tmp_path, form, 200), read).faults
