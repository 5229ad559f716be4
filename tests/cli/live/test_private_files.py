"""What `uncertain run` keeps of its lines is for its owner alone."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from console import call, lines
from killing import LINEAR

pytestmark = pytest.mark.live

OTHERS = stat.S_IRWXG | stat.S_IRWXO


@pytest.fixture(autouse=True)
def wide_open() -> Iterator[None]:
    """Files are for everyone, unless whoever makes them says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def exposed(folder: Path) -> list[Path]:
    """The files in a folder that others can reach; what is in a private folder, none can."""
    found: list[Path] = []
    for part in folder.iterdir():
        if part.stat().st_mode & OTHERS:
            found += exposed(part) if part.is_dir() else [part]
    return found


def turns(count: int) -> str:
    """A request and its observation a turn, in more streams than stay in memory."""
    found: list[dict[str, object]] = []
    for i in range(count):
        whose = {"user": f"u{i % 7}", "id": i}
        found += [{**whose, "x": [1.0], "t": i}, {**whose, "y": 0.5}]
    return lines(*found)


@pytest.mark.parametrize("there", [False, True])
def test_nothing_is_exposed(tmp_path: Path, there: bool) -> None:
    folder, refused = tmp_path / "kept", tmp_path / "refused.ndjson"
    if there:
        # Folders that are there keep their rights; what is put into them is private all the same.
        for name in ("log", "checkpoints"):
            (folder / name).mkdir(parents=True)
    spilling = ("--key-by", "user", "--streams", 2, "--checkpoint", folder, "--every", 5)
    refusing = ("--on-error", "quarantine", "--quarantine", refused)
    result = call(*LINEAR, *spilling, *refusing, stdin=turns(20) + "no line\n")
    assert result.status == 0, result.err
    assert refused.read_text()
    for name in ("checkpoints", "log", "streams"):
        assert any((folder / name).rglob("*")), name
    assert exposed(tmp_path) == []
    assert bool(folder.stat().st_mode & OTHERS) == there
    # What anybody may read is found.
    (tmp_path / "public").write_text("")
    assert exposed(tmp_path) == [tmp_path / "public"]
