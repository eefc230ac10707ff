"""The written report: whole, self-contained, safe against hostile text, and honest about what is missing."""

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from tests.report.made import level_of, result_of, rows_of
from toolkit.cost import goodput, machine_price, sources
from toolkit.cost.report import cost_report
from toolkit.cost.scenario import Load, Scenario
from toolkit.errors import EnvironmentFailedError
from toolkit.report import tables
from toolkit.report.html import bench_page, cost_page
from toolkit.report.markdown import bench_markdown, cost_markdown
from toolkit.report.write import write_bench_report, write_cost_report

USERS = (1, 4, 16)
ROWS = rows_of(USERS, seconds=6)
RESULT = result_of(ROWS, USERS)
HOSTILE = "</style></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`|*_[x](javascript:alert(3))\n&amp;"
VOID = {"meta", "img", "br", "link", "input"}


def cost_of(result, **load):
    speed = goodput.measured(result)
    quotes = sources.quotes(["gpt-4o", "together:llama-3.3-70b"], (speed.request,), date(2026, 11, 23))
    return cost_report(speed, machine_price.given(Decimal("1.39")), quotes, scenario=Scenario(load=Load(**load)))


class Page(HTMLParser):
    """Checks nesting and collects elements, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    def every(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def test_a_report_has_its_parts():
    page = Page(bench_page(RESULT, ROWS, cost_of(RESULT, tokens_per_day=10_000_000)))
    assert "What moves it most" in page.texts
    text = " ".join(page.texts)
    for part in (
        "Speed against load", "Spread of the waits", "Over time", "Every load", "What a million tokens costs",
        "What the words mean", "To repeat this", "selfhost bench smollm2-135m", "AMD EPYC 9554", "llama-server",
        "Valid.", "t(first token) − t(sent)", "genai-prices",
    ):  # fmt: skip
        assert part in text, part
    plots = page.every("svg")
    assert len(plots) == 2 + 2 + 2 * 3 + 2  # curves, distributions, three timelines and the price, each twice
    assert all(p["role"] == "img" and p["aria-labelledby"] for p in plots)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert page.every("html")[0]["lang"] == "en"
    assert len(page.every("caption")) == len(page.every("table")) == 5


def test_nothing_is_fetched():
    raw = bench_page(RESULT, ROWS, cost_of(RESULT))
    page = Page(raw)
    assert not page.every("link")
    assert not page.every("img")
    for _, attrs in page.elements:
        assert not {"src", "href", "action", "onload", "onclick", "onerror"} & set(attrs)
    assert "default-src 'none'" in page.every("meta")[1]["content"]
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", raw)


def hostile_result():
    levels = [
        level_of(ROWS, i, n).model_copy(
            update={
                "valid": False,
                "why_invalid": HOSTILE,
                "errors": {HOSTILE: 3},
                "failed": 3,
                "notes": (HOSTILE,),
            }
        )
        for i, n in enumerate(USERS)
    ]
    environment = RESULT.environment.model_copy(
        update={
            "command": f"selfhost bench ``` {HOSTILE}",
            "at": HOSTILE,
            "machine": {HOSTILE: HOSTILE, "list": [HOSTILE, {"deep": HOSTILE}]},
            "engine": {"argv": [HOSTILE, "--x"]},
        }
    )
    workload = RESULT.workload.model_copy(update={"name": HOSTILE, "description": HOSTILE})
    return RESULT.model_copy(
        update={
            "target": HOSTILE, "model": HOSTILE, "workload": workload, "slo": HOSTILE, "levels": tuple(levels),
            "environment": environment, "best_under_slo": None, "stopped_early": HOSTILE,
        }
    )  # fmt: skip


def hostile_cost():
    cost = cost_of(RESULT, tokens_per_day=1_000_000)
    bad = {"name": HOSTILE, "provider": HOSTILE, "matched_model": HOSTILE, "note": HOSTILE, "price_date": HOSTILE}
    return cost.model_copy(
        update={
            "model": HOSTILE, "goodput_how": HOSTILE, "price_how": HOSTILE, "notes": (HOSTILE,),
            "alternatives": tuple(a.model_copy(update=bad) for a in cost.alternatives),
        }
    )  # fmt: skip


def test_hostile_text_stays_text_in_html():
    for page in (Page(bench_page(hostile_result(), ROWS, hostile_cost())), Page(cost_page(hostile_cost()))):
        assert len(page.every("script")) == 1
        assert len(page.every("style")) == 1
        assert not page.every("img")
        assert not page.every("a")
        for _, attrs in page.elements:
            assert not any(name.startswith("on") for name in attrs)
        assert any("<script>alert(1)</script>" in text for text in page.texts)


def test_hostile_text_stays_text_in_markdown():
    for text in (bench_markdown(hostile_result(), hostile_cost()), cost_markdown(hostile_cost())):
        outside = re.sub(r"(?s)^(`{3,})\n.*?\n\1$", "", text, flags=re.M)
        assert not re.search(r"(?<!\\)<(script|img)", outside)
        assert not re.search(r"(?<!\\)\]\(", outside)
        for line in outside.splitlines():
            assert not line.startswith("<")


def test_markdown_tables_are_rectangular():
    text = bench_markdown(hostile_result(), hostile_cost())
    blocks = re.findall(r"(?m)(?:^\|.*\n?)+", text)
    assert len(blocks) == 4
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().splitlines()}
        assert len(widths) == 1


def test_markdown_says_what_the_page_says():
    cost = cost_of(RESULT, tokens_per_day=10_000_000)
    text = bench_markdown(RESULT, cost)
    assert text.startswith("# SmolLM2-135M-Instruct: load test\n")
    for table in (tables.of_levels(RESULT), tables.of_alternatives(cost)):
        assert f"| {table.rows[0][0].split(chr(10))[0]}" in text
    assert "## To repeat this" in text


@pytest.mark.parametrize("changes", [{"levels": (), "best_under_slo": None}, {"slo": None}, {"slo": "nonsense"}])
def test_incomplete_results_still_make_a_page(changes):
    result = RESULT.model_copy(update=changes)
    assert Page(bench_page(result, ROWS if result.levels else [], None)).every("h1")
    assert bench_markdown(result)


def test_a_bench_in_which_everything_failed_makes_a_page():
    nothing = {"completed": 0, "failed": 9, "ttft_s": None, "itl_s": None, "tpot_s": None, "e2e_s": None}
    zero = dict.fromkeys(("output_tok_s", "total_tok_s", "goodput_total_tok_s"), 0.0)
    update = nothing | zero | {"decode_tok_s_per_user": None, "valid": False}
    levels = tuple(level_of(ROWS, i, n).model_copy(update=update) for i, n in enumerate(USERS))
    rows = [replace(r, error="http_500", token_s=(), first_token_s=None) for r in ROWS]
    page = Page(bench_page(RESULT.model_copy(update={"levels": levels, "best_under_slo": None}), rows, None))
    text = " ".join(page.texts)
    assert "no request completed" in text
    assert "Not valid in full." in text


def test_a_large_run_stays_under_two_megabytes(tmp_path):
    users = (1, 2, 4, 8, 16, 32, 64, 128)
    rows = rows_of(users, seconds=45, places=64)
    assert sum(len(r.token_s) for r in rows) > 100_000
    result = result_of(rows, users)
    file = write_bench_report(tmp_path, result, rows, cost_of(result, tokens_per_day=10_000_000))
    assert file.stat().st_size < 2_000_000
    Page(file.read_text())


def test_files_are_written_whole_and_replaced(tmp_path):
    out = tmp_path / "a" / "b"
    first = write_bench_report(out, RESULT, ROWS)
    assert first == out / "report.html"
    assert {f.name for f in out.iterdir()} == {"report.html", "report.md"}
    write_cost_report(out, cost_of(RESULT))
    assert {f.name for f in out.iterdir()} == {"report.html", "report.md", "cost.html", "cost.md"}


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailedError, match="cannot write"):
        write_bench_report(tmp_path / "file" / "out", RESULT, ROWS)
