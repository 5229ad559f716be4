"""Recipes that reproduce results: TOML and a command for cells, with versions and seeds.

Nothing is built, so the files and packages that a cell names need not be there.

See also: page.py and report.py, which show the recipes.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...decide.judge.measures.experiment import Experiment
from ...decide.judge.records.record import Record
from ..commands.bench import BenchOptions
from ..commands.experiment import ExperimentOptions
from ..options import command_words, keys_of
from ..tables.format_values import field_of
from ..tables.results import Result

SHARED = ("seed", "candidates", "explore")
"""Settings that all cells of one experiment share."""
OWN = (
    "world", "model", "posterior", "particles", "refine", "think", "rule", "proposer", "steps",
    "seeds",
)  # fmt: skip
"""Settings that cells of one experiment may differ in."""
EACH = ("posterior", "particles", "refine", "think")
"""Of them, the settings that an experiment gives cell by cell only."""
OFF = {"live": 0, "samples": 0, "settle": 0, "fidelity": False}
"""Options of the judge that an identity leaves out when they are off."""


@dataclass
class Recipe:
    """Cells that one experiment computes on one set of versions and one machine.

    settings: shared by the cells, those of the judge included.
    versions: of packages, by name.
    machine: device, host and worker processes.
    guessed: whether the settings of the judge were inferred from the results, which lack some.
    cells: configurations.
    """

    settings: dict[str, Any]
    versions: dict[str, str]
    machine: str
    guessed: bool
    cells: list[dict[str, Any]] = field(default_factory=list)

    @property
    def toml(self) -> str:
        """Experiment for `uncertain sweep FILE.toml --out STORE` and `bench --config`."""
        alike = {name: self.cells[0].get(name) for name in OWN if self._is_common(name)}
        lines = [f"{name} = {_text(value)}" for name, value in (alike | self.settings).items()]
        lines.append("cells = [")
        for config in self.cells:
            given = {name: config.get(name) for name in OWN if name not in alike}
            row = (f"{name} = {_text(v)}" for name, v in given.items() if _is_needed(name, v))
            lines.append("    { " + ", ".join(row) + " },")
        return "\n".join([*lines, "]"]) + "\n"

    def _is_common(self, name: str) -> bool:
        """Check whether all cells share a setting that an experiment can give once."""
        first = self.cells[0].get(name)
        if name in EACH or first is None:
            return False
        return all(config.get(name) == first for config in self.cells)

    def command(self, config: dict[str, Any]) -> str | None:
        """Return the command that computes one cell.

        config: configuration of the cell.
        Returns: command line; None if options cannot express the settings of the judge.
        """
        usual = Experiment().reference
        if not self.guessed and self.settings.get("reference", usual) != usual:
            return None
        keys = [*keys_of(ExperimentOptions, "grid"), *keys_of(ExperimentOptions, "setting")]
        given = {name: (self.settings | config).get(name) for name in ("world", *keys)}
        needed = {name: value for name, value in given.items() if _is_needed(name, value)}
        return shlex.join(["uncertain", "bench", *command_words(BenchOptions, needed)])


def _is_needed(name: str, value: Any) -> bool:
    """Check whether a setting must be given."""
    return value is not None and (name != "think" or bool(value))


def list_recipes(results: Iterable[Result]) -> list[Recipe]:
    """Return recipes, one for the results that one run of `sweep` can compute.

    results: in the order that is kept.
    """
    found: dict[str, Recipe] = {}
    for result in results:
        row = result.record
        judge = result.identity.get("judge")
        judge = judge if isinstance(judge, dict) else None
        settings = {name: row.config.get(name) for name in SHARED}
        # An identity leaves out options that are off.
        settings |= _judged(row) if judge is None else OFF | judge
        settings = {name: value for name, value in settings.items() if value is not None}
        cores = f"{row.threads} worker process{'es' if row.threads != 1 else ''}"
        made = Recipe(settings, row.versions, f"{row.device} on {row.host}, {cores}", judge is None)
        key = json.dumps([made.settings, made.versions, made.machine, made.guessed])
        found.setdefault(key, made).cells.append(row.config)
    return list(found.values())


def _judged(row: Record) -> dict[str, Any]:
    """Infer the settings of the judge from a row; only the identities in stores hold all."""
    cap = field_of(row, "gain.cap")
    joint = row.joint
    taus = [one.tau for one in (joint if isinstance(joint, list) else [joint] if joint else [])]
    return {
        "live": row.total.n // row.steps if row.total else 0,
        "spce": round(math.exp(cap) - 1) if cap else None,
        "joint": taus[0] if len(taus) == 1 else taus or None,
        "fidelity": row.fidelity is not None,
    }


def _text(value: Any) -> str:
    """Return a value as TOML."""
    if isinstance(value, float):
        return repr(value)
    # TOML's basic strings, booleans, integers and arrays of them are spelt as JSON's are, except
    # for one character that JSON does not escape.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
