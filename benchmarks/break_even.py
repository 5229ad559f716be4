"""From how many decisions on a trained policy has paid for its training.

    uncertain bench --config amortised --export-json amortised.ndjson
    python benchmarks/break_even.py amortised.ndjson

Decisions = seconds of training / (seconds of one decision and its learning, less the policy's), at
p50, for every other row of the same world that infers anything. Training may have been done on
another machine than deciding, which the file says and the table shows. Relative paths of policies
are from this folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from uncertain.posteriors.parts.policy_file import Artefact, load_policy
from uncertain.posteriors.specs import parse_spec

Row = dict[str, Any]


def policy_of(row: Row) -> Artefact | None:
    """The trained policy that a record was made with."""
    spec = parse_spec(row["posterior"])
    path = dict(spec.settings).get("file")
    return load_policy(str(path)) if spec.target == "amortised" and path else None


def pays_after(training: float, own: float, other: float) -> float | None:
    """Decisions after which training is paid for; None where the other is no slower."""
    return training / (other - own) if other > own else None


def figure(row: Row, name: str) -> str:
    """Mean and standard error of a part of the gain, nats."""
    found = (row["gain"] or {}).get(name)
    return f"{found['mean']:.2f} ± {found['se']:.2f}" if found else "–"


def table(rows: list[Row]) -> list[str]:
    """Lines of Markdown, one a record."""
    head = ["posterior", "rule", "gain", "sPCE", "above random", "p50 µs", "p99 µs", "pays after"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    trained = [(row, made) for row in rows if (made := policy_of(row)) is not None]
    for row in rows:
        cells = [row["posterior"] + (f", S = {row['particles']}" if row["particles"] else "")]
        cells += [row["rule"], figure(row, "lower"), figure(row, "spce")]
        cells.append(figure(row, "above_random"))
        total = row["total"]
        cells += [f"{total[q] * 1e6:.0f}" if total else "–" for q in ("p50", "p99")]
        said = []
        for policy, made in trained:
            timed = total and policy["total"] and row["rule"] != "random"
            if policy is row or not timed or policy["world"] != row["world"]:
                continue
            count = pays_after(made.trained["seconds"], policy["total"]["p50"], total["p50"])
            said.append("never" if count is None else f"{count:,.0f}")
        lines.append("| " + " | ".join([*cells, ", ".join(said) or "–"]) + " |")
    for row, made in trained:
        reached = made.reached or {}
        spce = reached.get("spce")
        lines.append("")
        lines.append(
            f"{row['posterior']}: {made.trained['steps']} steps in {made.trained['seconds']:.0f} s "
            f"on {made.trained['device']}; decisions timed on {row['device']}."
            + (
                f" sPCE after training {spce['mean']:.3f} ± {spce['se']:.3f} nats, "
                f"L = {reached['contrasts']}, {reached['rollouts']} rollouts."
                if spce
                else ""
            )
        )
    return lines


def main() -> None:
    """Print the table of every file named."""
    if len(sys.argv) < 2:
        sys.exit(f"usage: {Path(sys.argv[0]).name} RECORDS.ndjson ...")
    for path in sys.argv[1:]:
        rows = [json.loads(line) for line in Path(path).read_text().splitlines() if line.strip()]
        sys.stdout.write("\n".join(table(rows)) + "\n")


if __name__ == "__main__":
    main()
