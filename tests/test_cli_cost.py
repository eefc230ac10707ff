"""`selfhost cost` as a user or a script meets it: through the entry point, with real files."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.report.made import level_of, result_of, rows_of
from toolkit.cli.main import run
from toolkit.types import ServerSide

USERS = (1, 4)
ROWS = rows_of(USERS, seconds=6)
STATED = ("cost", "--goodput", "1000", "--gpu-price", "1.39/h")


@pytest.fixture
def selfhost(monkeypatch, capsys, tmp_path):
    """Run the command line; returns (exit status, stdout, stderr)."""
    monkeypatch.setenv("SELFHOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["selfhost", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            run()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return call


@pytest.fixture
def bench(tmp_path):
    """A folder as `selfhost bench` leaves it."""
    folder = tmp_path / "bench"
    folder.mkdir()
    (folder / "result.json").write_text(result_of(ROWS, USERS).model_dump_json(by_alias=True))
    (folder / "requests.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in ROWS))
    return folder


def report(selfhost, *args):
    status, out, err = selfhost(*args, "--json")
    assert status == 0, err
    return json.loads(out)


def test_the_published_check_values(selfhost):
    names = "gpt-4o,claude-sonnet-4-5,together:llama-3.3-70b,lowest:llama-3.3-70b"
    people = ("--setup-hours", "20", "--upkeep-hours", "8", "--people-rate", "50")

    def firsts(*flags):
        found = report(selfhost, *STATED, "--compare", names, *flags)["alternatives"]
        wins = [a["self_host_wins_tokens_per_day"] for a in found]
        assert all(w[-1][1] is None for w in wins if w)
        return [f"{w[0][0] / 1e6:.1f}" if w else "never" for w in wins]

    assert firsts("--peak-ratio", "1") == ["7.6", "5.6", "37.9", "never"]
    assert firsts("--peak-ratio", "3", *people) == ["10.9", "8.0", "never", "never"]
    assert firsts("--peak-ratio", "3", *people, "--spare", "1") == ["18.6", "13.5", "never", "never"]


def test_the_document_has_the_fields_of_the_contract(selfhost):
    document = report(selfhost, *STATED, "--tokens-per-day", "10M")
    assert document["kind"] == "cost_report"
    assert document["schema_version"] == 1
    assert document["goodput_basis"] == "assumed"
    assert document["goodput_tok_s"] == 1000
    assert set(document["monthly_usd"]) == {"compute", "people", "other", "total"}
    assert document["monthly_usd"]["total"] == pytest.approx(1014.70)
    assert document["utilisation"] == pytest.approx(10e6 / 86_400 / 1000)
    first = document["alternatives"][0]
    assert first["matched_model"] == "gpt-4o"
    assert first["provider"] == "openai"
    assert first["price_date"].startswith("genai-prices ")
    assert 0.9 < first["p_self_host_cheaper"] <= 1  # 1,014.70 a month against 1,330.73
    assert document["usage_usd_per_mtok"] <= document["allocation_usd_per_mtok"]


def test_a_bench_folder_and_its_file_are_the_same(selfhost, bench):
    by_folder, by_file = report(selfhost, "cost", bench), report(selfhost, "cost", bench / "result.json")
    assert by_folder == by_file
    assert by_folder["goodput_basis"] == "measured"
    assert by_folder["price_basis"] == "assumed"  # a machine with two cores and no GPU: 2 × $0.05
    assert by_folder["usd_per_gpu_hour"] == pytest.approx(0.10)
    assert len(by_folder["alternatives"]) == 3


def test_every_flag_changes_what_it_should(selfhost, bench):
    base = report(selfhost, *STATED, "--tokens-per-day", "10M")
    assert report(selfhost, *STATED, "--gpus", "2")["usage_usd_per_mtok"] == pytest.approx(2 * 1.39 / 3.6)
    dear = report(selfhost, "cost", "--goodput", "1000", "--gpu-price", "730/month")
    assert dear["usage_usd_per_mtok"] == pytest.approx(1 / 3.6)
    all_input = report(selfhost, *STATED, "--input-share", "1", "--compare", "gpt-4o")
    assert all_input["alternatives"][0]["usd_per_mtok"] == pytest.approx(2.50)
    peaky = report(selfhost, *STATED, "--tokens-per-day", "86.4M", "--peak-ratio", "5")
    assert peaky["replicas"] == 5  # 86.4M a day is 1,000 tokens/s; five times that
    assert report(selfhost, *STATED, "--tokens-per-day", "10M", "--spare", "2")["replicas"] == base["replicas"] + 2
    people = ("--setup-hours", "12", "--horizon-months", "6", "--people-rate", "50", "--tokens-per-day", "1M")
    assert report(selfhost, *STATED, *people)["monthly_usd"]["people"] == pytest.approx(100)  # 12 × 50 / 6
    powered = report(selfhost, *STATED, "--watts", "400", "--usd-per-kwh", "0.12", "--pue", "1.3")
    assert powered["energy_usd_per_mtok"] == pytest.approx(0.4 * 0.12 * 1.3 / 3.6)
    assert report(selfhost, *STATED, "--compare", "none")["alternatives"] == []
    rupees = report(selfhost, *STATED, "--currency", "INR=93@2026-06-24")
    assert rupees["currency"] == {"code": "INR", "per_usd": 93.0, "on": "2026-06-24"}
    assert rupees["in_currency"]["usage_per_mtok"] == pytest.approx(35.908333)  # 1.39 ÷ 3.6 × 93
    assert rupees["in_currency"]["total_per_month"] is None  # no volume
    assert "One dollar is 93 INR, as you gave it for 2026-06-24." in rupees["notes"]
    stated = report(selfhost, "cost", bench, "--goodput", "500")
    assert (stated["goodput_tok_s"], stated["goodput_basis"]) == (500, "assumed")


def test_the_peak_ratio_of_a_log(selfhost, tmp_path):
    log = tmp_path / "requests.csv"
    hours = [f"2026-11-23T{h:02d}:{m:02d}:00" for h in range(24) for m in range(9 if h == 14 else 1)]
    log.write_text("timestamp\n" + "\n".join(hours) + "\n")
    status, out, err = selfhost(*STATED, "--tokens-per-day", "30M", "--request-log", log, "--json")
    document = json.loads(out)
    assert (status, document["peak_ratio"], document["peak_ratio_basis"]) == (0, 6.75, "measured")  # 9 / (32 / 24)
    assert document["replicas"] == 3  # 30M × 6.75 / 86.4M = 2.34
    assert "busiest of 24 hours" in err
    assert "both given" in selfhost(*STATED, "--request-log", log, "--peak-ratio", "2")[2]
    assert selfhost(*STATED, "--request-log", tmp_path / "none.csv")[0] == 2
    log.write_bytes(b"\xff\xfe")
    assert selfhost(*STATED, "--request-log", log)[0] == 2


def test_draws_and_seed(selfhost):
    volume = ("--tokens-per-day", "30M")
    first, again = (report(selfhost, *STATED, *volume)["uncertainty"] for _ in range(2))
    assert first == again
    assert (first["draws"], first["seed"]) == (10_000, 0)
    assert report(selfhost, *STATED, *volume, "--seed", "7")["uncertainty"]["seed"] == 7
    assert report(selfhost, *STATED, *volume, "--draws", "100")["uncertainty"]["draws"] == 100
    assert report(selfhost, *STATED)["uncertainty"] is None  # without a volume there is no month
    status, _, err = selfhost(*STATED, *volume, "--draws", "5")
    assert (status, "100 to 100,000" in err) == (2, True)


def test_the_words_a_person_reads(selfhost):
    status, out, err = selfhost(*STATED, "--tokens-per-day", "10M", "--currency", "INR=93")
    assert (status, err) == (0, "")
    assert "$0.386 per million tokens when busy all day: $1.39/h (priced), 1,000 tokens/s (assumed)." in out
    assert "$3.34 per million at 10M a day: $1,014.70 a month for 1 replica used to 12 %." in out
    assert "above 7.63M a day" in out
    assert "Four times in five it stays at $3.34 per million" in out  # one replica carries 28.8M at that peak
    assert "₹94,367.10" in out  # 1,014.70 × 93, grouped the Indian way
    assert "No people's time is counted" in out
    assert "openai, genai-prices" in out
    people = ("--setup-hours", "20", "--upkeep-hours", "8", "--people-rate", "50")
    _, out, _ = selfhost(*STATED, "--tokens-per-day", "30M", *people)
    assert "What moves the price most" in out
    assert "people's hours" in out


def test_lakhs_and_crores(selfhost):
    _, out, _ = selfhost(*STATED, "--tokens-per-day", "300M", "--currency", "INR=93", "--compare", "gpt-4o")
    # 300M a day at 3:1 is 9,125 million a month × $4.375 = $39,921.875 × 93 = ₹37,12,734.38
    assert "₹37,12,734.38" in out


def test_an_invalid_bench_exits_1_and_says_why(selfhost, tmp_path):
    why = {"valid": False, "why_invalid": "client-bound"}
    bad = [level_of(ROWS, i, n).model_copy(update=why) for i, n in enumerate(USERS)]
    file = tmp_path / "result.json"
    file.write_text(result_of(ROWS, USERS, levels=bad, best_under_slo=None).model_dump_json(by_alias=True))
    status, out, err = selfhost("cost", file)
    assert (status, out) == (1, "")
    assert "client-bound" in err
    allowed = report(selfhost, "cost", file, "--allow-invalid")
    assert any("client-bound" in note for note in allowed["notes"])


def test_four_shapes_give_the_cost_of_each_kind_of_token(selfhost, tmp_path):
    files = []
    for k, (into, out) in enumerate(((8000, 400), (4000, 600), (1500, 700), (300, 750))):
        level = level_of(ROWS, 0, 1).model_copy(
            update={"input_tok_s": into, "output_tok_s": out, "input_tokens": into * 10, "output_tokens": out * 10}
        )
        file = tmp_path / f"{k}.json"
        document = result_of(ROWS, USERS, levels=(level,), best_under_slo=None)
        file.write_text(document.model_dump_json(by_alias=True))
        files.append(file)
    split = report(selfhost, "cost", *files, "--gpu-price", "3.60/h", "--input-share", "0.5")
    cost_in, cost_out = split["usd_per_mtok_input"], split["usd_per_mtok_output"]
    assert 0 < cost_in < cost_out
    assert split["usage_usd_per_mtok"] == pytest.approx((cost_in + cost_out) / 2)
    assert split["goodput_basis"] == "computed"
    assert split["usd_per_mtok_input_cached"] is None
    status, _, err = selfhost("cost", *files[:2], "--gpu-price", "1/h")
    assert status == 1
    assert "at least 4 mixes" in err


def test_a_prefix_cache_that_the_server_tells_of_is_priced_apart(selfhost, tmp_path):
    """Each second is 0.1 ms a new, 0.02 ms a cached and 1 ms an output token; $3.60/h is $0.001 a second."""
    files = []
    for k, (share, held) in enumerate(((0.2, 0.0), (0.5, 0.6), (0.8, 0.3), (0.9, 0.9), (0.95, 0.1))):
        speed = 1000 / (share * ((1 - held) * 0.1 + held * 0.02) + (1 - share) * 1)
        into, out = share * speed, (1 - share) * speed
        counts = {"input_tok_s": into, "output_tok_s": out, "input_tokens": int(into), "output_tokens": int(out)}
        server = ServerSide(source="vllm", prefix_hit_share=held)
        level = level_of(ROWS, 0, 1).model_copy(update=counts | {"server": server})
        file = tmp_path / f"{k}.json"
        document = result_of(ROWS, USERS, levels=(level,), best_under_slo=None)
        file.write_text(document.model_dump_json(by_alias=True))
        files.append(file)
    found = report(selfhost, "cost", *files, "--gpu-price", "3.60/h")
    assert found["usd_per_mtok_input"] == pytest.approx(0.10)
    assert found["usd_per_mtok_input_cached"] == pytest.approx(0.02)
    assert found["usd_per_mtok_output"] == pytest.approx(1.00)
    assert "$0.02 in from the prefix cache" in selfhost("cost", *files, "--gpu-price", "3.60/h")[1]


def test_out_writes_the_report_with_the_cost_in_it(selfhost, bench, tmp_path):
    status, _, err = selfhost("cost", bench, "--tokens-per-day", "1M", "--out", tmp_path / "told")
    assert status == 0, err
    assert {f.name for f in (tmp_path / "told").iterdir()} == {"cost.json", "cost.csv", "report.html", "report.md"}
    page = (tmp_path / "told" / "report.html").read_text()
    assert "What a million tokens costs" in page
    assert "Speed against load" in page
    assert json.loads((tmp_path / "told" / "cost.json").read_text())["kind"] == "cost_report"


def test_out_without_a_bench_writes_a_page_of_cost(selfhost, tmp_path):
    status, _, err = selfhost(*STATED, "--tokens-per-day", "10M", "--out", tmp_path / "told")
    assert status == 0, err
    assert {f.name for f in (tmp_path / "told").iterdir()} == {"cost.json", "cost.csv", "cost.html", "cost.md"}
    assert "self-hosting costs $1,014.70 a month" in (tmp_path / "told" / "cost.html").read_text()
    table = (tmp_path / "told" / "cost.csv").read_bytes()
    assert table.startswith(b"\xef\xbb\xbfoption,")  # the mark by which Excel knows UTF-8
    assert "1 × $1.39/h × 730 h".encode() in table


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["cost"], "there is no speed to price"),
        (["cost", "--goodput", "1000"], "machine's price"),
        ([*STATED[:3], "--gpu-price", "0/h"], "not above zero"),
        ([*STATED[:3], "--gpu-price", "-1/h"], "not a price per time"),
        ([*STATED[:3], "--gpu-price", "nan/h"], "not a price per time"),
        ([*STATED[:3], "--gpu-price", "900/h"], "above any known rental"),
        (["cost", "--goodput", "nan", "--gpu-price", "1/h"], "not above zero"),
        (["cost", "--goodput", "-3", "--gpu-price", "1/h"], "not above zero"),
        ([*STATED, "--tokens-per-day", "ten"], "not a volume"),
        ([*STATED, "--tokens-per-day", "0"], "out of range"),
        ([*STATED, "--tokens-per-day", "900B"], "replicas"),
        ([*STATED, "--input-share", "75"], "the input share is 75.0; it must be from 0 to 1"),
        ([*STATED, "--input-share", "nan"], "the input share is nan"),
        ([*STATED, "--peak-ratio", "0.5"], "the peak ratio is 0.5"),
        ([*STATED, "--spare", "-1"], "spare replicas"),
        ([*STATED, "--gpus", "0"], "0 devices"),
        ([*STATED, "--setup-hours", "20"], "without their price"),
        ([*STATED, "--people-rate", "50"], "without hours"),
        ([*STATED, "--upkeep-hours", "-8", "--people-rate", "50"], "upkeep hours is -8.0"),
        ([*STATED, "--watts", "400"], "both its power and its price"),
        ([*STATED, "--pue", "1.2"], "both its power and its price"),
        ([*STATED, "--watts", "400", "--usd-per-kwh", "0.1", "--pue", "0.9"], "the PUE is 0.9"),
        ([*STATED, "--currency", "INR"], "not a currency with its rate"),
        ([*STATED, "--currency", "INR=0"], "not above zero"),
        ([*STATED, "--currency", "XQZ=3"], "unknown currency 'XQZ'"),
        ([*STATED, "--compare", "gtp-4o"], "did you mean gpt-4o"),
        ([*STATED, "--compare", ","], "no API was named"),
        (["cost", "nowhere.json"], "no such file"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_2(selfhost, args, says):
    status, out, err = selfhost(*args)
    assert (status, out) == (2, "")
    assert says in err
    assert "Traceback" not in err
    assert err.startswith("error: ")


def test_files_that_are_no_bench_result(selfhost, tmp_path):
    file = tmp_path / "x.json"
    for content, says in (
        ("", "is no JSON"),
        ("[]", "is no JSON object"),
        ("{}", "without a kind"),
        ('{"kind": "memory_plan", "schema_version": 1}', "is a memory_plan; needed: bench_result"),
        ('{"kind": "bench_result", "schema_version": 99}', "schema version 99"),
        ('{"kind": "bench_result", "schema_version": 1}', "target"),
        ('{"kind": "bench_result", "schema_version": 1, "seed": NaN}', "x.json"),
    ):
        file.write_text(content)
        status, _, err = selfhost("cost", file)
        assert status == 2, content
        assert says in err


def test_results_of_two_models_are_not_mixed(selfhost, tmp_path):
    for i, model in enumerate(("a", "b")):
        (tmp_path / f"{i}.json").write_text(result_of(ROWS, USERS, model=model).model_dump_json(by_alias=True))
    status, _, err = selfhost("cost", tmp_path / "0.json", tmp_path / "1.json")
    assert status == 2
    assert "different models: a, b" in err


def test_as_a_process_with_a_loaded_result(bench):
    done = subprocess.run(
        [sys.executable, "-m", "toolkit.cli.main", "cost", str(bench), "--json"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kind"] == "cost_report"
    assert done.stderr == ""


@pytest.fixture
def deployment(tmp_path):
    """A folder as `selfhost deploy` leaves it: three replicas of two H100."""
    folder = tmp_path / "deployed"
    folder.mkdir()
    golden = Path(__file__).parent / "golden" / "deploy" / "kubernetes" / "deployment.json"
    about = json.loads(golden.read_text()) | {"replicas": 3, "gpu": "H100-SXM-80GB", "gpus_per_replica": 2}
    (folder / "deployment.json").write_text(json.dumps(about))
    return folder


def test_a_deployment_is_priced_with_its_replicas_and_hardware(selfhost, deployment):
    status, out, _ = selfhost(
        "cost", deployment, "--goodput", "1000", "--gpu-price", "2/h", "--tokens-per-day", "50M", "--json"
    )
    report = json.loads(out)
    assert status == 0
    # 3 replicas × 2 devices × $2 × 730 h = $8,760; 50M / 86,400 s = 578.7 of 3,000 tokens/s
    assert float(report["monthly_usd"]["compute"]) == 8760
    assert report["replicas"] == 3
    assert float(report["utilisation"]) == pytest.approx(578.7 / 3000, rel=1e-3)


def test_a_deployment_too_small_for_the_volume_is_not_priced(selfhost, deployment):
    # 300M a day are 3,472 tokens/s, and three replicas of 1,000 stand there
    status, _, err = selfhost("cost", deployment, "--goodput", "1000", "--gpu-price", "2/h", "--tokens-per-day", "300M")
    assert status == 1
    assert "cannot serve" in err


def test_a_deployment_alone_has_no_speed(selfhost, deployment):
    status, _, err = selfhost("cost", deployment, "--tokens-per-day", "10M")
    assert status == 2
    assert "no speed" in err
