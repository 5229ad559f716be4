"""How to get results again: TOML and a command for cells, with versions and seeds, from records.

Nothing is built, so the files and packages that a cell names need not be there. Not here: how it
is shown (report_page.py, report.py).
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...decide.judge.measures.experiment import Experiment
from ..commands.bench import BenchOptions
from ..commands.experiment import ExperimentOptions
from ..options import command_words, keys_of
from ..tables.results import Result, Row

SHARED = ("seed", "candidates", "explore")
"""Of a cell's configuration, what all cells of one experiment have in common."""
OWN = (
    "world", "model", "posterior", "particles", "refine", "think", "rule", "proposer", "steps",
    "seeds",
)  # fmt: skip
EACH = ("posterior", "particles", "refine", "think")
"""Of them, what only a cell can say."""


OFF = {"live": 0, "samples": 0, "settle": 0, "fidelity": False}


@dataclass
class Recipe:
    """Cells that one experiment computes on one set of versions and one machine.

    guessed: whether how they were judged was read off the results, which do not say all of it.
    """

    settings: dict[str, Any]
    versions: dict[str, str]
    machine: str
    guessed: bool
    cells: list[Row] = field(default_factory=list)

    @property
    def toml(self) -> str:
        """What `uncertain sweep FILE.toml --out STORE` and `bench --config` take."""
        alike = {name: self.cells[0].get(name) for name in OWN if self.common(name)}
        lines = [f"{name} = {_text(value)}" for name, value in (alike | self.settings).items()]
        lines.append("cells = [")
        for config in self.cells:
            given = {name: config.get(name) for name in OWN if name not in alike}
            row = (f"{name} = {_text(v)}" for name, v in given.items() if _said(name, v))
            lines.append("    { " + ", ".join(row) + " },")
        return "\n".join([*lines, "]"]) + "\n"

    def common(self, name: str) -> bool:
        """Whether all cells say the same, so that it can be said once."""
        first = self.cells[0].get(name)
        if name in EACH or first is None:
            return False
        return all(config.get(name) == first for config in self.cells)

    def command(self, config: Row) -> str | None:
        """The command of one cell, None where options cannot say how it was judged."""
        usual = Experiment().reference
        if not self.guessed and self.settings.get("reference", usual) != usual:
            return None
        keys = [*keys_of(ExperimentOptions, "grid"), *keys_of(ExperimentOptions, "setting")]
        given = {name: (self.settings | config).get(name) for name in ("world", *keys)}
        said = {name: value for name, value in given.items() if _said(name, value)}
        return shlex.join(["uncertain", "bench", *command_words(BenchOptions, said)])


def _said(name: str, value: Any) -> bool:
    """Whether a cell's setting needs saying."""
    return value is not None and (name != "think" or bool(value))


def recipes(results: Iterable[Result]) -> list[Recipe]:
    """Results by what one run of `sweep` could have computed, in their order."""
    found: dict[str, Recipe] = {}
    for result in results:
        row = result.record
        judge = result.identity.get("judge")
        settings = {name: row["config"].get(name) for name in SHARED}
        # An identity leaves out what is off.
        settings |= _judged(row) if judge is None else OFF | judge
        settings = {name: value for name, value in settings.items() if value is not None}
        cores = f"{row['threads']} worker process{'es' if row['threads'] != 1 else ''}"
        made = Recipe(
            settings, row["versions"], f"{row['device']} on {row['host']}, {cores}", judge is None
        )
        key = json.dumps([made.settings, made.versions, made.machine, made.guessed])
        found.setdefault(key, made).cells.append(row["config"])
    return list(found.values())


def _judged(row: Row) -> Row:
    """How a row was judged as far as it shows; identities, which only stores have, say it all."""
    gain = row["gain"] or {}
    joint = row["joint"]
    taus = [one["tau"] for one in (joint if isinstance(joint, list) else [joint] if joint else [])]
    return {
        "live": row["total"]["n"] // row["steps"] if row["total"] else 0,
        "spce": round(math.exp(gain["cap"]) - 1) if gain.get("cap") else None,
        "joint": taus[0] if len(taus) == 1 else taus or None,
        "fidelity": row["fidelity"] is not None,
    }


def _text(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, float):
        return repr(value)
    # TOML's basic strings, booleans, integers and arrays of them are spelt as JSON's are, but for
    # one character that JSON lets stand as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
