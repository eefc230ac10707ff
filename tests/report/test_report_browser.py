"""The report in a real browser: headless Chromium, from a file, at phone and desktop width, light and dark."""

import json
import shutil
from datetime import date
from decimal import Decimal

import pytest

from tests.report.made import result_of, rows_of
from toolkit.cost import goodput, machine_price, sources
from toolkit.cost.report import cost_report
from toolkit.cost.scenario import Load, Scenario
from toolkit.report.write import write_bench_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]

USERS = (1, 2, 4, 8, 16)
LONG = "together:meta-llama/A-Very-Long-Model-Name-That-Has-No-Place-To-Break-At-All-70B-Instruct-Turbo"

CONTRAST = """
const parse = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
const light = (c) => { const [r, g, b] = parse(c).map((v) => { v /= 255;
  return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (!/rgba\\(.*, 0\\)|transparent/.test(c)) return c; } return "rgb(255, 255, 255)"; };
const found = [];
const texts = "p, h1, h2, h3, li, th, td, dt, dd, code, small, b, strong, span, caption, svg text";
for (const e of document.querySelectorAll(texts)) {
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
  const style = getComputedStyle(e), ink = e.closest("svg") ? style.fill : style.color;
  const [a, b] = [light(ink), light(behind(e))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) found.push([e.tagName, ratio.toFixed(2), e.textContent.slice(0, 40)]);
}
return found;
"""

WIDER = """
const edge = document.documentElement.clientWidth;
return [...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll") && !e.closest("svg")
  && getComputedStyle(e).display !== "none" && e.getBoundingClientRect().right > edge + 0.5)
  .map((e) => [e.tagName, e.className.baseVal ?? e.className, e.getBoundingClientRect().right]);
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report with everything in it, long names included."""
    rows = rows_of(USERS, seconds=24)
    assert any(row.error for row in rows)
    result = result_of(rows, USERS)
    speed = goodput.measured(result)
    quotes = sources.quotes(
        ["gpt-4o", "claude-sonnet-4-5", "together:llama-3.3-70b"], (speed.request,), date(2026, 11, 23)
    )
    cost = cost_report(speed, machine_price.given(Decimal("1.39")), quotes, scenario=Scenario(load=Load(10_000_000)))
    long = cost.alternatives[0].model_copy(update={"name": LONG, "matched_model": LONG})
    cost = cost.model_copy(update={"alternatives": (*cost.alternatives, long)})
    return write_bench_report(tmp_path_factory.mktemp("page"), result, rows, cost)


@pytest.fixture
def browser(tmp_path):
    """Headless Chromium with an empty profile; its console and network are recorded."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


def look(browser, page, width, scheme="light"):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(page.as_uri())


def requested(browser):
    """Every address the page asked for."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def test_it_opens_from_a_file_without_network_or_complaint(browser, page):
    browser.get("about:blank")
    browser.get_log("performance")  # what the browser's own first page asked for
    look(browser, page, 1280)
    assert browser.get_log("browser") == []
    assert requested(browser) == [page.as_uri()]
    assert page.stat().st_size < 2_000_000


@pytest.mark.parametrize("width", [320, 375, 1280])
def test_its_plots_are_drawn_and_seen(browser, page, width):
    look(browser, page, width)
    shown = browser.execute_script(
        "return [...document.querySelectorAll('svg.plot')].filter((s) => s.getBoundingClientRect().height > 60)"
        ".map((s) => Math.max(...[...s.querySelectorAll('path.line')].map((p) => p.getTotalLength())))"
    )
    assert len(shown) == 2 + 2 + 3 + 1  # of each wide and narrow pair one is seen
    assert all(length > 100 for length in shown)


@pytest.mark.parametrize("width", [320, 375, 1280])
def test_nothing_sticks_out_sideways(browser, page, width):
    look(browser, page, width)
    assert browser.execute_script(
        "const page = document.documentElement; return page.scrollWidth <= page.clientWidth && page.clientWidth"
    ) == pytest.approx(width, abs=20)  # the scroll bar takes some
    assert browser.execute_script(WIDER) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_text_can_be_read(browser, page, scheme):
    look(browser, page, 1280, scheme)
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(253, 253, 251)", "dark": "rgb(21, 21, 20)"}[scheme]
    assert browser.execute_script(CONTRAST) == []


def test_hover_and_keys_tell_the_figures(browser, page):
    from selenium.webdriver import ActionChains, Keys

    look(browser, page, 1280)
    plot = browser.find_element("css selector", "svg[data-points]")
    tip = browser.find_element("id", "tip")
    assert not tip.is_displayed()
    point = json.loads(plot.get_attribute("data-points"))[0]
    box = browser.execute_script(
        "arguments[0].scrollIntoView({block: 'center'}); const b = arguments[0].getBoundingClientRect();"
        "return [b.width, b.height, arguments[0].viewBox.baseVal.width]",
        plot,
    )
    scale = box[0] / box[2]
    at = (round(point[0] * scale - box[0] / 2), round(point[1] * scale - box[1] / 2))
    ActionChains(browser).move_to_element_with_offset(plot, *at).perform()
    assert tip.is_displayed()
    assert tip.text == point[2]
    ActionChains(browser).move_to_element(browser.find_element("tag name", "h1")).perform()
    assert not tip.is_displayed()
    browser.execute_script("arguments[0].focus()", plot)
    ActionChains(browser).send_keys(Keys.ARROW_RIGHT).perform()
    assert tip.text == json.loads(plot.get_attribute("data-points"))[1][2]
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert not tip.is_displayed()


def test_it_reads_without_script(browser, page, tmp_path):
    from html import unescape

    bare = tmp_path / "bare.html"
    text = page.read_text()
    bare.write_text(text[: text.index("<script>")] + text[text.index("</script>") + 9 :])
    look(browser, bare, 1280)
    assert unescape("At 8 users") in browser.find_element("tag name", "h1").text
    assert browser.execute_script("return document.querySelectorAll('svg.plot path.line').length") > 20
