"""The server's part of a report in a real browser: its plots are seen, nothing sticks out, nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report import test_report_browser as browsing
from tests.report.test_server_and_export import ROWS, full, looks
from toolkit.report.write import write_bench_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]
browser = browsing.browser


@pytest.mark.parametrize("width", [375, 1280])
def test_the_servers_panels_are_drawn_and_seen(width: int, browser, tmp_path: Path) -> None:
    looks(tmp_path)
    page = write_bench_report(tmp_path, full(), ROWS)
    browser.get("about:blank")
    browser.get_log("performance")
    browsing.look(browser, page, width)
    assert browser.get_log("browser") == []
    assert browsing.requested(browser) == [page.as_uri()]
    shown = browser.execute_script(
        "return [...document.querySelectorAll('svg[aria-labelledby^=server-]')]"
        ".filter((s) => s.getBoundingClientRect().height > 60)"
        ".map((s) => [s.querySelector('title').textContent,"
        " Math.max(...[...s.querySelectorAll('path.line')].map((p) => p.getTotalLength()))])"
    )
    assert [title for title, _ in shown] == [
        "requests in the server over time", "KV cache used over time", "power, W over time"
    ]  # fmt: skip
    assert all(length > 100 for _, length in shown)
    assert browser.execute_script(browsing.WIDER) == []
    assert browser.execute_script(browsing.CONTRAST) == []
    assert len(browser.find_elements("css selector", "circle.knee")) == 2
