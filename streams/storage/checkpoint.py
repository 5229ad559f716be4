"""Checkpoints: the whole state of a run, each an atomic commit.

A checkpoint is a TensorStore database of its own (driver `ocdbt`) in a folder named after the lines
accepted by then. All its keys are written in one transaction, its manifest last, so that a
checkpoint torn while it was written is empty and ignored. OCDBT frees no space when keys are
deleted, so old checkpoints are removed as whole folders. Its manifest and tree have checksums,
values have none: `done.json` holds their digests.

    identity.json, facts.json     JSON
    NAME/zarr.json, NAME/c/...    an array each (zarr 3)
    done.json                     length and digest of every other key

See also: wal.py for lines accepted since, ../../decide/loop/durable/durable.py for the content.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ...posteriors.errors import UsageError
from . import private
from .results import DONE, IDENTITY, decode_arrays, digest, encode_arrays
from .wal import sync_folder

SCHEMA = 3
"""Version of this layout, part of an identity."""
FACTS, MANIFEST = "facts.json", "manifest.ocdbt"
KEPT = 3
"""Checkpoints kept: if the newest is damaged, the one before and the log give the same belief."""
DIGITS = 16


class Checkpoint(NamedTuple):
    """One checkpoint.

    number: lines accepted by then.
    identity: JSON; the options that the state depends on.
    facts: JSON.
    arrays: by name, shapes and dtypes as given.
    """

    number: int
    identity: dict[str, Any]
    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


class DamagedCheckpoint(Exception):
    """A checkpoint is incomplete or altered; the message says how."""


class Checkpoints:
    """The checkpoints in a folder.

    folder: the folder.
    sync: whether each is on disk before `commit` returns.
    kept: number of checkpoints kept.
    """

    def __init__(self, folder: Path, sync: bool = True, kept: int = KEPT) -> None:
        self.folder, self.sync, self.kept = folder, sync, kept

    def numbers(self) -> list[int]:
        """Return the numbers of finished checkpoints, the oldest first; some may be damaged."""
        if not self.folder.is_dir():
            return []
        found = (path for path in self.folder.iterdir() if path.name.isdigit())
        return sorted(int(path.name) for path in found if (path / MANIFEST).exists())

    def path(self, number: int) -> Path:
        """Return the folder of a checkpoint.

        number: lines accepted by then.
        """
        return self.folder / f"{number:0{DIGITS}}"

    def commit(
        self,
        number: int,
        identity: Mapping[str, Any],
        facts: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
    ) -> None:
        """Write a checkpoint, then remove all but the last few.

        number: lines accepted by then.
        identity: JSON.
        facts: JSON.
        arrays: by name.
        Raises: UsageError, older checkpoints intact, if the disk is full or not writable.
        """
        import tensorstore as ts

        layout = {name: (list(x.shape), x.dtype.name) for name, x in arrays.items()}
        values = {
            IDENTITY: msgspec.json.encode(identity),
            FACTS: msgspec.json.encode({"arrays": layout, **facts}),
        } | encode_arrays(arrays)
        done = {name: (len(value), digest(value)) for name, value in values.items()}
        values[DONE] = msgspec.json.encode(done)
        path = self.path(number)
        try:
            # What is left of an attempt that was cut short.
            remove_checkpoint(path)
            private.make_folder(path)
            transaction = ts.Transaction(atomic=True)
            keys = open_database(path, self.sync).with_transaction(transaction)
            for name, value in values.items():
                keys[name] = value
            transaction.commit_async().result()
            if self.sync:
                sync_folder(self.folder)
            for old in self.numbers()[: -self.kept]:
                remove_checkpoint(self.path(old))
        except Exception as error:  # which classes TensorStore raises is its own affair
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"{path}: the checkpoint cannot be written ({reason}); check rights and space"
            ) from error

    def read(self, number: int) -> Checkpoint:
        """Read a checkpoint.

        number: lines accepted by then.
        Raises: DamagedCheckpoint if it is not whole.
        """
        try:
            keys = open_database(self.path(number), False)
            values = {name.decode(): keys[name] for name in keys.list().result()}
        except Exception as error:  # which classes TensorStore raises is its own affair
            raise DamagedCheckpoint(str(error)) from error
        if DONE not in values:
            raise DamagedCheckpoint("its end is missing")
        try:
            done: dict[str, tuple[int, str]] = msgspec.json.decode(
                values.pop(DONE), type=dict[str, tuple[int, str]]
            )
        except Exception as error:  # that it refuses is all that is read from it
            raise DamagedCheckpoint(f"{DONE} is not what was written") from error
        for name, (size, expected) in done.items():
            value = values.get(name, b"")
            if len(value) != size or digest(value) != expected:
                raise DamagedCheckpoint(f"{name} is not what was written")
        facts = msgspec.json.decode(values[FACTS])
        arrays = decode_arrays(values)
        for name, (shape, dtype) in facts.pop("arrays").items():
            # Zarr has no chunks of size 0, so these were left out.
            arrays.setdefault(name, np.zeros(shape, dtype))
        return Checkpoint(number, msgspec.json.decode(values[IDENTITY]), facts, arrays)

    def read_newest(self) -> tuple[Checkpoint | None, list[str]]:
        """Read the newest checkpoint that is whole.

        Returns: the checkpoint, None if there is none, and a message for each newer, damaged one.
        """
        wrong = []
        for number in reversed(self.numbers()):
            try:
                return self.read(number), wrong
            except DamagedCheckpoint as error:
                wrong.append(f"{self.path(number)}: damaged ({error})")
        return None, wrong


def open_database(path: Path, sync: bool) -> Any:
    """Open the key-value store of one checkpoint.

    path: its folder.
    sync: whether writes wait for the disk.
    """
    import tensorstore as ts

    spec: Any = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{path.absolute()}/"}}
    context = ts.Context({"file_io_sync": sync})
    return ts.KvStore.open(spec, context=context).result()


def remove_checkpoint(path: Path) -> None:
    """Remove a checkpoint; its manifest first, so that half of it is never taken for all.

    path: its folder.
    """
    with suppress(FileNotFoundError):
        (path / MANIFEST).unlink()
    with suppress(FileNotFoundError):
        shutil.rmtree(path)
