"""Rows of features with a class or rewards each: numbers standardised, texts one-hot.

See also: payoff.py for the rewards of the arms, labelled.py for the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...posteriors.archives import ArchiveError, load_archive
from ...posteriors.errors import UsageError
from ...posteriors.specs import nearest
from ..formats.record import Where
from ..formats.tables.columns import Columns, read_columns
from ..formats.tables.csv_rows import strict_float

CONTEXTS = ("contexts", "features")
"""Arrays of an npz that may hold the features."""
REWARDS = "rewards"
LEVELS = 100
"""Most different texts of a column of categories, and most classes."""


class Rows(NamedTuple):
    """Rows of a file.

    features: `[N, C]`.
    labels: `[N]` indices into `classes`; None if nothing names a class.
    classes: names of the classes, empty without labels.
    rewards: `[N, A]`; None if the file has none.
    where: row index to its place.
    notes: remarks for the user on columns left out.
    """

    features: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]
    rewards: np.ndarray | None
    where: Callable[[int], Where]
    notes: tuple[str, ...]


def read_labelled_rows(path: str, label: str, drop: Sequence[str], numeric: bool) -> Rows:
    """Read the rows of a CSV, Parquet or npz file.

    path: the file.
    label: column (or array) that names each row's class.
    drop: columns that are no features.
    numeric: whether texts among the features are refused; otherwise they are one-hot.
    Raises: UsageError if the file is wrong.
    """
    if path.lower().endswith(".npz"):
        return _arrays(path, label)
    table = read_columns(path)
    named = list(table.values)
    if not label:
        raise UsageError(f"{table.file}: name its classes with label=COLUMN{nearest('', named)}")
    for name in (label, *drop):
        if name not in table.values:
            raise UsageError(f'{table.file}:1: no column "{name}"{nearest(name, named)}')
    labels, classes = _indexed(table.values[label], table.file, label)
    parts, notes = [], []
    for name, values in table.values.items():
        if name == label or name in drop:
            continue
        if len(set(values.tolist())) == 1:
            notes.append(f'{table.file}: column "{name}" is always {values[0]} and was left out')
        elif values.dtype.kind == "f":
            parts.append(_standardised(values[:, None]))
        else:
            parts.append(_one_hot(table, name, values, numeric))
    if not parts:
        raise UsageError(
            f'{table.file}: no column beside "{label}" that varies; a context needs at least one'
        )
    features = np.concatenate(parts, axis=1)
    return Rows(features, labels, classes, None, table.where, tuple(notes))


def _indexed(values: np.ndarray, file: str, label: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Each row's class as a number, and the classes' names in order."""
    distinct, labels = np.unique(values, return_inverse=True)
    if len(distinct) > LEVELS:
        raise UsageError(
            f'{file}: "{label}" has {len(distinct)} different values, at most {LEVELS} classes are '
            "taken; name a column of classes"
        )
    if len(distinct) < 2:
        raise UsageError(f'{file}: "{label}" is always {distinct[0]}; classes need to be two')
    numbered = distinct.dtype.kind in "fiu"
    names = tuple(f"{value:g}" if numbered else str(value) for value in distinct)
    return labels.astype(np.int32), names


def _standardised(values: np.ndarray) -> np.ndarray:
    """Columns `[N, C]` of mean 0 and standard deviation 1."""
    return (values - values.mean(0)) / values.std(0)


def _one_hot(table: Columns, name: str, values: np.ndarray, numeric: bool) -> np.ndarray:
    """A column of 0 and 1 for each text `[N, values]`."""
    distinct, index = np.unique(values, return_inverse=True)
    if numeric or len(distinct) > LEVELS:
        row = next(i for i, text in enumerate(values) if not _is_number(text))
        what = f"{str(values[row])!r} is no number" if values[row] else "empty"
        if not numeric:
            what += f", and {len(distinct)} different texts are no categories"
        raise table.where(row).error(name, what, f"correct it, or leave it out with drop={name}")
    return np.eye(len(distinct))[index]


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(strict_float(text)))
    except ValueError:
        return False


def _arrays(path: str, label: str) -> Rows:
    """An npz with `contexts [N, C]`, and `rewards [N, A]` or classes `[N]` under `label`."""
    try:
        found = load_archive(Path(path))
    except ArchiveError as error:
        raise UsageError(f"{path}: cannot be read as npz ({error}); check the path") from error

    def one(names: Sequence[str], rank: int) -> np.ndarray:
        name = next((n for n in names if n in found), None)
        if name is None:
            raise UsageError(f'{path}: no array "{names[0]}"{nearest(names[0], list(found))}')
        values = found[name]
        if values.ndim != rank or not len(values):
            shape = list(values.shape)
            raise UsageError(f"{path}: {name} has shape {shape}; it needs {rank} axes and rows")
        return values

    def where(row: int) -> Where:
        return Where(path, row + 1)

    def finite(values: np.ndarray, name: str) -> np.ndarray:
        if values.dtype.kind not in "fiub":
            raise UsageError(f"{path}: {name} holds {values.dtype}; it needs numbers")
        bad = ~np.isfinite(values.astype(float))
        if bad.any():
            raise where(int(np.argmax(bad.any(1)))).error(name, "not finite", "correct the row")
        return values.astype(float)

    contexts = finite(one(CONTEXTS, 2), "contexts")
    varies = contexts.std(0) > 0
    notes = tuple(
        f"{path}: contexts[:, {i}] is always {contexts[0, i]:g} and was left out"
        for i in np.flatnonzero(~varies)
    )
    if not varies.any():
        raise UsageError(f"{path}: no column of contexts varies; a context needs at least one")
    features = _standardised(contexts[:, varies])
    labels, classes, rewards = None, (), None
    if label:
        labels, classes = _indexed(one((label,), 1), path, label)
    else:
        rewards = finite(one((REWARDS,), 2), REWARDS)
    other = labels if rewards is None else rewards
    assert other is not None
    if len(other) != len(features):
        raise UsageError(f"{path}: {len(features)} contexts, {len(other)} rows to pay for them")
    return Rows(features, labels, classes, rewards, where, notes)
