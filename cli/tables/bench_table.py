"""Result records of a bench as a table for terminals, as Markdown, and in words.

See also: columns.py for the columns, frontier_plot.py for the picture.
"""

from __future__ import annotations

from rich.table import Table

from ...decide.judge.records.mark_frontier import why_struck
from .columns import ROOMY, terminal_columns
from .format_values import Records, format_refine


def bench_table(records: Records, width: int) -> Table:
    """Return the records as a table for a terminal.

    records: of the cells of a bench.
    width: characters of a line.
    """
    shown = terminal_columns(records, width)
    space = 2 if width >= ROOMY else 1
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, space, 0, 0))
    for column in shown:
        left = column.names or not column.heading
        grid.add_column(column.heading, justify="left" if left else "right", no_wrap=True)
    for row in records:
        cells = [column.show(row) for column in shown]
        grid.add_row(*cells, style="bold" if row.frontier else None)
    return grid


def render_bench_markdown(records: Records) -> str:
    """Return the records as a Markdown table.

    records: of the cells of a bench.
    """
    shown = terminal_columns(records)
    rows = [[column.title for column in shown], ["---"] * len(shown)]
    rows += [[column.show(row) for column in shown] for row in records]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in rows)


def list_bench_remarks(records: Records) -> list[str]:
    """Return the sentences that a reader of the table needs: setting, symbols and warnings.

    records: of the cells of a bench.
    """
    first = records[0]
    how = _bracket(records)
    steps = sorted({r.steps for r in records})
    length = str(steps[0]) if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
    worlds = len({r.world for r in records})
    where = first.world if worlds == 1 else f"{worlds} worlds"
    found = [f"{where}, {length} steps, {first.seeds} runs each{how}."]
    if any(r.frontier for r in records):
        better = "gains more above random" if any(r.gain for r in records) else "regrets less"
        found.append(f"★ nothing else {better} at a lower decide + learn p99.")
    found += list_struck(records)
    wide = [r for r in records if r.gain and r.gain.upper.mean - r.gain.lower.mean > 0.5]
    if wide:
        found.append("warning: the bounds of some rows are over half a nat apart: raise --samples.")
    broken = sum(r.failures for r in records)
    if broken:
        found.append(f"warning: {broken} updates were not healthy (not finite, or not accepted).")
    again = sum(r.retraces or 0 for r in records)
    if again:
        found.append(f"warning: {again} recompilations during timed runs.")
    return found


def list_struck(records: Records) -> list[str]:
    """Return a sentence for each record that has no place on the frontier, whatever it gains.

    records: of the cells of a bench.
    """
    return [
        f"warning: {row.posterior} S={row.particles or '–'} k={format_refine(row)} {row.rule} is "
        f"struck from the frontier: {reason}."
        for row in records
        if (reason := why_struck(row)) is not None
    ]


def _bracket(records: Records) -> str:
    """Say in a few words which estimate the gain is."""
    gains = [r.gain for r in records if r.gain]
    if not gains:
        shown = "regret in expectation" if any(r.regret for r in records) else "no gain measured"
        return f"; {shown}, ± one standard error"
    if all(g.exact for g in gains):
        return "; gain in nats, exact, ± one standard error"
    bounds = "ACE to VNMC" if any(g.ess for g in gains) else "sPCE to sNMC"
    return f"; gain in nats, from {bounds}, ± one standard error"
