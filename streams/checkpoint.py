"""Checkpoints: everything that a run needs to go on, each one atomic commit.

A checkpoint is a TensorStore database of its own (driver `ocdbt`) in a folder named after the lines
taken in by then. All its keys are written in one transaction: its manifest comes last, so that one
torn while it was written is empty and counts as not there. OCDBT frees no space when keys are
deleted, so old checkpoints go as whole folders. Its manifest and tree have checksums, values have
none: `done.json` holds their digests.

    identity.json, facts.json     JSON
    NAME/zarr.json, NAME/c/...    an array each (zarr 3)
    done.json                     length and digest of every other key

Not here: what an identity or the facts say (decide/loop/durable.py), or lines taken in since
(wal.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ..posteriors.base import UsageError
from .store import DONE, IDENTITY, decoded, digest, encoded
from .wal import sync_folder

SCHEMA = 3
"""Of this layout; it is part of what an identity says."""
FACTS, MANIFEST = "facts.json", "manifest.ocdbt"
KEPT = 3
"""Checkpoints: should the newest be damaged, one before it and the log lead to the same belief."""
DIGITS = 16


class Checkpoint(NamedTuple):
    """number: lines taken in by then. facts: JSON. arrays: by name, shapes and dtypes as given."""

    number: int
    identity: dict[str, Any]
    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Damaged(Exception):
    """What is wrong with a checkpoint."""


class Checkpoints:
    """Those in a folder. sync: have each on the disk before `commit` returns."""

    def __init__(self, folder: Path, sync: bool = True, kept: int = KEPT) -> None:
        self.folder, self.sync, self.kept = folder, sync, kept

    def numbers(self) -> list[int]:
        """Of all that were finished, the oldest first; some may be damaged since."""
        if not self.folder.is_dir():
            return []
        found = (path for path in self.folder.iterdir() if path.name.isdigit())
        return sorted(int(path.name) for path in found if (path / MANIFEST).exists())

    def path(self, number: int) -> Path:
        return self.folder / f"{number:0{DIGITS}}"

    def commit(
        self,
        number: int,
        identity: Mapping[str, Any],
        facts: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
    ) -> None:
        """Write a checkpoint, then remove all before the last few.

        Raises UsageError, older ones intact, where the disk is full or may not be written to.
        """
        import tensorstore as ts

        layout = {name: (list(x.shape), x.dtype.name) for name, x in arrays.items()}
        values = {
            IDENTITY: msgspec.json.encode(identity),
            FACTS: msgspec.json.encode({"arrays": layout, **facts}),
        } | encoded(arrays)
        done = {name: (len(value), digest(value)) for name, value in values.items()}
        values[DONE] = msgspec.json.encode(done)
        path = self.path(number)
        try:
            # What is left of an attempt that was cut short.
            remove(path)
            path.mkdir(parents=True)
            transaction = ts.Transaction(atomic=True)
            keys = database(path, self.sync).with_transaction(transaction)
            for name, value in values.items():
                keys[name] = value
            transaction.commit_async().result()
            if self.sync:
                sync_folder(self.folder)
            for old in self.numbers()[: -self.kept]:
                remove(self.path(old))
        except Exception as error:  # which classes TensorStore raises is its own affair
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"{path}: the checkpoint cannot be written ({reason}); check rights and space"
            ) from error

    def read(self, number: int) -> Checkpoint:
        """The checkpoint of that number. Raises Damaged where it is not whole."""
        try:
            keys = database(self.path(number), False)
            values = {name.decode(): keys[name] for name in keys.list().result()}
        except Exception as error:  # which classes TensorStore raises is its own affair
            raise Damaged(str(error)) from error
        if DONE not in values:
            raise Damaged("its end is missing")
        try:
            done: dict[str, tuple[int, str]] = msgspec.json.decode(
                values.pop(DONE), type=dict[str, tuple[int, str]]
            )
        except Exception as error:  # that it refuses is all that is read from it
            raise Damaged(f"{DONE} is not what was written") from error
        for name, (size, expected) in done.items():
            value = values.get(name, b"")
            if len(value) != size or digest(value) != expected:
                raise Damaged(f"{name} is not what was written")
        facts = msgspec.json.decode(values[FACTS])
        arrays = decoded(values)
        for name, (shape, dtype) in facts.pop("arrays").items():
            # Zarr has no chunks of size 0, so these were left out.
            arrays.setdefault(name, np.zeros(shape, dtype))
        return Checkpoint(number, msgspec.json.decode(values[IDENTITY]), facts, arrays)

    def newest(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest that is whole, and what is wrong with each newer one."""
        wrong = []
        for number in reversed(self.numbers()):
            try:
                return self.read(number), wrong
            except Damaged as error:
                wrong.append(f"{self.path(number)}: damaged ({error})")
        return None, wrong


def database(path: Path, sync: bool) -> Any:
    """The key-value store of one checkpoint, open."""
    import tensorstore as ts

    spec: Any = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{path.absolute()}/"}}
    context = ts.Context({"file_io_sync": sync})
    return ts.KvStore.open(spec, context=context).result()


def remove(path: Path) -> None:
    """Remove a checkpoint; its manifest first, so that half of it is never taken for all."""
    with suppress(FileNotFoundError):
        (path / MANIFEST).unlink()
    with suppress(FileNotFoundError):
        shutil.rmtree(path)
