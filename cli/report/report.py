"""The body of `uncertain report`: results in; a page, a picture or Markdown out.

Not here: charts (report_charts.py, report_runs.py), the page (report_page.py), or how results are
got again (reproduce.py).
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
from ..tables import bench_table
from ..tables.results import Result, load
from .data import Section, sections
from .page import Drawn, page
from .reproduce import recipes

ENDINGS = (".html", ".png", ".svg", ".md")
SLOW = 1.0
"""Seconds without a word that are too long for somebody who waits."""
Tell = Callable[[str], None]


def report(options: ReportOptions, environment: Environment) -> ExitStatus:
    """Write the report; the end of the file's name says which kind."""

    ending = ending_of(options.output)
    if ending != ".md":
        needs_plots(ending)
    with _patiently(environment, f"reading {options.place}"):
        results = load(options.place, environment)
        made = sections(results)
    if ending == ".md":
        text, charts = _markdown(_shown(options.place), made, results).encode(), 0
    else:
        drawn = _draw(made, _teller(environment))
        charts = sum(len(some) for _, some in drawn)
        with _patiently(environment, f"drawing {charts} charts"):
            if ending == ".html":
                text = _page(options, drawn, results)
            else:
                from .picture import picture  # it needs an extra

                text = picture(drawn, ending)
    with open_output(options.output) as file:
        file.write(text)
    size = (
        f"{len(text) / MEGABYTE:.1f} MB" if len(text) >= 1e5 else f"{len(text) / KILOBYTE:.0f} kB"
    )
    environment.say(f"{options.output}: {len(results)} cells, {charts} charts, {size}")
    return ExitStatus.DONE


def ending_of(output: str, endings: tuple[str, ...] = ENDINGS) -> str:
    """One of `endings`, or UsageError."""

    ending = os.path.splitext(output)[1].lower()
    if ending not in endings:
        hint = nearest(ending, list(endings)) if ending else ""
        raise UsageError(f"--output {output}: ends in none of {', '.join(endings)}{hint}")
    return ending


def needs_plots(ending: str, instead: str = "write .md") -> None:
    """Refuse a kind of file that the extra draws, where it is not installed."""

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
    """Say what is being done if it takes a while."""
    timer = threading.Timer(SLOW, environment.say, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _teller(environment: Environment) -> Tell:
    """`tell(text)` says what is being done, where nothing was said for a while."""
    last = environment.clock()

    def tell(text: str) -> None:
        nonlocal last
        now = environment.clock()
        if now - last >= SLOW:
            environment.say(text)
            last = now

    return tell


def _draw(made: list[Section], tell: Tell) -> Drawn:
    """Charts of each section, those first that every kind of result has."""

    from . import charts, runs  # they need an extra

    drawn = []
    for section in made:
        drawings = [*charts.charts(section), *runs.charts(section, tell)]
        drawn.append((section, drawings))
    return drawn


def _shown(place: str) -> str:
    """A store's name for a reader: a path on somebody's machine tells nobody anything."""
    if place == "-":
        return "standard input"
    return place if "://" in place else os.path.basename(os.path.abspath(place))


def _notes(results: list[Result]) -> list[str]:
    """What readers should know before they compare."""
    found = []
    rows = [result.record for result in results]
    if not any(result.identity for result in results):
        found.append(
            "These results come from rows, not from a store: latency distributions, gain over time "
            "and the calibration curve, which need single runs, are left out."
        )
    if len({tuple(sorted(row["versions"].items())) for row in rows}) > 1:
        found.append("Cells were computed with different versions of packages: see the end.")
    if len({(row["host"], row["device"]) for row in rows}) > 1:
        found.append("Cells were computed on different machines: do not compare their latency.")
    if broken := sum(row["failures"] for row in rows):
        found.append(f"{broken} updates were not healthy (not finite, or not accepted).")
    return found


def _page(options: ReportOptions, drawn: Drawn, results: list[Result]) -> bytes:
    """The page as bytes."""
    return page(_shown(options.place), drawn, _notes(results), recipes(results)).encode()


def _markdown(name: str, made: list[Section], results: list[Result]) -> str:
    """Tables, and how to get them again."""
    lines = [f"# {name}\n"]
    for section in made:
        lines += [f"## {section.title}\n", bench_table.markdown(section.rows)]
        lines += [f"{line}  " for line in bench_table.lines(section.rows)] + [""]
    lines.append("## How to reproduce\n")
    for recipe in recipes(results):
        versions = ", ".join(f"{name} {version}" for name, version in recipe.versions.items())
        lines += [
            f"{len(recipe.cells)} cells: {versions}; {recipe.machine}. As `report.toml`, "
            "`uncertain sweep report.toml --out STORE` computes them:\n",
            f"```toml\n{recipe.toml}```\n",
        ]
    return "\n".join(lines)
