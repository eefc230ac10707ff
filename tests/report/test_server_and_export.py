"""The server's part of the report, the knee, the prediction, and the plots as files."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest

from tests.report.made import result_of, rows_of
from toolkit.errors import EnvironmentFailedError
from toolkit.report import expected, tables
from toolkit.report.export import export_plots, standalone
from toolkit.report.markdown import bench_markdown
from toolkit.report.server_panels import server_panels
from toolkit.report.write import write_bench_report
from toolkit.types import Band, Energy, Gauge, Prediction, Search, ServerSide

USERS = (1, 4, 16)
ROWS = rows_of(USERS, seconds=6)
SEEN = ServerSide(
    source="vllm", samples=9, queued=Gauge(mean=1.5, max=8), kv_use=Gauge(mean=0.3, max=0.62), preemptions=3
)
DRAWN = Energy(
    gpus=("H100",), joules=9000, how="counter", watts=Gauge(mean=380, max=512), gpu_busy=None,
    joules_per_token=0.31, joules_per_output_token=1.2,
)  # fmt: skip


def band(low: float, middle: float, high: float) -> Band:
    return Band(p10=low, p50=middle, p90=high)


PREDICTED = Prediction(
    model="smollm2", gpu="H100", count=1, tp=1, pp=1, quant="bf16", engine="vllm", regime="batched", concurrency=4,
    running=4, input_len=400, output_len=120, output_tok_s=band(1, 2, 3), decode_tok_s_per_user=band(1, 30, 1000),
    prefill_tok_s=band(1, 2, 3), ttft_s=None, tpot_s=band(1, 2, 3), ceiling_output_tok_s=900, bound_by="bandwidth",
    model_basis="profile", basis="computed", how="a fit",
)  # fmt: skip


def full():
    result = result_of(ROWS, USERS)
    levels = tuple(lv.model_copy(update={"server": SEEN, "energy": DRAWN}) for lv in result.levels)
    found = Search(mode="sweep", by="concurrency", knee_level=1, statement="The knee is at 4 users.", ended_because="x")
    return result.model_copy(
        update={"levels": levels, "search": found, "prediction": PREDICTED, "best_under_slo": None}
    )


def looks(folder: Path) -> None:
    lines = [{"at_s": t / 2, "running": 2.0, "queued": float(t % 5), "kv_use": 0.5, "watts": 300.0} for t in range(40)]
    (folder / "server.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)) + b"\n{broken")


def test_the_page_shows_what_the_server_said(tmp_path: Path) -> None:
    looks(tmp_path)
    page = write_bench_report(tmp_path, full(), ROWS).read_text()
    for part in ("Inside the server", "requests in the server", "KV cache used", "power, W", "joules per token",
                 "preemptions", "The knee is at 4 users.", "the knee", "Measured against predicted"):  # fmt: skip
        assert part in page, part
    assert "machine busy over time" not in page  # nothing was recorded of it


def test_without_a_server_file_there_is_no_such_part(tmp_path: Path) -> None:
    page = write_bench_report(tmp_path, result_of(ROWS, USERS), ROWS).read_text()
    assert "Inside the server" not in page
    assert "Measured against predicted" not in page


def test_the_table_marks_the_knee_and_has_the_figures() -> None:
    table = tables.of_levels(full())
    assert table.marks[2] == "knee"
    cells = {row[0]: row[1] for row in table.rows}
    assert (cells["queued, most"], cells["KV cache used, most"], cells["joules per token"]) == ("8", "62 %", "0.31")
    assert "restarts" not in cells


def test_a_prediction_stands_beside_the_nearest_load() -> None:
    table = expected.table(full())
    assert table is not None
    assert table.caption.startswith("4 users, measured, against the prediction for smollm2 on 1 × H100")
    assert [row[-1] for row in table.rows] == ["above the interval", "within"]
    assert table.rows[0][2:4] == ("2 (1–3)", "900")
    assert "## Measured against predicted" in bench_markdown(full())


def test_hostile_looks_are_no_plot() -> None:
    assert server_panels([{"at_s": 1.0, "running": "<b>"}, {"at_s": 2.0, "running": None}], 0, 10, ()) == []


def test_svg_files_stand_alone(tmp_path: Path) -> None:
    looks(tmp_path)
    page = write_bench_report(tmp_path, full(), ROWS)
    written = export_plots(page, "svg", len(USERS))
    names = {file.name for file in written}
    assert {"curve-ttft.svg", "spread-itl.svg", "time-tokens.svg", "server-requests.svg"} <= names
    assert not any(name.endswith("-n.svg") for name in names)
    for file in written:
        root = ElementTree.fromstring(file.read_text())  # noqa: S314  # written by us just now
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("width")
        style = root.find("{http://www.w3.org/2000/svg}style")
        assert style is not None
        assert ".l0{--c:" in str(style.text)
        assert "@media" not in str(style.text)
        assert root.findall(".//{http://www.w3.org/2000/svg}path")
        assert not {"href", "src", "onload"} & {name for element in root.iter() for name in element.attrib}


def test_without_a_browser_a_png_is_refused_and_svg_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_bench_report(tmp_path, full(), ROWS)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFailedError, match="no Chromium") as error:
        export_plots(page, "png", 3)
    assert "SVG" in str(error.value.hint)


@pytest.mark.browser
@pytest.mark.slow
def test_png_files_are_drawn(tmp_path: Path) -> None:
    page = write_bench_report(tmp_path, result_of(ROWS, USERS), ROWS)
    only = page.with_name("one.html")
    text = page.read_text()
    only.write_text(
        next(iter(standalone(text, 3).values())).replace(
            "<svg ", '<svg class="plot " role="img" aria-labelledby="one-t one-d" ', 1
        )
    )
    (file,) = export_plots(only, "png", 3)
    head = file.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    assert int.from_bytes(head[16:20]) == 880  # twice 440 units wide
    assert file.stat().st_size > 5000
