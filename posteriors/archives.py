"""Arrays of an npz archive, which may not unpack to much more than it is.

See also: parts/policy_file.py for trained policies.
"""

from __future__ import annotations

import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import BinaryIO

import numpy as np

FREE = 1 << 28
"""Bytes that any archive may unpack to."""
RATIO = 64
"""How many times its own size a larger one may unpack to; numbers that differ pack to a third."""


class ArchiveError(Exception):
    """An archive that cannot be read; its text is one line."""


def find_twice(names: list[str]) -> str | None:
    """Return a name that is there twice, None without one.

    names: any number.
    """
    return next((name for name, count in Counter(names).items() if count > 1), None)


def load_archive(file: BinaryIO | Path) -> dict[str, np.ndarray]:
    """Read all arrays of an npz archive; no code in it is run.

    file: opened for reading in any order, or its path.
    Returns: the arrays by name.
    Raises: ArchiveError if it is damaged, unpacks to far more than it is, or has a name twice.
    """
    try:
        with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(file) as packed:
            members = packed.infolist()
            size, held = (sum(getattr(one, name) for one in members)
                          for name in ("file_size", "compress_size"))  # fmt: skip
            if size > FREE and size > RATIO * held:
                raise ArchiveError(
                    f"{held} bytes unpack to {size}, which is more than {RATIO} times as many; if "
                    "that is meant, store them as they are with numpy.savez"
                )
            if (twice := find_twice([one.filename for one in members])) is not None:
                raise ArchiveError(f"holds {twice!r} twice")
        if not isinstance(file, Path):
            file.seek(0)
        with (
            warnings.catch_warnings(action="ignore"),
            np.load(file, allow_pickle=False) as archive,
        ):
            return {name: np.asarray(archive[name]) for name in archive.files}
    except ArchiveError:
        raise
    except Exception as error:  # a damaged archive fails in any way at all
        told = getattr(error, "strerror", None) or str(error).strip()
        reason = (told.splitlines() or [type(error).__name__])[0]
        raise ArchiveError(reason) from error
