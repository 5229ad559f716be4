"""`interventions`: people fix nodes of a hidden causal graph on or off and look at the others.

Three experiments of Bramley and colleagues, of which any may be missing. Neither the true graph nor
the graphs that people drew are read.
Sources: Bramley, Lagnado and Speekenbrink (2015); Bramley, Dayan, Griffiths and Lagnado (2017).
"""

from __future__ import annotations

import math

import numpy as np

from ...posteriors.errors import UsageError
from ...posteriors.models.noisy_or import FIXES, MOST
from ..formats.record import Record
from ..formats.tables.csv_rows import Row
from .base import Problem, Study, StudyTable, choice_record, find_file

NAME = "interventions"
EXPERIMENTS = ("e3", "e3third", "e4")
LEAST = 3
"""Nodes in the smallest of their problems."""
COLUMNS = ("ppt", "problem", "test", "n_nodes", "spont_rate", "power")


def read_interventions(folder: str) -> Study:
    """Read the study from the files of the experiments that are present.

    folder: folder that holds them.
    """
    files = {name: find_file(folder, f"{name}_interventions.csv") for name in EXPERIMENTS}
    if not any(files.values()):
        names = ", ".join(f"{name}_interventions.csv" for name in EXPERIMENTS)
        raise UsageError(f"{folder}: study {NAME} needs at least one of {names}, .gz or not")
    problems: list[Problem] = []
    for name, path in files.items():
        if path is not None:
            problems += _experiment(name, StudyTable(path, COLUMNS))
    missing = [name for name, path in files.items() if path is None]
    notes = (f"experiments not there: {', '.join(missing)}",) if missing else ()
    return Study(tuple(problems), ("eig", "random"), 60, False, (math.log(2), "bits"), notes)


def _experiment(name: str, cells: StudyTable) -> list[Problem]:
    """Problems of one file, whose rows stand in order of person, problem and test."""
    gathered: dict[tuple[str, str], list[Record]] = {}
    setups: dict[tuple[str, str], tuple[int, float, float]] = {}
    for line in cells:
        key = cells.read_text(line, "ppt"), cells.read_text(line, "problem")
        nodes = cells.read_whole(line, "n_nodes", LEAST, MOST)
        strengths = _chance(cells, line, "spont_rate"), _chance(cells, line, "power")
        if setups.setdefault(key, (nodes, *strengths)) != (nodes, *strengths):
            raise line[0].error("problem", "changes its nodes or strengths half way", "split it")
        every = [_test(cells, line, i) for i in range(1, nodes + 1)]
        arm = sum((fix - FIXES[0]) * len(FIXES) ** (nodes - 1 - i) for i, (fix, _) in
                  enumerate(every))  # fmt: skip
        code = sum(out * 2 ** (nodes - 1 - i) for i, (_, out) in enumerate(every))
        label = f"{name}/{'/'.join(key)}/{cells.read_text(line, 'test')}"
        gathered.setdefault(key, []).append(choice_record(label, line[0], arm, float(code)))
    return [
        Problem(
            f"{name}/{key[0]}", f"{name}, {setups[key][0]} nodes", _spec(*setups[key]), "exact",
            tuple(records),
        )
        for key, records in gathered.items()
    ]  # fmt: skip


def _spec(nodes: int, spontaneous: float, power: float) -> str:
    """The model of an observer who knows the strengths."""
    return f"noisy-or:nodes={nodes}:spontaneous={spontaneous}:power={power}"


def _chance(cells: StudyTable, line: Row, name: str) -> float:
    """A probability."""
    value = cells.read_number(line, name)
    if not 0 <= value <= 1:
        raise line[0].error(
            name, f"{cells.read_text(line, name)} is no probability", "correct the line"
        )
    return value


def _test(cells: StudyTable, line: Row, node: int) -> tuple[int, int]:
    """Intervention on a node (of `FIXES`) and its value then (0 or 1)."""
    found: list[int] = []
    for name, low in ((f"do{node}", FIXES[0]), (f"out{node}", 0)):
        if name not in cells.header:
            raise line[0].error(name, "no such column", "is it the file as published?")
        text = line[1][cells.header.index(name)].strip()
        if text not in {str(value) for value in range(low, 2)}:
            raise line[0].error(name, f"{text!r} is not {low} to 1", "correct the line")
        found.append(int(text))
    fix, out = found
    if fix and out != np.sign(fix + 1):
        raise line[0].error(f"out{node}", f"is {out} though the node was fixed", "correct the line")
    return fix, out
