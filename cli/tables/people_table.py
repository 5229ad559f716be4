"""Rows of people and rules as a table for terminals and as Markdown.

See also: decide/judge/records/people_record.py for the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.table import Table as Grid

from ...decide.judge.records.people_record import ObserverRecord, PeopleRecord, PeopleRow
from ...decide.judge.records.record import Mean

Column = tuple[str, Callable[[PeopleRecord], str]]
NATS = "nats"
NOTE = (
    "gain: of a choice before it was made, under an exact belief at people's own moments (of a "
    "rule: what it would have done there); best: of the best choice then; at random: of any. "
    "learnt and regret (in percent of choosing at random): a problem, a rule going its own way. "
    "± one standard error over people."
)


def people_columns(rows: Sequence[PeopleRecord], unit: tuple[float, str]) -> list[Column]:
    """Return heading and text of a row for each column.

    rows: of people and rules; without a regret, they have no column of it.
    unit: size in nats, and name, of the authors' unit of information; other than nats, it has a
        column of its own.
    """
    size, name = unit
    found: list[Column] = [
        ("group", lambda row: row.group),
        ("who", lambda row: row.who),
        ("people", lambda row: str(row.people)),
        ("choices", lambda row: str(row.choices)),
        ("gain, nats", lambda row: _measured(row.gain, 1.0, 3)),
    ]
    if name != NATS:
        found.append((f"gain, {name}", lambda row: _measured(row.gain, 1 / size, 3)))
    found += [
        ("best", lambda row: _measured(row.best, 1.0, 3, False)),
        ("% of best", lambda row: _measured(row.share, 100.0, 1)),
        ("at random", lambda row: _measured(row.random, 1.0, 3, False)),
        (f"learnt, {name}", lambda row: _measured(row.learnt, 1 / size, 2)),
    ]
    if any(row.regret for row in rows):
        found.append(("regret, %", lambda row: _measured(row.regret, 1.0, 1)))
    return found


def _measured(found: Mean | None, scale: float, digits: int, error: bool = True) -> str:
    """Return a mean with its standard error, or a dash for a missing one."""
    if found is None:
        return "–"
    text = f"{found.mean * scale:.{digits}f}"
    return f"{text} ± {found.se * scale:.{digits}f}" if error else text


def _texts(rows: Sequence[PeopleRow], unit: tuple[float, str]) -> list[list[str]]:
    """Return the texts of a table, the headings first; the published observer is left out."""
    shown = [row for row in rows if isinstance(row, PeopleRecord)]
    columns = people_columns(shown, unit)
    lines = [[text(row) for _, text in columns] for row in shown]
    return [[heading for heading, _ in columns], *lines]


def list_people_remarks(rows: Sequence[PeopleRow]) -> Iterator[str]:
    """Yield explanations of the columns, and the agreement with the published observer.

    rows: of people and rules.
    """
    yield NOTE
    for row in rows:
        if isinstance(row, ObserverRecord):
            yield (
                f"{row.who}, {row.group}: {row.within} of {row.trials} trials "
                f"within .01 bit at every reference time; worst {row.worst:.4f}, median "
                f"{row.median:.4f} bits; {row.crowded} trials with too many causes at once "
                "left out"
            )


def people_table(rows: Sequence[PeopleRow], unit: tuple[float, str]) -> Grid:
    """Return a table for a terminal, with a blank line between groups.

    rows: of people and rules.
    unit: size in nats, and name, of the authors' unit of information.
    """
    head, *lines = _texts(rows, unit)
    made = Grid(box=None, pad_edge=False)
    for i, name in enumerate(head):
        made.add_column(name, justify="left" if i < 2 else "right", overflow="fold")
    for i, line in enumerate(lines):
        first = i == 0 or lines[i - 1][0] != line[0]
        last = i + 1 == len(lines) or lines[i + 1][0] != line[0]
        made.add_row(line[0] if first else "", *line[1:], end_section=last)
    return made


def render_people_markdown(rows: Sequence[PeopleRow], unit: tuple[float, str]) -> str:
    """Return the table as Markdown, with the remarks below.

    rows: of people and rules.
    unit: size in nats, and name, of the authors' unit of information.
    """
    head, *lines = _texts(rows, unit)
    rule = ["---" if i < 2 else "---:" for i in range(len(head))]
    text = "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))
    return text + "".join(f"\n{line}\n" for line in list_people_remarks(rows))
