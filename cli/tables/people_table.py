"""Rows of people and rules as a table for a person and as Markdown.

Not here: the rows (decide/judge/people/summaries.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table as Grid

Row = dict[str, Any]
NATS = "nats"
Cells = list[list[str]]


def cells(rows: Sequence[Row], unit: tuple[float, str]) -> Cells:
    """A first row of names, then one a row; gains in nats, and in the authors' unit beside."""
    rows = [row for row in rows if "gain" in row]
    size, name = unit
    other = name != NATS
    regret = any(row["regret"] for row in rows)
    head = ["group", "who", "people", "choices", "gain, nats"]
    head += [f"gain, {name}"] * other
    head += ["best", "% of best", "at random", f"learnt, {name}"] + ["regret, %"] * regret
    made = [head]
    for row in rows:
        line = [row["group"], row["who"], str(row["people"]), str(row["choices"])]
        line += [_measured(row["gain"], 1.0, 3)]
        line += [_measured(row["gain"], 1 / size, 3)] * other
        line += [
            _measured(row["best"], 1.0, 3, False), _measured(row["share"], 100.0, 1),
            _measured(row["random"], 1.0, 3, False), _measured(row["learnt"], 1 / size, 2),
        ]  # fmt: skip
        line += [_measured(row["regret"], 1.0, 1)] * regret
        made.append(line)
    return made


def _measured(found: dict[str, float] | None, scale: float, digits: int, error: bool = True) -> str:
    """A mean with its standard error, or a dash where there is none."""
    if found is None:
        return "–"
    text = f"{found['mean'] * scale:.{digits}f}"
    return f"{text} ± {found['se'] * scale:.{digits}f}" if error else text


NOTE = (
    "gain: of a choice before it was made, under an exact belief at people's own moments (of a "
    "rule: what it would have done there); best: of the best choice then; at random: of any. "
    "learnt and regret (in percent of choosing at random): a problem, a rule going its own way. "
    "± one standard error over people."
)


def remarks(rows: Sequence[Row]) -> Iterator[str]:
    """What the columns mean, and how the published observer was met."""
    yield NOTE
    for row in rows:
        if row["who"] == "published observer":
            yield (
                f"published observer, {row['group']}: {row['within']} of {row['trials']} trials "
                f"within .01 bit at every reference time; worst {row['worst']:.4f}, median "
                f"{row['median']:.4f} bits; {row['crowded']} trials with too many causes at once "
                "left out"
            )


def grid(table: Cells) -> Grid:
    """The table for a terminal, a blank line between groups."""
    head, *lines = table
    made = Grid(box=None, pad_edge=False)
    for i, name in enumerate(head):
        made.add_column(name, justify="left" if i < 2 else "right", overflow="fold")
    for i, line in enumerate(lines):
        first = i == 0 or lines[i - 1][0] != line[0]
        last = i + 1 == len(lines) or lines[i + 1][0] != line[0]
        made.add_row(line[0] if first else "", *line[1:], end_section=last)
    return made


def markdown(table: Cells, below: Sequence[str] = ()) -> str:
    """The table as GitHub shows it, and paragraphs below."""
    head, *lines = table
    rule = ["---" if i < 2 else "---:" for i in range(len(head))]
    text = "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))
    return text + "".join(f"\n{line}\n" for line in below)
