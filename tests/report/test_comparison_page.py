"""The comparison as a page: what it says, where its bars lie, and how it looks in a real browser."""

from __future__ import annotations

import re

import pytest

from tests.report.test_report_browser import CONTRAST, WIDER, browser, look, requested
from toolkit.report.comparison_page import comparison_page
from toolkit.types import Comparison, LevelChange, LimitOutcome, MetricChange, RunRef

__all__ = ["browser"]
LONG = "a-label-that-has-no-place-to-break-at-all-and-goes-on-" * 4
FOREIGN = "<script>alert(1)</script>"


def run(label: str) -> RunRef:
    return RunRef(
        id="20261130", label=label, at="2026-11-30T03:00:00+00:00", target="http://127.0.0.1:1", model=FOREIGN,
        workload="chat", loads=("4 users",), valid=True,
    )  # fmt: skip


def change(metric: str, unit: str, low: float | None, middle: float | None, high: float | None, finding: str) -> object:
    return MetricChange(
        metric=metric, unit=unit, a=0.2, b=0.22, change=middle, low=low, high=high, n_a=90, n_b=90, finding=finding
    )


FOUND = Comparison(
    a=run("before"),
    b=run(LONG),
    confidence=0.95,
    intervals=4,
    resamples=800,
    seed=0,
    differences=(),
    levels=(
        LevelChange(
            concurrency=4,
            load="4 users",
            metrics=(
                change("output_tok_s", "1/s", 0.1, 0.2, 0.3, "faster"),
                change("ttft_p95", "s", 0.05, 0.1, 0.2, "slower"),
                change("itl_p50", "s", -0.1, 0.0, 0.4, "no_difference"),
                change("e2e_p99", "s", None, 0.05, None, "too_few"),
                change("tpot_p50", "s", -0.2, 0.9, 9.0, "no_difference"),
            ),
        ),
    ),
    limits=(LimitOutcome(limit="ttft_p95>+5%", load="4 users", change=0.1, outcome="broken"),),
    passed=False,
)


def bars(page: str) -> list[tuple[str, float, float]]:
    """(class, left end, width) of every bar, in per cent of its track."""
    pattern = r'<li class="(\w+)">(?:(?!</li>).)*?margin-left:([\d.]+)%;width:([\d.]+)%'
    return [(kind, float(left), float(width)) for kind, left, width in re.findall(pattern, page)]


def test_bars_lie_where_their_intervals_do() -> None:
    """The farthest end is beyond 100 %, so the track goes from −100 % to +100 %: +10 % lies at 55 % of it."""
    assert bars(comparison_page(FOUND)) == [
        ("better", 55, 10),
        ("worse", 52.5, 7.5),
        ("same", 45, 25),
        ("same", 40, 60),
    ]


def test_it_says_what_the_comparison_says() -> None:
    page = comparison_page(FOUND)
    assert "Not every limit kept." in page
    assert "too few to say" in page
    assert "+20.0 %" in page
    assert FOREIGN not in page


def test_without_limits_and_levels_it_is_still_a_page() -> None:
    page = comparison_page(FOUND.model_copy(update={"levels": (), "limits": (), "passed": None}))
    assert "no load in common" in page
    assert "limit" not in page[page.index("<header>") :]


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_looks_right_in_a_browser(browser, tmp_path, scheme) -> None:
    page = tmp_path / "c.html"
    page.write_text(comparison_page(FOUND), encoding="utf-8")
    browser.get("about:blank")
    browser.get_log("performance")
    for width in (320, 375, 1280):
        look(browser, page, width, scheme)
        assert browser.execute_script(WIDER) == []
    assert browser.execute_script(CONTRAST) == []
    assert browser.get_log("browser") == []
    assert set(requested(browser)) == {page.as_uri()}
