"""The body of `uncertain report`: results in; a page, a picture or Markdown out.

See also: charts.py and runs.py for charts, page.py for the page, reproduce.py for recipes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

from ...posteriors.errors import UsageError
from ...posteriors.specs import nearest
from ...posteriors.units import KILOBYTE, MEGABYTE
from ...streams.formats.files import open_output
from ..commands.report import ReportOptions
from ..environment import Environment, ExitStatus
from ..tables.bench_table import list_bench_remarks, render_bench_markdown
from ..tables.results import Result, load_results
from .data import Section, group_sections
from .page import Drawn, render_page
from .reproduce import list_recipes

ENDINGS = (".html", ".png", ".svg", ".md")
SLOW = 1.0
"""Seconds without a message before one is shown."""
Tell = Callable[[str], None]


def report(options: ReportOptions, environment: Environment) -> ExitStatus:
    """Write the report; the end of the file's name decides its kind.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status.
    Raises: UsageError for wrong options or results.
    """
    ending = file_ending(options.output)
    if ending != ".md":
        require_plots(ending)
    with _patiently(environment, f"reading {options.place}"):
        results = load_results(options.place, environment)
        made = group_sections(results)
    if ending == ".md":
        text, charts = _markdown(_shown(options.place), made, results).encode(), 0
    else:
        drawn = _draw(made, _teller(environment))
        charts = sum(len(some) for _, some in drawn)
        with _patiently(environment, f"drawing {charts} charts"):
            if ending == ".html":
                text = _page(options, drawn, results)
            else:
                from .picture import render_report_picture  # it needs an extra

                text = render_report_picture(drawn, ending)
    with open_output(options.output) as file:
        file.write(text)
    size = (
        f"{len(text) / MEGABYTE:.1f} MB" if len(text) >= 1e5 else f"{len(text) / KILOBYTE:.0f} kB"
    )
    environment.say(f"{options.output}: {len(results)} cells, {charts} charts, {size}")
    return ExitStatus.DONE


def file_ending(output: str, endings: tuple[str, ...] = ENDINGS) -> str:
    """Return the ending of a file's name.

    output: path.
    endings: those allowed.
    Raises: UsageError for any other.
    """
    ending = os.path.splitext(output)[1].lower()
    if ending not in endings:
        hint = nearest(ending, list(endings)) if ending else ""
        raise UsageError(f"--output {output}: ends in none of {', '.join(endings)}{hint}")
    return ending


def require_plots(ending: str, instead: str = "write .md") -> None:
    """Check that the packages that draw charts are installed.

    ending: of the file to draw.
    instead: advice in the message.
    Raises: UsageError if they are not.
    """
    try:
        for name in ("altair", "vl_convert"):
            import_module(name)
    except ImportError as error:
        raise UsageError(
            f"{ending} needs altair and vl-convert-python: pip install 'uncertain[plots]', or "
            f"{instead}"
        ) from error


@contextmanager
def _patiently(environment: Environment, text: str) -> Iterator[None]:
    """Show a message if the block takes over a second."""
    timer = threading.Timer(SLOW, environment.say, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _teller(environment: Environment) -> Tell:
    """Return a function that shows a message, at most one a second."""
    last = environment.clock()

    def tell(text: str) -> None:
        nonlocal last
        now = environment.clock()
        if now - last >= SLOW:
            environment.say(text)
            last = now

    return tell


def _draw(made: list[Section], tell: Tell) -> Drawn:
    """Draw the charts of each section, those of records first."""
    from .charts import draw_record_charts  # they need an extra
    from .runs import draw_run_charts

    drawn = []
    for section in made:
        drawings = [*draw_record_charts(section), *draw_run_charts(section, tell)]
        drawn.append((section, drawings))
    return drawn


def _shown(place: str) -> str:
    """Return the name of a store for readers, without the folders above it."""
    if place == "-":
        return "standard input"
    return place if "://" in place else os.path.basename(os.path.abspath(place))


def _notes(results: list[Result]) -> list[str]:
    """Return warnings for readers who compare cells."""
    found = []
    rows = [result.record for result in results]
    if not any(result.identity for result in results):
        found.append(
            "These results come from rows, not from a store: latency distributions, gain over time "
            "and the calibration curve, which need single runs, are left out."
        )
    if len({tuple(sorted(row.versions.items())) for row in rows}) > 1:
        found.append("Cells were computed with different versions of packages: see the end.")
    if len({(row.host, row.device) for row in rows}) > 1:
        found.append("Cells were computed on different machines: do not compare their latency.")
    if broken := sum(row.failures for row in rows):
        found.append(f"{broken} updates were not healthy (not finite, or not accepted).")
    return found


def _page(options: ReportOptions, drawn: Drawn, results: list[Result]) -> bytes:
    """Return the page as bytes."""
    return render_page(
        _shown(options.place), drawn, _notes(results), list_recipes(results)
    ).encode()


def _markdown(name: str, made: list[Section], results: list[Result]) -> str:
    """Return the tables and recipes as Markdown."""
    lines = [f"# {name}\n"]
    for section in made:
        lines += [f"## {section.title}\n", render_bench_markdown(section.rows)]
        lines += [f"{line}  " for line in list_bench_remarks(section.rows)] + [""]
    lines.append("## How to reproduce\n")
    for recipe in list_recipes(results):
        versions = ", ".join(f"{name} {version}" for name, version in recipe.versions.items())
        lines += [
            f"{len(recipe.cells)} cells: {versions}; {recipe.machine}. As `report.toml`, "
            "`uncertain sweep report.toml --out STORE` computes them:\n",
            f"```toml\n{recipe.toml}```\n",
        ]
    return "\n".join(lines)
