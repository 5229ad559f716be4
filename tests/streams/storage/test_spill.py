"""Spilled streams: versions come back as they were, whatever is under way, or say that they cannot.

See also: tests/decide/loop/server/test_keyed_streams.py for the versions written and dropped.
"""

from contextlib import suppress
from pathlib import Path

import pytest
from uncertain.posteriors.errors import UsageError
from uncertain.streams.storage.spill import FLYING, Spill, stream_name


@pytest.mark.parametrize("sync", [False, True])
def test_versions_come_back(tmp_path: Path, sync: bool) -> None:
    store = Spill(tmp_path / "streams", sync)
    ann, other = stream_name("ann"), stream_name(1)
    assert store.versions(ann, 100) == []
    for number in (3, 20, 101):
        store.write(ann, number, bytes([number]) * 1000)
    store.write(other, 7, b"")
    # The same before and after they are in their place.
    for again in (store, Spill(tmp_path / "streams")):
        assert again.versions(ann, 101) == [3, 20]
        assert again.versions(ann, 3) == []
        assert again.versions(other, 100) == [7]
        assert again.read_newest(ann, [20]) == bytes([20]) * 1000
        assert again.read_newest(other, [7]) == b""
        store.settle()
    store.delete(ann, 3)
    store.delete_after(20)
    store.settle()
    assert store.versions(ann, 1000) == [20]
    assert store.measure()[:2] == (2, 2)


def test_names_tell_keys_apart() -> None:
    assert len({stream_name(key) for key in (1, "1", "a", "A", -1, "ä", "a/b")}) == 7


def test_what_is_under_way_is_bounded(tmp_path: Path) -> None:
    store = Spill(tmp_path)
    for number in range(1, 4 * FLYING):
        store.write(stream_name(number), number, b"x" * 10)
        assert len(store._flying) <= FLYING
    assert store.measure().streams >= 3 * FLYING - 1
    store.settle()
    assert not store._flying


def test_damage_is_told(tmp_path: Path) -> None:
    store = Spill(tmp_path)
    name = stream_name("ann")
    store.write(name, 5, b"all that was known")
    store.settle()
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    whole = file.read_bytes()
    for wrong in (whole[:-1], whole[:10], b"", whole[:-1] + b"X"):
        file.write_bytes(wrong)
        with pytest.raises(UsageError, match="damaged; restore it, or resume with --salvage"):
            store.read_newest(name, [5])
    file.write_bytes(whole)
    assert store.read_newest(name, [5]) == b"all that was known"


def test_what_could_not_be_written_is_not_lost(tmp_path: Path) -> None:
    """It stays in memory and is tried again, as where a disk is full for a while."""
    folder = tmp_path / "streams"
    folder.write_text("a file where a folder should be")
    store = Spill(folder)
    store.write(stream_name("ann"), 5, b"known")
    for _ in range(2):
        with pytest.raises(UsageError, match="streams cannot be written"):
            store.settle()
        assert store.read_newest(stream_name("ann"), [5]) == b"known"
    folder.unlink()
    with suppress(UsageError):
        # What was tried last, perhaps before.
        store.settle()
    store.settle()
    assert Spill(folder).read_newest(stream_name("ann"), [5]) == b"known"
