"""Reports in a real browser, headless Chromium: drawn, hovered over, sorted, dark, on a phone.

Nothing can be fetched: no name resolves, and attempted requests are counted. Skipped without
chromium and its chromedriver.

See also: test_report.py for the content of the file.
"""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_results as made
import pytest
from console import call

webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: install it to test")
chrome = pytest.importorskip("selenium.webdriver.chrome.service")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on PATH"),
]
CHARTS = 10
WIDE, PHONE, HIGH = 1280, 390, 900
"""Pixels."""
SLOW = 2.0
"""Seconds that opening may take."""
PATIENCE = 30.0
"""Seconds to wait for what must happen, on a machine that does other things too."""
DRAWN = (
    "return document.querySelectorAll('.chart').length > 0 && Number(document.body.dataset.drawn)"
    " === document.querySelectorAll('.chart').length"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("browser")
    place = made.fill(folder / "store", "finite")
    made.fill(folder / "store", "finite", posterior="smc:note=<b>&</script>")
    result = call("report", place, "-o", folder / "report.html")
    assert result.status == 0, result.err
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage",
        "disable-background-networking", "host-resolver-rules=MAP * ~NOTFOUND",
    ):  # fmt: skip
        options.add_argument("--" + argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=chrome.Service(DRIVER))
    yield driver
    driver.quit()


def opened(browser: Any, page: str, width: int = WIDE, scheme: str = "light") -> Any:
    """The browser with every chart of the page drawn."""
    screen = {"width": width, "height": HIGH, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    liked = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": liked})
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what earlier pages said
    browser.get(page)
    until(browser, DRAWN)
    return browser


def until(browser: Any, condition: str) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := browser.execute_script(condition)):
        assert time.monotonic() < end, condition
        time.sleep(0.02)
    return found


def requested(browser: Any) -> set[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [one for one in messages if one["method"] == "Network.requestWillBeSent"]
    return {one["params"]["request"]["url"] for one in sent}


def test_every_chart_is_drawn_without_errors_or_requests(browser: Any, page: str) -> None:
    opened(browser, page)
    marks = browser.execute_script(
        "return [...document.querySelectorAll('.chart')].map(box => [...box.querySelectorAll("
        "'svg .mark-symbol.role-mark path, svg .mark-rect.role-mark path')].filter("
        "one => one.getBoundingClientRect().width > 0).length)"
    )
    assert len(marks) == CHARTS
    assert all(count > 3 for count in marks), marks
    assert browser.get_log("browser") == []
    assert requested(browser) == {page}
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_a_request_would_be_seen_and_refused(browser: Any, page: str, tmp_path: Path) -> None:
    opened(browser, page)
    browser.execute_script("new Image().src = 'https://example.org/seen.png'")
    until(browser, "return fetch('https://example.org/x').then(() => false, () => true)")
    said = [entry["message"] for entry in browser.get_log("browser")]
    assert any("Content Security Policy" in text and "seen.png" in text for text in said)
    other = tmp_path / "other.html"
    other.write_text("<img src='https://example.org/seen.png'>")
    browser.get(other.as_uri())
    assert "https://example.org/seen.png" in requested(browser)


def test_it_opens_quickly(browser: Any, page: str) -> None:
    # The least of three: others use this machine, too.
    spent = []
    for _ in range(3):
        opened(browser, page)
        spent.append(
            browser.execute_script(
                "return performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
            )
        )
    assert 0 < min(spent) < SLOW, spent


def test_hovering_shows_the_configuration(browser: Any, page: str) -> None:
    opened(browser, page)
    at = browser.execute_script(
        "const point = document.querySelector('#chart-0 svg .mark-symbol.role-mark path');"
        "point.scrollIntoView({block: 'center'}); const box = point.getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]"
    )
    for x, y in ((1, 1), at):
        move = {"type": "mouseMoved", "x": x, "y": y}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", move)
    text = until(
        browser,
        "const shown = document.querySelector('#vg-tooltip-element.visible');"
        "return shown && shown.innerText",
    )
    for word in ("posterior", "rule", "eig", "S", "k", "p99", "nats", f"of {made.STEPS} steps"):
        assert word in text


def test_the_table_sorts(browser: Any, page: str) -> None:
    opened(browser, page)
    read = (
        "const at = [...document.querySelectorAll('th')].findIndex(one => one.innerText.trim()"
        ".startsWith(arguments[0])); return [...document.querySelectorAll('tbody tr')]"
        ".map(row => row.cells[at].dataset.by ?? null)"
    )
    click = (
        "const head = [...document.querySelectorAll('th')].find(one => one.innerText.trim()"
        ".startsWith(arguments[0])); head.querySelector('button').click();"
        "return head.getAttribute('aria-sort')"
    )
    for name, kind in (("both p99", float), ("S", float), ("posterior", str)):
        before = browser.execute_script(read, name)
        given = sorted(kind(value) for value in before if value is not None)
        missing = [None] * before.count(None)
        for order, expected in (("ascending", given), ("descending", given[::-1])):
            assert browser.execute_script(click, name) == order
            after = browser.execute_script(read, name)
            assert [kind(value) for value in after if value is not None] == expected
            # What is missing is last either way.
            assert after[len(given) :] == missing
    assert browser.execute_script("return document.querySelectorAll('[aria-sort]').length") == 1


def lightness(browser: Any, what: str, name: str) -> float:
    """Mean of red, green and blue, from 0 to 255."""
    text = browser.execute_script(
        "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", what, name
    )
    parts = [float(part) for part in text[text.index("(") + 1 : -1].split(",")[:3]]
    return sum(parts) / 3


def test_light_and_dark(browser: Any, page: str) -> None:
    label = "#chart-0 svg .role-axis-label text"
    opened(browser, page)
    assert lightness(browser, "body", "backgroundColor") > 230
    assert lightness(browser, label, "fill") < 60
    # The reader's system changes while the page is open; charts are drawn anew.
    liked = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_script("delete document.body.dataset.drawn")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": liked})
    until(browser, DRAWN)
    assert lightness(browser, "body", "backgroundColor") < 40
    assert lightness(browser, label, "fill") > 200
    assert lightness(browser, "p", "color") > 130


def test_on_a_phone_nothing_sticks_out(browser: Any, page: str) -> None:
    opened(browser, page, width=PHONE)
    wide = "return [document.documentElement.scrollWidth, innerWidth]"
    assert browser.execute_script(wide) == [PHONE, PHONE]
    # The table is wider and scrolls in its own box.
    box = "const box = document.querySelector('.scroll'); return box.scrollWidth > box.clientWidth"
    assert browser.execute_script(box)
    clipped = browser.execute_script(
        "return [...document.querySelectorAll('.chart')].filter(box => [...box.querySelectorAll("
        "'svg text')].some(text => text.getBoundingClientRect().right > "
        "box.getBoundingClientRect().right + 1)).map(box => box.id)"
    )
    assert clipped == []
