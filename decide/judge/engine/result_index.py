"""Which cells of an experiment a store holds, and what determines a cell's result.

See also: streams/storage/results.py for the layout of a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import lru_cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Any, NamedTuple

import jax
import msgspec
import numpy as np

from ....posteriors.specs import parse_spec
from ....streams.storage import results as storing
from ....streams.storage.results import Store
from ..measures.executions.judged_steps import PREFIX
from ..measures.experiment import Cell, Experiment
from ..records.machine import computing_versions
from ..records.read_record import to_dict
from ..records.record import SCHEMA, Record
from .failures import NAMED
from .worker_process import jax_setting

CELLS, BASELINES = "cells", "baselines"
"""Kinds of entries: results, and the quality of random actions that results are compared with."""
ASIDE = {"workers", "cells", "grid", "grids"}
"""Fields of an experiment that no resolved cell's result depends on."""


class Finished(NamedTuple):
    """A cell with its result."""

    cell: Cell
    record: Record
    arrays: Mapping[str, np.ndarray]
    """Quality by run, and of the live runs decide, learn `[N, T]` seconds, actions `[N, T, size]`
    and observations `[N, T]`; empty if stored."""
    seconds: float
    """Wall time spent."""
    stored: bool = False
    """Whether the store has it already."""


def identity_of(cell: Cell, experiment: Experiment) -> dict[str, Any]:
    """Return everything that determines a cell's result; its key in the store is made of it.

    Settings that are off are left out, `think` of a cell too, so that a new one changes no key.
    The host and the number of workers are not among them: they change times and the judge's draws,
    but not the meaning.

    cell: resolved.
    experiment: how the cell is judged.
    Returns: the cell, how it is judged, schemas, versions of the packages that compute, digests of
        the user's own files (or the version of the package of an entry point), kind of device, and
        precision.
    """
    inside = {field.name for field in fields(Cell)} | ASIDE
    judged = {
        field.name: value
        for field in msgspec.structs.fields(Experiment)
        if field.name not in inside and (value := getattr(experiment, field.name))
    }
    return {
        "store": storing.SCHEMA,
        "record": SCHEMA,
        "cell": {name: value for name, value in asdict(cell).items() if name != "think" or value},
        "judge": judged,
        "versions": computing_versions(),
        "sources": digest_sources({kind: getattr(cell, kind) for kind in NAMED}),
        "device": jax.devices()[0].device_kind,
        "x64": jax_setting("jax_enable_x64"),
    }


def digest_sources(specs: Mapping[str, str | None]) -> dict[str, str]:
    """Digest the user's own files behind specs.

    specs: by kind, such as model or posterior.
    Returns: digests of files by kind, or by kind and option; of an installed entry point the
        version of its package.
    """
    sources = {}
    for kind, spec in specs.items():
        target, settings = parse_spec(spec or "")
        for option, value in settings:
            if isinstance(value, str) and Path(value).is_file():
                sources[f"{kind}.{option}"] = storing.digest(Path(value).read_bytes())
        path = Path(target.rpartition(":")[0])
        if path.suffix == ".py" and path.is_file():
            sources[kind] = storing.digest(path.read_bytes())
        for point in _installed(f"uncertain.{kind}s"):
            if point.name == target and point.dist is not None:
                sources[kind] = f"{point.dist.name} {point.dist.version}"
    return sources


@lru_cache(maxsize=8)
def _installed(group: str) -> EntryPoints:
    """Installed entry points of a group."""
    return entry_points(group=group)


class ResultIndex:
    """The results of one experiment in a store."""

    def __init__(self, store: Store, experiment: Experiment) -> None:
        self.store = store
        self.experiment = experiment
        self._untimed = msgspec.structs.replace(experiment, live=0)

    def identity(self, cell: Cell, is_baseline: bool = False) -> dict[str, Any]:
        """Return everything that determines a result.

        cell: resolved.
        is_baseline: whether the result is the quality of random actions.
        """
        return identity_of(cell, self._untimed if is_baseline else self.experiment)

    def key(self, cell: Cell) -> str:
        """Return the key of a cell's result.

        cell: resolved.
        """
        return storing.result_key(self.identity(cell))

    def is_finished(self, cell: Cell) -> bool:
        """Return whether the store has a cell's result, whole.

        cell: resolved.
        """
        return self.store.read(CELLS, self.key(cell)) is not None

    def store_result(self, result: Finished) -> None:
        """Commit a cell's result.

        result: the cell with its record and arrays.
        """
        row = to_dict(result.record)
        identity = self.identity(result.cell)
        self.store.commit(CELLS, identity, row, result.arrays, result.seconds)

    def baseline(self, cell: Cell) -> dict[str, Any] | None:
        """Return the quality of random actions; None if the store does not have it.

        cell: the baseline.
        """
        entry = self.store.read(BASELINES, storing.result_key(self.identity(cell, True)))
        return entry.arrays() if entry else None

    def store_baseline(self, cell: Cell, runs: Mapping[str, np.ndarray]) -> None:
        """Commit the quality of random actions, so that neither shards nor reruns repeat it.

        cell: the baseline.
        runs: measures by name.
        """
        kept = {name: part for name, part in runs.items() if not name.startswith(PREFIX)}
        self.store.commit(BASELINES, self.identity(cell, True), {"runs": cell.seeds}, kept)
