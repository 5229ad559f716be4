"""What a sweep has in its store: which cells are finished, and what determines a cell's result.

Not here: computing a cell (groups.py), or the layout of a store (streams/store.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import lru_cache
from importlib.metadata import EntryPoints, entry_points, version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import msgspec
import numpy as np

from ...posteriors.loading import parse
from ...streams import store as storing
from ...streams.store import Store
from . import record
from .crew import setting
from .experiment import Cell, Experiment

CELLS, BASELINES = "cells", "baselines"
"""Kinds of entries: results, and the quality of random actions that results are compared with."""
ASIDE = {"workers", "cells", "grid", "grids"}
"""Of an experiment, what no cell's result depends on once the cell is resolved."""
NAMED = ("world", "model", "posterior", "rule", "proposer")
"""Parts of a cell that may be somebody's own code."""


class Finished(NamedTuple):
    """A cell with all that is kept of it.

    record: as docs/record.schema.json says. arrays: quality by run (`decide.judge.quality`) and
    of the live runs decide, learn `[N, T]` seconds, actions `[N, T, size]`, observations
    `[N, T]`. seconds: of wall time that it took. kept: whether it is in the store already, in
    which case arrays need not be here.
    """

    cell: Cell
    record: dict[str, Any]
    arrays: Mapping[str, np.ndarray]
    seconds: float
    kept: bool = False


def identity(cell: Cell, experiment: Experiment) -> dict[str, Any]:
    """Everything that determines a cell's result, as its key in the store is made of it.

    The resolved cell; how it is judged (settings that are off are left out, `think` of a cell too,
    so that a new one changes no key); schemas, versions of the packages that compute, precision and
    kind of device; the text of the user's own files, or the version of the package that an entry
    point is in. Not the host or the number of workers: they change times and draws of the judge,
    not what is meant.
    """
    inside = {field.name for field in fields(Cell)} | ASIDE
    judged = {
        field.name: value
        for field in msgspec.structs.fields(Experiment)
        if field.name not in inside and (value := getattr(experiment, field.name))
    }
    return {
        "store": storing.SCHEMA,
        "record": record.SCHEMA,
        "cell": {name: value for name, value in asdict(cell).items() if name != "think" or value},
        "judge": judged,
        "versions": versions(),
        "sources": sources({kind: getattr(cell, kind) for kind in NAMED}),
        "device": jax.devices()[0].device_kind,
        "x64": setting("jax_enable_x64"),
    }


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    return {name: version(name) for name in record.PACKAGES}


def sources(specs: Mapping[str, str | None]) -> dict[str, str]:
    """What stands behind names that are not built in, and the files they are given.

    specs: what is called a model, a posterior, ..., as typed.
    """
    found = {}
    for kind, spec in specs.items():
        target, settings = parse(spec or "")
        for option, value in settings:
            if isinstance(value, str) and Path(value).is_file():
                found[f"{kind}.{option}"] = storing.digest(Path(value).read_bytes())
        path = Path(target.rpartition(":")[0])
        if path.suffix == ".py" and path.is_file():
            found[kind] = storing.digest(path.read_bytes())
        for point in installed(f"uncertain.{kind}s"):
            if point.name == target and point.dist is not None:
                found[kind] = f"{point.dist.name} {point.dist.version}"
    return found


@lru_cache(maxsize=8)
def installed(group: str) -> EntryPoints:
    return entry_points(group=group)


class Ledger:
    """The part of a store that belongs to one experiment's settings."""

    def __init__(self, store: Store, experiment: Experiment) -> None:
        self.store = store
        self.experiment = experiment
        self._untimed = msgspec.structs.replace(experiment, live=0)

    def identity(self, cell: Cell, is_baseline: bool = False) -> dict[str, Any]:
        """What determines a cell's result, or the quality of random actions."""
        return identity(cell, self._untimed if is_baseline else self.experiment)

    def key(self, cell: Cell) -> str:
        """Under which a cell's result is kept."""
        return storing.key_of(self.identity(cell))

    def done(self, cell: Cell) -> bool:
        """Whether a cell's result is there, whole."""
        return self.store.read(CELLS, self.key(cell)) is not None

    def keep(self, one: Finished) -> None:
        """Commit a cell's result."""
        self.store.commit(CELLS, self.identity(one.cell), one.record, one.arrays, one.seconds)

    def baseline(self, cell: Cell) -> dict[str, Any] | None:
        """Quality of random actions, where it is there."""
        entry = self.store.read(BASELINES, storing.key_of(self.identity(cell, True)))
        return entry.arrays() if entry else None

    def keep_baseline(self, cell: Cell, runs: Mapping[str, np.ndarray]) -> None:
        """Commit the quality of random actions, so that neither shards nor reruns repeat it."""
        self.store.commit(BASELINES, self.identity(cell, True), {"runs": cell.seeds}, runs)
