"""Rows of people and rules as a table for terminals and as Markdown.

See also: decide/judge/people/summaries.py for the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table as Grid

Row = dict[str, Any]
NATS = "nats"
Cells = list[list[str]]


def people_cells(rows: Sequence[Row], unit: tuple[float, str]) -> Cells:
    """Return the texts of a table, the headers first.

    rows: of people and rules; rows without a gain are left out.
    unit: size in nats, and name, of the authors' unit of information; other than nats, it has a
        column of its own.
    """
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
    """Return a mean with its standard error, or a dash for a missing one."""
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


def list_people_remarks(rows: Sequence[Row]) -> Iterator[str]:
    """Yield explanations of the columns, and the agreement with the published observer.

    rows: of people and rules.
    """
    yield NOTE
    for row in rows:
        if row["who"] == "published observer":
            yield (
                f"published observer, {row['group']}: {row['within']} of {row['trials']} trials "
                f"within .01 bit at every reference time; worst {row['worst']:.4f}, median "
                f"{row['median']:.4f} bits; {row['crowded']} trials with too many causes at once "
                "left out"
            )


def people_table(table: Cells) -> Grid:
    """Return a table for a terminal, with a blank line between groups.

    table: texts from `people_cells`.
    """
    head, *lines = table
    made = Grid(box=None, pad_edge=False)
    for i, name in enumerate(head):
        made.add_column(name, justify="left" if i < 2 else "right", overflow="fold")
    for i, line in enumerate(lines):
        first = i == 0 or lines[i - 1][0] != line[0]
        last = i + 1 == len(lines) or lines[i + 1][0] != line[0]
        made.add_row(line[0] if first else "", *line[1:], end_section=last)
    return made


def render_people_markdown(table: Cells, below: Sequence[str] = ()) -> str:
    """Return the table as Markdown, with paragraphs below.

    table: texts from `people_cells`.
    below: paragraphs.
    """
    head, *lines = table
    rule = ["---" if i < 2 else "---:" for i in range(len(head))]
    text = "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))
    return text + "".join(f"\n{line}\n" for line in below)
