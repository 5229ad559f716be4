"""The lock between sweeps lies where nobody else can take it first."""

import os
import stat
import tempfile
from pathlib import Path

import pytest
from uncertain.decide.judge.engine import timing_lock
from uncertain.posteriors.errors import UsageError


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that others could make first; the home is another."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp" / f"uncertain-{os.getuid()}"


def test_it_is_in_a_private_folder(shared: Path) -> None:
    assert timing_lock.lock_file().parent == shared
    assert stat.S_IMODE(shared.stat().st_mode) == 0o700
    with timing_lock.hold_timing():
        assert stat.S_IMODE((shared / "timing.lock").stat().st_mode) == 0o600


@pytest.mark.parametrize("taken", ["link", "open", "file", "owner"])
def test_what_another_user_took_first_is_left(
    shared: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    if taken == "link":
        shared.symlink_to(shared.parent)
    elif taken == "file":
        shared.write_text("")
    else:
        shared.mkdir(mode=0o700)
        if taken == "open":
            shared.chmod(0o777)
        else:
            # Only a superuser could make a folder that is somebody else's.
            user = os.getuid()
            shared.rename(shared.with_name(f"uncertain-{user + 1}"))
            monkeypatch.setattr(os, "getuid", lambda: user + 1)
            with pytest.raises(UsageError, match="neither is a folder that only you can write to"):
                timing_lock.lock_file()
            return
    found = timing_lock.lock_file()
    assert found.is_relative_to(shared.parent.parent / "home")
    with timing_lock.hold_scoring():
        pass
