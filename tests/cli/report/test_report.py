"""Reports as files: what is in each kind, what is left out, wrong use, and text that is no markup.

See also: test_report_browser.py for the page in a browser.
"""

import io
import json
import re
import shlex
import struct
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import made_results as made
import pytest
from console import Result, call
from uncertain.cli.environment import Environment, standard_environment
from uncertain.cli.report import data, report
from uncertain.cli.report.data import SERIES, SHAPES, assign_looks, group_sections, select_best
from uncertain.cli.report.reproduce import list_recipes
from uncertain.cli.tables.bench_table import render_bench_markdown
from uncertain.cli.tables.columns import page_columns
from uncertain.cli.tables.results import load_results
from uncertain.decide.judge.measures.experiment_toml import decode_experiment
from uncertain.posteriors.errors import UsageError

HOSTILE = "smc:note=</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'"
EVERY = (
    "Frontier", "Gain against S", "Gain against k", "Fidelity", "Promised, less what it got",
    "Regret", "Joint prediction of 10", "Latency", "Gain over time", "Calibration",
)  # fmt: skip
OF_RUNS = ("Latency", "Gain over time", "Calibration")
LARGEST = 5e6
"""Bytes of a page."""
LOADED = re.compile(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:|//)|@import|url\(\s*["']?http""")
"""What a browser would fetch."""


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes over a second, and would say so on a line of its own."""
    monkeypatch.setattr(report, "SLOW", 1000.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made.fill(tmp_path_factory.mktemp("report") / "store", "finite", "linear")


@pytest.fixture(scope="module")
def page(store: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(store, tmp_path_factory.mktemp("page") / "report.html")


def written(store: str | Path, file: Path) -> str:
    result = call("report", store, "-o", file)
    assert result.status == 0, result.err
    assert result.out == ""
    return file.read_text()


def titles(page: str) -> list[str]:
    return re.findall(r"<h3>(.*?)</h3>", markup(page))


def markup(page: str) -> str:
    """A page without its scripts, which are no markup and load nothing until they run."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


def specs(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="specs">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_a_page_has_every_chart_for_each_world(page: str) -> None:
    assert re.findall("<h2>(.*?)</h2>", markup(page)) == [
        f"finite, {made.STEPS} steps", f"linear, {made.STEPS} steps", "Every cell",
        "How to reproduce",
    ]  # fmt: skip
    assert titles(page) == [*EVERY, *EVERY]
    assert len(specs(page)) == 2 * len(EVERY)
    for place in specs(page):
        assert page.count(f'id="{place}"') == 1
    assert markup(page).count("<tr") == 1 + len(made.cells("finite")) * 2


def test_a_page_loads_nothing_and_is_small(page: str) -> None:
    assert len(page.encode()) < LARGEST
    assert not LOADED.search(markup(page))
    assert LOADED.search('<script src="https://example.org/vega.js"></script>')
    assert page.count("<script") == page.count("</script") == 3
    assert "default-src 'none'" in page
    # The library is there once, however many charts there are.
    assert page.count("window.vegaEmbed") == 1


def test_a_report_depends_on_nothing_but_the_results(store: str, page: str, tmp_path: Path) -> None:
    assert written(store, tmp_path / "again.html") == page


def test_points_say_their_configuration(page: str) -> None:
    frontier = specs(page)["chart-0"]["spec"]
    values = [value for some in frontier["datasets"].values() for value in some]
    assert {v["posterior"] for v in values} == set(made.SKILL)
    shown = {tip["title"] for tip in frontier["layer"][-1]["encoding"]["tooltip"]}
    assert {"posterior", "rule", "S", "k", "decide + learn", "gain, nats"} <= shown
    assert frontier["layer"][-1]["encoding"]["x"]["scale"]["type"] == "log"


def test_rows_alone_have_no_charts_of_runs(store: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.ndjson"
    call("show", store, "--where", "world=finite", "-o", rows)
    page = written(rows, tmp_path / "rows.html")
    assert titles(page) == [title for title in EVERY if title not in OF_RUNS]
    assert "which need single runs, are left out" in page
    assert "--samples" in page


def test_charts_without_data_are_left_out(store: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.ndjson"
    text = call("show", store, "--where", "world=finite,refine=1,particles!=32").rows
    bare = {"fidelity": None, "calibration": None, "joint": None, "regret": None, "total": None}
    rows.write_text("".join(json.dumps(row | bare) + "\n" for row in text))
    assert titles(written(rows, tmp_path / "rows.html")) == []
    picture = call("report", rows, "-o", tmp_path / "rows.png")
    one_line(picture, "nothing in these results can be drawn", ".md")


def test_what_takes_a_while_is_said(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "SLOW", 0.0)
    said = call("report", store, "-o", tmp_path / "report.html").err
    assert f"reading {store}" in said
    assert f"linear, {made.STEPS} steps: read 10 of 10 cells" in said
    assert "drawing 20 charts" in said
    monkeypatch.setattr(report, "SLOW", 1000.0)
    said = call("report", store, "-o", tmp_path / "report.html").err
    assert len(said.splitlines()) == 1


def test_pictures(store: str, tmp_path: Path) -> None:
    one = made.fill(tmp_path / "one", "finite")
    for name in ("r.png", "r.SVG"):
        assert call("report", one, "-o", tmp_path / name).status == 0
    image = (tmp_path / "r.png").read_bytes()
    assert image.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", image[16:24])
    assert width > 1000
    assert height > 1000
    drawing = (tmp_path / "r.SVG").read_text()
    root = ElementTree.fromstring(drawing)
    assert root.tag.endswith("svg")
    words = {"".join(node.itertext()) for node in root.iter() if node.tag.endswith("text")}
    assert set(EVERY) <= words


def test_markdown_has_tables_and_recipes_and_needs_no_extra(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    page = written(store, tmp_path / "report.md")
    assert page.startswith("# store\n")
    assert page.count("★ |") >= 2
    assert "![" not in page
    assert 'posterior = "smc:ess=0.5"' in page
    one_line(call("report", store, "-o", tmp_path / "r.html"), "pip install 'uncertain[plots]'")


def one_line(result: Result, *words: str) -> None:
    assert result.status == 2
    assert len(result.errors) == 1, result.err
    for word in words:
        assert word in result.err


def test_wrong_use(store: str, tmp_path: Path) -> None:
    one_line(call("report", store, "-o", tmp_path / "r.pdf"), ".html, .png, .svg, .md")
    one_line(call("report", store, "-o", tmp_path / "r.htm"), 'did you mean ".html"?')
    one_line(call("report", store, "-o", "-"), ".html")
    one_line(call("report", tmp_path, "-o", tmp_path / "r.html"), "no finished cell")
    one_line(call("report", tmp_path / "missing", "-o", tmp_path / "r.html"), "missing")
    one_line(call("report", store, "-o", tmp_path / "no" / "r.md"), "cannot be written")
    (tmp_path / "rows.ndjson").write_text('{"a": 1}\n')
    one_line(call("report", tmp_path / "rows.ndjson", "-o", tmp_path / "r.md"), "no result")
    assert not (tmp_path / "r.html").exists()
    assert not (tmp_path / "r.md").exists()


def test_recipes_give_the_same_cells(store: str) -> None:
    results = load_results(store, standard_environment())
    recipe, *others = list_recipes(results)
    assert not others
    experiment = decode_experiment(recipe.toml, "report.toml")
    configurations = [result.record.config for result in results]
    assert [asdict(cell) for cell in experiment.resolved()] == configurations
    assert (experiment.live, experiment.samples, experiment.joint) == (made.LIVE, 100, 10)
    assert experiment.fidelity
    for config in (configurations[0], configurations[-1]):
        command = recipe.command(config)
        assert command is not None
        printed = call(*command.split()[1:], "--print-config")
        assert [asdict(cell) for cell in decode_experiment(printed.out, "").resolved()] == [config]


def test_what_was_off_stays_off(tmp_path: Path) -> None:
    judge = {"live": 0, "samples": 0, "spce": 100, "reference": 64}
    place = made.fill(tmp_path / "store", "finite", judge=judge)
    (recipe,) = list_recipes(load_results(place, standard_environment()))
    experiment = decode_experiment(recipe.toml, "")
    assert (experiment.live, experiment.samples, experiment.spce) == (0, 0, 100)
    assert experiment.reference == 64
    # No option says so, and a command without it would be another cell's.
    assert recipe.command(recipe.cells[0]) is None


def test_text_of_results_is_never_markup(tmp_path: Path) -> None:
    hostile = made.fill(tmp_path / "store", "finite", posterior=HOSTILE)
    page = written(hostile, tmp_path / "report.html")
    assert "<script>alert" not in page
    assert "<img" not in markup(page)
    assert page.count("<script") == page.count("</script") == 3
    values = json.dumps(specs(page))
    assert json.dumps(HOSTILE)[1:-1] in values
    (recipe,) = list_recipes(load_results(hostile, standard_environment()))
    # Shell and TOML take it as one word, too.
    assert HOSTILE in shlex.split(recipe.command(recipe.cells[0]) or "")
    assert tomllib.loads(recipe.toml)["cells"][0]["posterior"] == HOSTILE


def test_colours_and_shapes_tell_series_apart() -> None:
    names = [str(number) for number in range(len(SERIES) * len(SHAPES))]
    assert len(set(assign_looks([*names, "(random)"]).values())) == len(names) + 1


def test_charts_of_many_cells_show_the_best(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    section, _ = group_sections(load_results(store, standard_environment()))
    assert select_best(section.cells) == section.cells
    monkeypatch.setattr(data, "MANY", 3)
    gains = [cell.record.gain.lower.mean for cell in section.cells]
    kept = [cell.record.gain.lower.mean for cell in select_best(section.cells)]
    assert kept == [gain for gain in gains if gain in sorted(gains)[-3:]]
    assert {cell.series for cell in section.best_of_series()} == set(section.series)


def test_names_are_unique_in_their_world(tmp_path: Path) -> None:
    place = made.fill(tmp_path / "store", "finite")
    made.fill(tmp_path / "store", "finite", seed=1)
    made.fill(tmp_path / "store", "finite", judge={"samples": 7}, model="finite:size=4")
    (section,) = group_sections(load_results(place, standard_environment()))
    assert len(set(section.labels)) == len(section.labels) == 3 * len(made.cells("finite"))
    assert any("seed=1" in label for label in section.labels)
    assert any("size=4" in label for label in section.labels)


ROOT = Path(__file__).parents[3]
SHIPPED = sorted([*ROOT.glob("configs/*.ndjson"), *ROOT.glob("docs/results/*.ndjson")])


def read_shipped(path: Path) -> str:
    """The table and recipes of a shipped file, or the refusal."""
    environment = Environment(io.BytesIO(), io.StringIO(), io.StringIO(), False, False)
    try:
        results = load_results(str(path), environment)
    except UsageError as error:
        return str(error)
    made = group_sections(results)
    rows = [row for section in made for row in section.rows]
    assert len(rows) == len(results)
    for row in rows:
        for column in page_columns(rows):
            assert column.text(row) or not column.title
            assert "nan" not in column.text(row)
        assert any(worth is not None for worth in (row.gain, row.total, row.work))
    assert all(recipe.toml for recipe in list_recipes(results))
    return "".join(render_bench_markdown(section.rows) for section in made)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_rows_are_reported_or_refused_in_a_line(path: Path) -> None:
    text = read_shipped(path)
    if not text.startswith("| "):
        assert re.search(r":1: no result of bench or sweep \(.* is missing\)", text)
        assert "uncertain bench --export-json" in text
        assert "\n" not in text


@pytest.mark.parametrize("name", ["default", "regimes", "testbed"])
def test_rows_of_a_bench_are_reported(name: str) -> None:
    assert read_shipped(ROOT / "docs" / "results" / f"{name}.ndjson").startswith("| ")


def test_records_that_choose_a_posterior_are_reported() -> None:
    assert read_shipped(ROOT / "configs" / "measured.ndjson").startswith("| ")


def test_the_page_is_written_beside_the_caller(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written = call("report", store)
    assert written.status == 0
    assert "report.html" in written.err
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
