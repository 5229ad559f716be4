"""Checkpoints: what was kept comes back bit for bit, and half of one counts as none.

See also: tests/decide/loop/durable/test_durable.py for the contents.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
from uncertain.posteriors.errors import UsageError
from uncertain.streams.storage import checkpoint
from uncertain.streams.storage.checkpoint import MANIFEST, Checkpoints, DamagedCheckpoint

DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip
IDENTITY = {"model": "linear", "state": {"a": [[3], "float32"]}}
FACTS = {"counts": [1, 2], "latest": 0.1, "waiting": [["id", 1, 5e-324, False]]}
rng = np.random.default_rng(0)
ARRAYS = {name: rng.integers(0, 2, (3, 4)).astype(np.dtype(ts.dtype(name).numpy_dtype))
          for name in DTYPES}  # fmt: skip
ARRAYS |= {
    "empty": np.zeros((0, 5), np.float32),
    "scalar": np.array(3.5),
    "odd": np.array([np.nan, -0.0, np.inf, 5e-324]),
    "bits": rng.integers(0, 1 << 63, 4_000, np.uint64),
}


def committed(folder: Path, *numbers: int, arrays: dict[str, Any] | None = None) -> Checkpoints:
    """Checkpoints of these numbers, their facts saying which."""
    kept = Checkpoints(folder, sync=False)
    for number in numbers:
        kept.commit(number, IDENTITY, {"number": number}, ARRAYS if arrays is None else arrays)
    return kept


@pytest.mark.parametrize("sync", [True, False])
def test_every_dtype_comes_back_bit_for_bit(tmp_path: Path, sync: bool) -> None:
    Checkpoints(tmp_path, sync).commit(7, IDENTITY, FACTS, ARRAYS)
    found = Checkpoints(tmp_path).read(7)
    assert (found.number, found.identity, found.facts) == (7, IDENTITY, FACTS)
    assert set(found.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        again = found.arrays[name]
        assert (again.shape, again.dtype) == (array.shape, array.dtype), name
        assert again.tobytes() == array.tobytes(), name


def test_the_last_few_are_kept(tmp_path: Path) -> None:
    kept = committed(tmp_path, 0, 10, 20, 30, 40, arrays={})
    assert kept.numbers() == [20, 30, 40]
    assert len(list(tmp_path.iterdir())) == 3
    found, wrong = kept.read_newest()
    assert found is not None
    assert (found.facts, wrong) == ({"number": 40}, [])


def test_none_is_there_before_the_first(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "nowhere")
    assert (kept.numbers(), kept.read_newest()) == ([], (None, []))
    assert not (tmp_path / "nowhere").exists()


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and file.stat().st_size]


def test_any_damage_is_found_and_the_one_before_is_used(tmp_path: Path) -> None:
    arrays = {"a": np.arange(400.0)}
    kept = committed(tmp_path, 1, 2, arrays=arrays)
    found = files(kept.path(2))
    assert len(found) == 2
    noticed = 0
    for file in found:
        good = file.read_bytes()
        for at in range(0, len(good), max(len(good) // 40, 1)):
            file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            point, wrong = kept.read_newest()
            assert point is not None
            # A byte that nothing refers to may change; what is read is then what was written.
            np.testing.assert_array_equal(point.arrays["a"], arrays["a"])
            assert bool(wrong) == (point.number == 1)
            noticed += bool(wrong)
        file.write_bytes(good[: len(good) // 2])
        point, wrong = kept.read_newest()
        assert point is not None
        assert point.number == 1
        assert "damaged" in wrong[0]
        file.write_bytes(good)
    assert noticed > 40
    assert kept.read(2).number == 2


def test_whatever_file_is_missing_it_is_not_there(tmp_path: Path) -> None:
    """Files are written one after another: a kill leaves some of them."""
    kept = committed(tmp_path / "kept", 1, 2, arrays={"a": np.arange(400.0)})
    whole = kept.path(2)
    shutil.copytree(whole, tmp_path / "copy")
    assert (whole / MANIFEST) in files(whole)
    for file in files(whole):
        file.unlink()
        point, wrong = kept.read_newest()
        assert point is not None
        assert point.number == 1
        # Without its manifest it is not even begun.
        assert bool(wrong) == (file.name != MANIFEST)
        shutil.rmtree(whole)
        shutil.copytree(tmp_path / "copy", whole)
    # The next one of that number takes its place.
    (whole / MANIFEST).unlink()
    kept.commit(2, IDENTITY, {"number": 2}, {})
    assert kept.read(2).facts == {"number": 2}


def test_all_is_one_commit(tmp_path: Path) -> None:
    """Negative control of the above: keys written one by one can be half there."""
    kept = committed(tmp_path, 1, arrays={"a": np.arange(400.0)})
    keys = checkpoint.open_database(kept.path(1), False)
    names = [name.decode() for name in keys.list().result()]
    assert len(names) == 6
    other = checkpoint.open_database(kept.path(2), False)
    for name in names[:-1]:
        other[name] = keys[name]
    assert kept.numbers() == [1, 2]
    with pytest.raises(DamagedCheckpoint):
        kept.read(2)


def test_what_is_half_removed_is_gone(tmp_path: Path, monkeypatch) -> None:
    kept = committed(tmp_path, 1, 2, 3, arrays={})

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.remove_checkpoint(kept.path(1))
    assert kept.path(1).exists()
    assert kept.numbers() == [2, 3]


def test_where_nothing_can_be_written_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match=r"the checkpoint cannot be written \(Not a directory\)"):
        committed(file / "under", 1)


def test_a_full_disk_is_one_line_and_leaves_the_older(tmp_path: Path, monkeypatch) -> None:
    kept = committed(tmp_path, 1, arrays={})

    def full(path: Path, sync: bool) -> Any:
        raise ValueError("RESOURCE_EXHAUSTED: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "open_database", full)
        with pytest.raises(UsageError, match="No space left on device"):
            kept.commit(2, IDENTITY, {}, {})
    point, wrong = kept.read_newest()
    assert point is not None
    assert (point.number, wrong) == (1, [])
