"""`clicks`: people click components of a device as time goes by, to find out which activates which.

A click is a decision (t, action), and each component activated by a cause an observation (t, y);
both are numbered from 0. The graphs that people drew meanwhile are not read.
Source: Bramley, Gerstenberg, Mayrhofer and Lagnado; mTurk sample.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...posteriors.archives import ArchiveError, load_archive
from ...posteriors.errors import UsageError
from ...posteriors.units import MILLISECOND
from ..formats.record import DECISION, Record
from .base import StudyTable, find_file, require_file

NAME = "clicks"
LENGTH = 45.0
"""Seconds of a trial."""
CONDITIONS = ("reliable", "unreliable")
KINDS = ("action", "effect")
NODES = (3, 4)


class Trial(NamedTuple):
    """One person on one device.

    person: name of the person.
    trial: name of the trial.
    delays: "reliable" or "unreliable".
    nodes: number of components.
    records: in order of time.
    graph: true graph `[n, n]`; [i, j] is an arrow from i to j.
    reference: (seconds, bits) of the published observer, empty without its file.
    """

    person: str
    trial: str
    delays: str
    nodes: int
    records: tuple[Record, ...]
    graph: np.ndarray
    reference: tuple[tuple[float, float], ...] = ()

    @property
    def group(self) -> str:
        """Name of the trials that are summed up together."""
        return f"{self.delays}, {self.nodes} nodes"

    @property
    def clicks(self) -> int:
        """Number of choices that the person made."""
        return sum(record.kind == DECISION for record in self.records)


class ClickStudy(NamedTuple):
    """The whole study.

    trials: in the order of the file.
    unit: nats of one of the authors' unit, and its name.
    notes: remarks for the user.
    """

    trials: tuple[Trial, ...]
    unit: tuple[float, str] = (math.log(2), "bits")
    notes: tuple[str, ...] = ()


def read_clicks(folder: str) -> ClickStudy:
    """Read the study from its trials, events and graphs, with the reference entropies if present.

    folder: folder that holds them.
    """
    graphs = _read_graphs(require_file(folder, NAME, "graphs.npz"))
    events = StudyTable(
        require_file(folder, NAME, "mturk_events.csv"),
        ("ppt", "trial", "n_nodes", "time", "location", "type"),
    )
    table = StudyTable(
        require_file(folder, NAME, "mturk_trials_reference.csv"),
        ("ppt", "trial", "n_nodes", "delay_cond", "graph"),
    )
    happened: dict[tuple[str, str], list[Record]] = {}
    for line in events:
        key = events.read_text(line, "ppt"), events.read_text(line, "trial")
        nodes = events.read_whole(line, "n_nodes", NODES[0], NODES[-1])
        node = events.read_whole(line, "location", 1, nodes) - 1
        time = events.read_number(line, "time") * MILLISECOND
        kind = events.read_text(line, "type")
        if kind not in KINDS:
            raise line[0].error("type", f"{kind!r} is not action or effect", "correct the line")
        so_far = happened.setdefault(key, [])
        if so_far and time < (so_far[-1].t or 0.0):
            raise line[0].error("time", "is before the line above", "sort the trial by time")
        label, where = "/".join((*key, str(len(so_far)))), line[0]
        if kind == KINDS[0]:
            so_far.append(Record(label, where, time, action=node))
        else:
            so_far.append(Record(label, where, time, y=float(node)))
    reference = _entropies(folder)
    trials = []
    for line in table:
        key = table.read_text(line, "ppt"), table.read_text(line, "trial")
        nodes = table.read_whole(line, "n_nodes", NODES[0], NODES[-1])
        delays = table.read_text(line, "delay_cond")
        if delays not in CONDITIONS:
            raise line[0].error(
                "delay_cond", f"{delays!r} is not reliable or unreliable", "correct the line"
            )
        graph = graphs[nodes][table.read_whole(line, "graph", 1, len(graphs[nodes])) - 1]
        trials.append(
            Trial(
                *key, delays, nodes, tuple(happened.get(key, ())), graph,
                tuple(reference.get(key, ())),
            )
        )  # fmt: skip
    notes = () if reference else ("no mturk_reference_entropy_by_belief.csv to compare with",)
    return ClickStudy(tuple(trials), notes=notes)


def _entropies(folder: str) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """(seconds, bits) of the published observer, by person and trial; empty without the file."""
    path = find_file(folder, "mturk_reference_entropy_by_belief.csv")
    made: dict[tuple[str, str], list[tuple[float, float]]] = {}
    if path is not None:
        cells = StudyTable(path, ("ppt", "trial", "time", "entropy"))
        for line in cells:
            pair = cells.read_number(line, "time") * MILLISECOND, cells.read_number(line, "entropy")
            made.setdefault(
                (cells.read_text(line, "ppt"), cells.read_text(line, "trial")), []
            ).append(pair)
    return made


def _read_graphs(path: Path) -> dict[int, np.ndarray]:
    """Every graph that the files number, `[N, n, n]` of 0 and 1 by number of components."""
    try:
        held = load_archive(path)
        made = {nodes: held[f"DBN{nodes}"] for nodes in NODES}
    except (ArchiveError, KeyError) as error:
        raise UsageError(
            f"{path}: no graphs ({type(error).__name__}); it needs DBN3 and DBN4 as published"
        ) from error
    for nodes, graphs in made.items():
        flat = graphs.reshape(len(graphs), -1)
        if graphs.shape[1:] != (nodes, nodes) or not np.isin(flat, (0, 1)).all():
            raise UsageError(
                f"{path}: DBN{nodes} has shape {list(graphs.shape)}; it needs {nodes} by {nodes} "
                "graphs of 0 and 1"
            )
    return made
