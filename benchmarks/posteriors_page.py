"""Make docs/posteriors.md: one section a posterior, from its module's docstring and stored results.

python benchmarks/posteriors_page.py
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from uncertain.posteriors.registry import POSTERIORS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "posteriors.md"
EXPERIMENT = ROOT / "docs" / "results" / "regimes.ndjson"
WORLD, PARTICLES = "location", 32
"""Rows shown: these particles where the method has particles, else its own."""
ELSEWHERE = {
    "amortised": "needs a trained policy: [amortised-location](results/amortised-location.md)",
    "dropout": "needs a network: [testbed](results/testbed.md)",
    "exact": "four continuous unknowns are too many for a grid: "
    "[death-process](results/death-process.table.md), [number-game](results/number-game.table.md)",
    "last-layer": "needs a network: [testbed](results/testbed.md)",
    "mcmc": "searches spaces: [causal-net](results/causal-net.table.md)",
    "subspace-ekf": "made for networks: [testbed](results/testbed.md)",
}
"""Posteriors that the experiment does not hold, with the reason and the nearest table."""
KEYS = ("Cost", "Take it when", "Not when", "Source")
HEAD = f"""# Posteriors

`uncertain list posteriors` names them, `uncertain list posteriors NAME` their options. This page
is made from the methods' docstrings by `python benchmarks/posteriors_page.py`.

The figures are of one experiment (world {WORLD}, rule eig, 20 steps; S = {PARTICLES} where a method
has particles): information about the unknowns gained above random actions, and the median wall time
of decide + learn on two CPU cores. S: draws of the belief. k: refine steps after each event.
The whole experiment: [regimes](results/regimes.md).

| posterior | S | k | gain above random, nats | decide + learn |
| --- | --- | --- | --- | --- |
"""


def parse_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Split a method's docstring into its idea and the lines that begin with one of `KEYS`.

    text: the module's docstring.

    Returns: the idea, in Markdown; text by key.
    """
    body = text.split("\nSee also:")[0].strip()
    parts = re.split(rf"^({'|'.join(KEYS)}): ", body, flags=re.MULTILINE)
    fields = dict(zip(parts[1::2], (" ".join(p.split()) for p in parts[2::2]), strict=True))
    paragraphs = [" ".join(p.split()) for p in parts[0].strip().split("\n\n")]
    return "\n\n".join(paragraphs), fields


def measured_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Choose one stored row a posterior.

    path: an NDJSON of records.

    Returns: rows by the posterior's name.
    """
    found: dict[str, dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if row["world"] != WORLD or row["rule"] != "eig" or row["posterior"] not in POSTERIORS:
            continue
        name = row["posterior"]
        if name not in found or row["particles"] == PARTICLES:
            found[name] = row
    return found


def cells_of(row: dict[str, Any]) -> str:
    """Format the figures of a row as cells of a Markdown table.

    row: a stored record.
    """
    gain = row["gain"]["above_random"]
    draws = "–" if row["particles"] is None else row["particles"]
    figures = f"{gain['mean']:.2f} ± {gain['se']:.2f} | {1e6 * row['total']['p50']:.0f} µs"
    return f"{draws} | {row['refine']} | {figures}"


def posteriors_page() -> str:
    """Write the page.

    Raises: KeyError if a method's docstring lacks one of `KEYS` or a posterior has no row.
    """
    rows = measured_rows(EXPERIMENT)
    table, sections = [], []
    for name, method in sorted(POSTERIORS.items()):
        link = f"[{name}](#{name})"
        table.append(
            f"| {link} | {cells_of(rows[name])} |"
            if name in rows
            else f"| {link} | | | {ELSEWHERE[name]} | |"
        )
        idea, fields = parse_docstring(sys.modules[method.build.__module__].__doc__ or "")
        lines = "\n".join(f"* **{key}**: {fields[key]}" for key in KEYS)
        sections.append(f"## {name}\n\n{idea}\n\n{lines}\n")
    return HEAD + "\n".join(table) + "\n\n" + "\n".join(sections)


if __name__ == "__main__":
    PAGE.write_text(posteriors_page())
