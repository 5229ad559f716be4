"""A store: what is committed comes back, what is damaged or half written is not there.

See also: tests/decide/judge/engine/test_sweep.py for the results of a sweep.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from uncertain.posteriors.errors import UsageError
from uncertain.streams.storage.results import Store, canonical_bytes, result_key

IDENTITY = {"posterior": "exact", "steps": 3}
RECORD = {"gain": {"mean": 1.5}, "note": None}
ARRAYS = {
    "decide": np.arange(6.0).reshape(2, 3) * 1e-6,
    "actions": np.linspace(0, 1, 12, dtype=np.float32).reshape(2, 3, 2),
    "failures": np.zeros(4, np.int64),
    "exact": np.array([True, False]),
    "odd": np.array([np.nan, np.inf, -0.0]),
}


def committed(place: Path, identity: dict[str, Any] = IDENTITY) -> tuple[Store, Path]:
    """A store with one entry, and the folder of the attempt at it."""
    store = Store(str(place))
    attempt = store.commit("cells", identity, RECORD, ARRAYS, 2.5)
    return store, place / "cells" / result_key(identity) / attempt


def test_what_is_committed_comes_back(tmp_path: Path) -> None:
    committed(tmp_path / "store")
    (found,) = Store(str(tmp_path / "store")).entries("cells")
    key, entry = found
    assert key == result_key(IDENTITY)
    assert (entry.identity, entry.record, entry.seconds) == (IDENTITY, RECORD, 2.5)
    arrays = entry.arrays()
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_arrays_open_without_us(tmp_path: Path) -> None:
    import tensorstore as ts

    _, folder = committed(tmp_path)
    kvstore = {"driver": "file", "path": f"{folder}/actions/"}
    array = ts.open({"driver": "zarr3", "kvstore": kvstore}).result().read().result()
    np.testing.assert_array_equal(array, ARRAYS["actions"])
    assert json.loads((folder / "zarr.json").read_text())["node_type"] == "group"


def test_nothing_is_in_an_empty_store(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "nowhere"))
    assert not store.attempts("cells")
    assert store.read("cells", result_key(IDENTITY)) is None
    assert not (tmp_path / "nowhere").exists()


def test_the_key_follows_from_the_identity_alone() -> None:
    assert result_key({"a": 1, "b": {"c": 2, "d": 3}}) == result_key(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert result_key({"a": 1}) != result_key({"a": 2})
    assert canonical_bytes({"b": 1, "a": 2}) == b'{"a":2,"b":1}'


def names(folder: Path) -> list[str]:
    return [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]


def test_any_damage_to_any_key_is_found(tmp_path: Path) -> None:
    store, folder = committed(tmp_path)
    key = result_key(IDENTITY)
    for name in names(folder):
        file = folder / name
        good = file.read_bytes()
        flipped = bytes([good[0] ^ 1]) + good[1:]
        for bad in (good[:-1], b"", flipped):
            file.write_bytes(bad)
            assert store.read("cells", key) is None, (name, bad[:20])
        file.unlink()
        assert store.read("cells", key) is None, name
        file.write_bytes(good)
        assert store.read("cells", key) is not None


def test_half_written_is_not_there_and_a_later_attempt_is(tmp_path: Path) -> None:
    store, folder = committed(tmp_path)
    (folder / "done.json").unlink()
    assert not store.attempts("cells")
    again = store.commit("cells", IDENTITY, {"gain": 2}, {})
    entry = store.read("cells", result_key(IDENTITY))
    assert entry is not None
    assert entry.record == {"gain": 2}
    assert not entry.arrays()
    assert store.attempts("cells") == {result_key(IDENTITY): [again]}


def test_two_writers_of_one_entry_share_no_key(tmp_path: Path) -> None:
    store, first = committed(tmp_path)
    before = {name: (first / name).read_bytes() for name in names(first)}
    other, second = committed(tmp_path)
    assert first != second
    assert {name: (first / name).read_bytes() for name in names(first)} == before
    # Damage to either leaves the other, which is then what is read.
    for folder in (first, second):
        shutil.move(folder / "record.json", folder / "kept")
        assert store.read("cells", result_key(IDENTITY)) is not None
        shutil.move(folder / "kept", folder / "record.json")
    assert len(list(other.entries("cells"))) == 1


def test_a_store_that_cannot_be_read_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = committed(tmp_path)

    def refuse(names: list[str]) -> list[bytes | None]:
        raise UsageError(f"{names[0]}: cannot be read")

    monkeypatch.setattr(store, "_values", refuse)
    with pytest.raises(UsageError, match="cannot be read"):
        list(store.entries("cells"))


def test_an_entry_under_anothers_key_is_not_there(tmp_path: Path) -> None:
    store, folder = committed(tmp_path)
    other = result_key({"posterior": "point"})
    shutil.copytree(folder.parent, tmp_path / "cells" / other)
    assert set(store.attempts("cells")) == {result_key(IDENTITY), other}
    assert [key for key, _ in store.entries("cells")] == [result_key(IDENTITY)]


def test_kinds_are_apart(tmp_path: Path) -> None:
    store, _ = committed(tmp_path)
    assert store.read("baselines", result_key(IDENTITY)) is None


def test_a_url_is_handed_on(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}/there")
    store.commit("cells", IDENTITY, RECORD, ARRAYS)
    assert Store(str(tmp_path / "there")).read("cells", result_key(IDENTITY)) is not None


def test_what_can_be_no_store_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match="is a file"):
        Store(str(file))
    with pytest.raises(UsageError, match="nosuch://x: cannot be opened"):
        Store("nosuch://x")
    with pytest.raises(UsageError, match="cannot be written"):
        Store(f"file://{file}/under").commit("cells", IDENTITY, RECORD, {})
