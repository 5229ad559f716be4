"""The neural testbed's ratios: joint KL of every posterior, relative to a point estimate's.

    uncertain sweep testbed.toml --out store && uncertain show store -o rows.ndjson
    uncertain sweep testbed-cost --out costs && uncertain show costs -o cost.ndjson
    python benchmarks/testbed.py rows.ndjson --cost cost.ndjson --out testbed.md

For each world a table with a row a posterior: KL at every tau over that of the point estimate, the
geometric mean over numbers of events T; then the ratio for each T, at the largest tau. Published
next to it (Osband et al. 2022, two classes, two dimensions), from other joint inputs: there tau
inputs are all different, and projected for tau = 100; here two anchors are drawn again and again.
The order of methods can be compared, the figures cannot.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

PUBLISHED = {
    "ensemble": (0.995, 0.99),
    "ensemble, prior functions": (1.00, 0.58),
    "dropout": (0.995, 0.975),
    "variational": (0.995, 0.73),
    "epinet": (1.005, 0.635),
    "hmc": (0.95, 0.565),
}
"""At tau 1 and 100; variational stands for Bayes by backprop, epinet for the hypermodel, hmc for
stochastic-gradient MCMC."""
BASE = "point"
LEAST = 1e-4
"""Nats below which an estimate of KL says nothing."""

Row = dict[str, Any]


def label(row: Row) -> str:
    """A posterior, and what is out of the ordinary about its model."""
    name = row["posterior"].partition(":")[0]
    if "prior_function=" in row["model"]:
        return f"{name}, prior functions"
    return name if row["model"].startswith("mlp") else f"{name}, the true prior"


def divergences(row: Row) -> dict[int, tuple[float, float]]:
    """tau -> KL and its standard error."""
    found = row["joint"] if isinstance(row["joint"], list) else [row["joint"]]
    return {made["tau"]: (made["kl"], made["se"]) for made in found if made}


def relative(rows: list[Row], base: dict[int, Row], tau: int) -> str:
    """Geometric mean over rows of KL / KL of the point estimate with as many events, and its
    standard error as if the runs of both were independent."""
    logs, errors = [], []
    for row in rows:
        (top, top_error), (bottom, bottom_error) = (
            divergences(r)[tau] for r in (row, base[row["steps"]])
        )
        # An estimate of a KL near 0 may be below it.
        top, bottom = max(top, LEAST), max(bottom, LEAST)
        logs.append(math.log(top / bottom))
        errors.append(math.hypot(top_error / top, bottom_error / bottom))
    ratio = math.exp(sum(logs) / len(logs))
    error = ratio * math.sqrt(sum(e * e for e in errors)) / len(errors)
    return f"{ratio:.3f} ±{error:.3f}"


def table(header: list[str], lines: list[list[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "".join("| " + " | ".join(line) + " |\n" for line in rows) + "\n"


def of_world(rows: list[Row], costs: dict[str, str]) -> str:
    """Both tables of one world. costs: of one refine step, by what a row is called."""
    specs: dict[str, set[str]] = {}
    for row in rows:
        specs.setdefault(label(row), set()).add(row["posterior"])
    groups: dict[str, list[Row]] = {}
    for row in rows:
        alone = len(specs[label(row)]) == 1
        groups.setdefault(label(row) if alone else row["posterior"], []).append(row)
    base = {row["steps"]: row for row in groups[BASE]}
    taus = sorted(divergences(rows[0]))
    summed, apart = [], []
    for name, mine in groups.items():
        shared = [row for row in mine if row["steps"] in base]
        published = PUBLISHED.get(name)
        summed.append(
            [name, str(mine[0]["particles"] or 1)]
            + [relative(shared, base, tau) for tau in taus]
            + [" / ".join(f"{x:g}" for x in published) if published else "–"]
            + ([costs.get(label(mine[0]), "–")] if costs else [])
        )
        at = {row["steps"]: row for row in shared}
        apart.append(
            [name] + [relative([at[t]], base, taus[-1]) if t in at else "–" for t in sorted(base)]
        )
    kl = [f"{divergences(base[t])[taus[-1]][0]:.2f}" for t in sorted(base)]
    apart.append([f"{BASE}, nats a block", *kl])
    world, runs = rows[0]["world"], rows[0]["seeds"]
    how = f"{world}, {runs} runs a cell, KL relative to {BASE}, geometric mean over T"
    head = ["posterior", "S", *(f"tau = {tau}" for tau in taus), "published, tau = 1 / 100"]
    head += ["one refine step, ms"] if costs else []
    each = f"At tau = {taus[-1]}, by number of events T"
    return (
        f"{how}\n\n{table(head, summed)}{each}\n\n"
        f"{table(['posterior', *(f'T = {t}' for t in sorted(base))], apart)}"
    )


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", type=Path, help="NDJSON of uncertain bench or uncertain show")
    parser.add_argument("--cost", type=Path, help="NDJSON of live runs with one refine an event")
    parser.add_argument("--out", type=Path, help="Markdown; standard output unless given")
    options = parser.parse_args()
    rows = read(options.rows)
    costs = {}
    if options.cost:
        costs = {label(row): f"{row['learn']['p50'] * 1e3:.2f}" for row in read(options.cost)}
    worlds: dict[str, list[Row]] = {}
    for row in rows:
        worlds.setdefault(row["world"], []).append(row)
    text = "".join(of_world(mine, costs) for mine in worlds.values())
    if options.out:
        options.out.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
