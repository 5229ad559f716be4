"""A report as one self-contained HTML file: charts, table, recipes and the scripts they need.

See also: charts.py and runs.py for the charts, reproduce.py for the recipes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Any

from ...decide.judge.records.record import Record
from ..tables.bench_table import list_struck
from ..tables.columns import page_columns
from .data import Section
from .parts import Chart
from .reproduce import Recipe

# A record cannot make the page load anything. Vega compiles its expressions, hence 'unsafe-eval'.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:"
)
SNIPPET = "window.vegaEmbed = vegaEmbed;"
Drawn = list[tuple[Section, list[Chart]]]


def render_page(name: str, drawn: Drawn, notes: list[str], recipes: list[Recipe]) -> str:
    """Return the whole page.

    name: title.
    drawn: sections with their charts.
    notes: paragraphs above the charts.
    recipes: how to reproduce the cells.
    """
    from vl_convert import javascript_bundle

    rows = [row for section, _ in drawn for row in section.rows]
    specs: dict[str, Any] = {}
    body = [
        f"<h1>{escape(name)}</h1>",
        '<p class="note">What each way of tracking uncertainty gains, in nats, against what each '
        f"decision costs, in time. {len(rows)} cells.</p>",
        *(f'<p class="note">{escape(note)}</p>' for note in notes),
    ]
    for section, charts in drawn:
        body += list(_figures(section, charts, specs))
    body += ["<h2>Every cell</h2>", *_table(rows), *_again(recipes)]
    own = files("uncertain.cli.report")
    return "\n".join([
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(name)} – uncertain</title>",
        f"<style>{own.joinpath('report.css').read_text('utf-8')}</style>\n</head>\n<body>",
        *body,
        f'<script type="application/json" id="specs">{_embedded(specs)}</script>',
        f'<script type="module">{_script(javascript_bundle(SNIPPET))}</script>' if specs else "",
        f'<script type="module">{_script(own.joinpath("report.js").read_text("utf-8"))}</script>',
        "</body>\n</html>\n",
    ])  # fmt: skip


def _embedded(value: Any) -> str:
    """Encode JSON for a script element, without any `<` that could end it or begin another."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")


def _script(text: str) -> str:
    """Escape JavaScript for a script element: within strings `<\\/` means `</`."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _figures(section: Section, charts: list[Chart], specs: dict[str, Any]) -> Iterator[str]:
    """Yield the figures of a section and add their specifications to specs."""
    yield f"<h2>{escape(section.title)}</h2>"
    yield '<div class="charts">'
    series, label = (max(map(len, some)) for some in (section.series, section.labels))
    for chart in charts:
        place = f"chart-{len(specs)}"
        specs[place] = {"spec": _responsive(chart), "series": series, "rows": chart.rows * label}
        title, note, room = escape(chart.title), escape(chart.note), f"min-height: {chart.height}px"
        yield (
            f'<figure><figcaption><h3>{title}</h3><p class="note">{note}</p></figcaption>'
            f'<div class="chart" id="{place}" style="{room}"></div></figure>'
        )
    yield "</div>"


def _responsive(chart: Chart) -> dict[str, Any]:
    """Return a specification as wide as its box, without colours of text, which the page sets."""
    spec = chart.with_width("container").to_dict()
    spec.pop("config", None)
    return spec | {"autosize": {"type": "fit-x", "contains": "padding"}}


def _table(rows: list[Record]) -> Iterator[str]:
    """Yield a table of all rows; the attribute `data-by` of a cell holds its sort key."""
    shown = page_columns(rows)
    yield '<div class="scroll" tabindex="0" role="region" aria-label="Every cell">'
    yield "<table><thead><tr>"
    for column in shown:
        kind, word = ("text", ' class="word"') if column.names else ("number", "")
        yield (
            f'<th scope="col" data-column="{kind}"{word}><button type="button">'
            f"{escape(column.title or '★')}</button></th>"
        )
    yield "</tr></thead><tbody>"
    for row in rows:
        yield '<tr class="frontier">' if row.frontier else "<tr>"
        for column in shown:
            key = column.key_of(row)
            by = "" if key is None else f' data-by="{escape(str(key))}"'
            word = ' class="word"' if column.names else ""
            yield f"<td{by}{word}>{escape(column.text(row))}</td>"
        yield "</tr>"
    yield "</tbody></table></div>"
    yield (
        '<p class="note">Click a header to sort. ★ (bold): nothing else gains more above random, '
        "or regrets less where no gain was measured, at a lower decide + learn p99.</p>"
    )
    yield from (f'<p class="note">{escape(text)}</p>' for text in list_struck(rows))


def _again(recipes: list[Recipe]) -> Iterator[str]:
    """Yield instructions that reproduce every cell."""
    yield "<h2>How to reproduce</h2>"
    for number, recipe in enumerate(recipes, 1):
        file = "report.toml" if len(recipes) == 1 else f"report-{number}.toml"
        versions = ", ".join(f"{name} {version}" for name, version in recipe.versions.items())
        cells = f"{len(recipe.cells)} cell{'s' if len(recipe.cells) != 1 else ''}"
        yield f"<p>{cells}: {escape(versions)}; {escape(recipe.machine)}.</p>"
        if recipe.guessed:
            yield (
                '<p class="note">These rows come without a store, so options of the judge that '
                "rows do not show (--samples, --settle) are left at their defaults.</p>"
            )
        yield (
            f"<p>Save as <code>{file}</code>, then <code>uncertain sweep {file} --out STORE"
            "</code>:</p>"
        )
        yield f"<pre><code>{escape(recipe.toml)}</code></pre>"
        commands = [one for cell in recipe.cells if (one := recipe.command(cell))]
        if commands:
            yield "<details><summary>A command for each cell</summary>"
            yield f"<pre><code>{escape(chr(10).join(commands))}</code></pre></details>"
