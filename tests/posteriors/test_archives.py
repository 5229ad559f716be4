"""Archives that cannot be what they say."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from uncertain.posteriors import archives
from uncertain.posteriors.archives import ArchiveError, load_archive


def test_what_unpacks_to_far_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "FREE", 100_000)
    path = tmp_path / "zeros.npz"
    np.savez_compressed(path, id=np.zeros(1 << 17))
    with pytest.raises(ArchiveError, match=r"unpack to 1048704, .* with numpy.savez"):
        load_archive(path)
    # As the remedy says, and below the bound, it is read.
    np.savez(path, id=np.zeros(1 << 17))
    assert load_archive(path)["id"].size == 1 << 17
    np.savez_compressed(path, id=np.zeros(1 << 10))
    assert load_archive(path)["id"].size == 1 << 10


def test_a_name_twice_is_refused() -> None:
    array, made = io.BytesIO(), io.BytesIO()
    np.save(array, np.arange(3))
    with zipfile.ZipFile(made, "w") as packed:
        packed.writestr("id.npy", array.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            packed.writestr("id.npy", array.getvalue())
    made.seek(0)
    with pytest.raises(ArchiveError, match=r"holds 'id.npy' twice"):
        load_archive(made)
