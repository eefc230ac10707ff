"""The flags of `selfhost cost` beyond a rented machine that is always on: each worked by hand, each refused.

The example throughout: 1,000 tokens/s, $1.39/h, 10M tokens a day, which is 304.1667 million a month of 730 hours.
"""

# ruff: noqa: F811 - the fixtures are arguments of the tests
import json
from pathlib import Path

import pytest

from tests.test_cli_cost import STATED, bench, report, selfhost  # noqa: F401 - fixtures

VOLUME = ("--tokens-per-day", "10M")
BARE = ("cost", "--goodput", "1000")


def compute(document):
    return document["monthly_usd"]["compute"]


def price(document, name):
    return next(a["usd_per_mtok"] for a in document["alternatives"] if a["name"] == name)


def test_opening_hours(selfhost):
    # Five days of 12 hours are 60 h of a week's 168: 730 × 60 / 168 = 260.71 h × 1.39 = 362.39
    open_only = report(selfhost, *STATED, *VOLUME, "--schedule", "mon-fri 8-20")
    assert compute(open_only) == pytest.approx(362.39, abs=0.005)
    assert open_only["peak_ratio"] == pytest.approx(3)  # at least 730 / 260.71 = 2.8, and 3 was assumed
    # and 5 × 730 / 168 = 21.73 starts of 6 minutes: 2.17 h × 1.39 = 3.02
    with_starts = report(selfhost, *STATED, *VOLUME, "--schedule", "mon-fri 8-20", "--cold-start-minutes", "6")
    assert compute(with_starts) == pytest.approx(362.39 + 3.02, abs=0.01)


def test_scale_to_zero(selfhost):
    zero = ("--hours-per-month", "100", "--starts", "20", "--cold-start-minutes", "3")
    # 100 h and 20 × 3 min = 1 h: 101 × 1.39 = 140.39; all load in 100 of 730 h is at least 7.3 times the mean
    found = report(selfhost, *STATED, *VOLUME, *zero)
    assert compute(found) == pytest.approx(140.39)
    assert (found["peak_ratio"], found["peak_ratio_basis"]) == (pytest.approx(7.3), "computed")


def test_spot_mixed_with_on_demand_and_interrupted(selfhost):
    mixed = report(selfhost, *STATED, "--spot-price", "0.45/h", "--spot-share", "0.7")
    assert mixed["usd_per_gpu_hour"] == pytest.approx(0.732)  # 0.7 × 0.45 + 0.3 × 1.39
    stops = ("--interruptions", "4", "--restart-minutes", "10", "--redo-minutes", "20")
    # four times half an hour is paid and serves nothing: 732 h × 0.45
    assert compute(report(selfhost, *STATED, *VOLUME, "--spot-price", "0.45/h", *stops)) == pytest.approx(329.40)


def test_spot_at_the_dated_median(selfhost):
    spot, on_demand = (report(selfhost, *BARE, "--gpu", "A10G", *kind) for kind in (("--spot",), ()))
    assert spot["usd_per_gpu_hour"] < on_demand["usd_per_gpu_hour"]
    assert "spot" in spot["price_how"]
    assert "A10G" in spot["price_how"]


def test_own_hardware(selfhost):
    bought = report(selfhost, *BARE, *VOLUME, "--buy", "25k", "--years", "3", "--residual", "0.2")
    assert bought["usd_per_gpu_hour"] == pytest.approx(25_000 * 0.8 / (3 * 8760))  # 0.761
    assert bought["hardware"] == "owned"
    assert compute(bought) == pytest.approx(20_000 / 36)  # in months: 555.56
    assert any("without electricity" in note for note in bought["notes"])
    listed = report(selfhost, *BARE, "--buy", "list", "--gpu", "RTX4090")
    assert listed["usd_per_gpu_hour"] == pytest.approx(1599 / (3 * 8760))  # NVIDIA's price at launch, 2022-10-12


def test_other_money(selfhost):
    other = ("--other", "storage=500*0.08", "--other", "cache=40*0.1 per replica", "--other", "egress=0.02 per mtok")
    found = report(selfhost, *STATED, *VOLUME, *other, "--on-call", "300")
    # storage 40, cache 4, egress 304.1667 × 0.02 = 6.0833
    assert found["monthly_usd"]["other"] == pytest.approx(50.0833, abs=1e-4)
    assert found["monthly_usd"]["people"] == pytest.approx(300)
    assert found["monthly_usd"]["total"] == pytest.approx(1014.70 + 50.0833 + 300, abs=1e-3)
    assert {"storage", "cache", "egress"} <= {line["what"] for line in found["monthly_lines"]}


def test_terms_of_apis(selfhost):
    def gpt(*flags, name="gpt-4o"):
        return price(report(selfhost, *STATED, "--compare", name, *flags), name)

    # list price per million: 2.50 in, 1.25 cached, 10 out; batch at half
    assert gpt("--cached-share", "0.5") == pytest.approx(0.75 * 1.875 + 0.25 * 10)
    # claude-sonnet-4-5: 3.75 to write to its cache, 3 in, 0.30 read, 15 out
    words = ("--cached-share", "0.6", "--cache-write-share", "0.1")
    sonnet = 0.75 * (0.3 * 3 + 0.6 * 0.3 + 0.1 * 3.75) + 0.25 * 15
    assert gpt(*words, name="claude-sonnet-4-5") == pytest.approx(sonnet)
    assert gpt("--batch") == gpt(name="gpt-4o@batch") == pytest.approx(4.375 / 2)
    assert gpt("--retries", "0.1") == pytest.approx(4.375 * 1.1)


def test_classes_of_requests(selfhost):
    found = report(selfhost, *STATED, "--requests", "600/200x7,9000/400x3", "--compare", "gpt-4o")
    # in 7 × 600 + 3 × 9,000 = 31,200; out 7 × 200 + 3 × 400 = 2,600
    assert found["input_share"] == pytest.approx(31_200 / 33_800)
    assert price(found, "gpt-4o") == pytest.approx((31_200 * 2.5 + 2_600 * 10) / 33_800)


def test_prices_of_ones_own(selfhost, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[[api_model]]\nname = "gpt-4o"\nprovider = "reseller"\nmodel = "gpt-4o"\nusd_per_mtok_input = 2\n'
        'usd_per_mtok_output = 8\nsource = "our contract"\nchecked = 2026-11-01\n'
    )
    found = report(selfhost, *STATED, "--compare", "gpt-4o", "--prices", mine)["alternatives"][0]
    assert found["usd_per_mtok"] == pytest.approx(0.75 * 2 + 0.25 * 8)
    assert (found["provider"], found["price_date"]) == ("reseller", "2026-11-01")
    assert "our contract" in found["note"]
    litellm = tmp_path / "prices.json"
    litellm.write_text(
        json.dumps({"acme/fast": {"input_cost_per_token": 2e-6, "output_cost_per_token": 6e-6, "mode": "chat"}})
    )
    found = report(selfhost, *STATED, "--compare", "acme/fast", "--prices", litellm)["alternatives"][0]
    assert found["usd_per_mtok"] == pytest.approx(0.75 * 2 + 0.25 * 6)
    row = {"input_cost_per_token": 2e-6, "output_cost_per_token": 6e-6, "cache_creation_input_token_cost": 2.5e-6}
    litellm.write_text(json.dumps({"acme/fast": row}))
    words = ("--compare", "acme/fast", "--prices", litellm, "--cache-write-share", "0.5")
    found = report(selfhost, *STATED, *words)["alternatives"][0]
    assert found["usd_per_mtok"] == pytest.approx(0.75 * (0.5 * 2 + 0.5 * 2.5) + 0.25 * 6)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.toml", "[[api_model]]\n", "api_model[1]"),
        ("p.toml", "gpt = 3\n", "gpt is unknown"),
        ("p.toml", "", "has no API price"),
        ("p.toml", "= 3", "is not TOML"),
        ("p.json", '{"m": {"input_cost_per_token": -1, "output_cost_per_token": 1}}', "not below zero"),
        ("p.json", '{"m": {"input_cost_per_token": NaN, "output_cost_per_token": 1}}', "a price is finite"),
        ("p.json", '{"m": {"input_cost_per_token": "x", "output_cost_per_token": 1}}', "not a price"),
        ("p.json", "[]", "no JSON object"),
        ("p.json", "\x00", "is no JSON"),
    ],
)
def test_a_price_file_that_is_none(selfhost, tmp_path, name, content, says):
    file = tmp_path / name
    file.write_text(content)
    status, out, err = selfhost(*STATED, "--prices", file)
    assert (status, out) == (2, "")
    assert says in err


def test_good_answers(selfhost, tmp_path):
    file = tmp_path / "quality.toml"
    file.write_text(
        "failure_usd = 0.05\nanswers = [\n"
        '  { name = "self-hosted", right = 0.84 },\n  { name = "gpt-4o", right = 0.89 },\n]\n'
    )
    found = report(selfhost, *STATED, *VOLUME, "--compare", "gpt-4o", "--quality", file)["good_answers"]
    assert {a["name"]: a["good_share"] for a in found} == {"self-hosted": 0.84, "gpt-4o": 0.89}
    # 1,000 tokens of gpt-4o are $0.004375; one in nine fails at $0.05: (0.004375 + 0.11 × 0.05) / 0.89
    dear = next(a for a in found if a["name"] == "gpt-4o")
    assert dear["usd_per_good_answer"] == pytest.approx((0.004375 + 0.11 * 0.05) / 0.89)
    file.write_text("answers = [{ name = 'gpt-4o', right = 0.9 }, { name = 'gpt-4o', right = 0.8 }]\n")
    assert "gpt-4o is given twice" in selfhost(*STATED, *VOLUME, "--quality", file)[2]
    file.write_text("faliure_usd = 0.05\n")
    status, _, err = selfhost(*STATED, *VOLUME, "--quality", file)
    assert (status, "faliure_usd" in err) == (2, True)


def test_the_last_day_of_a_model_is_told(selfhost):
    """OpenAI switched gpt-3.5-turbo off on 2026-10-23 and announced 2027-01-14 for gpt-4o."""
    document = report(selfhost, *STATED, "--compare", "gpt-3.5-turbo,gpt-4o")
    assert [a["retires"] for a in document["alternatives"]] == ["2026-10-23", "2027-01-14"]
    _, out, _ = selfhost(*STATED, "--compare", "gpt-3.5-turbo,gpt-4o")
    assert "last day 2026-10-23; " in out
    assert "the provider recommends gpt-5.6-terra" in out
    assert "gpt-3.5-turbo on 2026-10-23, gpt-4o on 2027-01-14" in out


def test_the_migration_page(selfhost):
    """Every figure of docs/migration.md's decision, from the command it gives.

    8M a day are 243.33M a month. $0.4423 × 730 h = $322.88; 24 h ÷ 24 months and 4 h at $50 are $250. At 95 % input:
    gpt-3.5-turbo 0.95 × 0.50 + 0.05 × 1.50 = $0.55, gpt-4o-mini 0.95 × 0.15 + 0.05 × 0.60 = $0.1725, DeepInfra $0.0205.
    572.88 ÷ 0.55 ÷ 30.4167 = 34.24M; two replicas (895.76) ÷ 0.55 ÷ 30.4167 = 53.54M; one carries 43.2M.
    """
    page = (Path(__file__).parents[1] / "docs" / "migration.md").read_text()
    command = page.split("selfhost cost ", 1)[1].split("```", 1)[0].replace("\\\n", " ")
    found = report(selfhost, "cost", *command.split())
    assert found["monthly_usd"]["total"] == pytest.approx(572.88, abs=0.005)
    assert found["utilisation"] == pytest.approx(8 / 129.6)
    month = {a["name"]: a["usd_per_month"] for a in found["alternatives"]}
    assert month == pytest.approx(
        {
            "gpt-3.5-turbo": 133.83,
            "gpt-4o-mini": 41.98,
            "together:llama-3.1-8b": 43.80,
            "deepinfra:llama-3.1-8b": 4.99,
        },
        abs=0.006,
    )
    wins = found["alternatives"][0]["self_host_wins_tokens_per_day"]
    assert [[round(edge / 1e6, 1) if edge else None for edge in one] for one in wins[:1]] == [[34.2, 43.2]]
    assert round(wins[1][0] / 1e6, 1) == 53.5
    for figure in ("$572.88", "$133.83", "$41.98", "$43.80", "$4.99", "34.2M–43.2M", "53.5M"):
        assert figure in page


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([*STATED, "--schedule", "mon-fry 8-20"], "names no day"),
        ([*STATED, "--schedule", "mon 8-20", "--hours-per-month", "9"], "already say how long"),
        ([*STATED, "--hours-per-month", "1000"], "above 0 and at most 730"),
        ([*STATED, "--hours-per-month", "nan"], "above 0 and at most 730"),
        ([*STATED, "--hours-per-month", "9", "--starts", "2"], "without the minutes"),
        ([*STATED, "--starts", "2", "--cold-start-minutes", "2"], "without the hours"),
        ([*STATED, "--cold-start-minutes", "2"], "never starts"),
        ([*STATED, "--spot-price", "1.50/h"], "is not below on demand"),
        ([*STATED, "--spot-price", "1.39/h"], "is not below on demand"),
        ([*STATED, "--spot-price", "-1/h"], "not a price per time"),
        ([*STATED, "--spot-price", "0/h"], "not above zero"),
        ([*STATED, "--spot"], "a spot price is needed"),
        ([*STATED, "--spot-share", "2"], "the spot share is 2.0"),
        ([*BARE, "--spot-price", "0.4/h", "--spot-share", "0.5"], "says nothing about the machine"),
        ([*STATED, "--interruptions", "4"], "without what one costs"),
        ([*STATED, "--interruptions", "4", "--restart-minutes", "-2"], "is -2.0"),
        ([*STATED, "--interruptions", "9999", "--restart-minutes", "999"], "9,999 interruptions of 999 minutes"),
        ([*STATED, "--redo-minutes", "9"], "not how many there are"),
        ([*BARE, "--gpu", "A10G:2", "--gpus", "3"], "given twice"),
        ([*BARE, "--gpu", "A11G"], "did you mean A10G"),
        ([*BARE, "--gpu", "H100"], "fits several GPUs"),
        ([*STATED, "--buy", "25000"], "either bought or rented"),
        ([*BARE, "--buy", "-5"], "not a price in dollars"),
        ([*BARE, "--buy", "nan"], "not a price in dollars"),
        ([*BARE, "--buy", "list"], "no dated purchase price"),
        ([*BARE, "--buy", "9k", "--years", "0"], "the years of use is 0.0"),
        ([*BARE, "--buy", "9k", "--residual", "1"], "costs nothing"),
        ([*STATED, "--years", "3"], "nothing is bought"),
        ([*STATED, "--other", "storage"], "is not other money"),
        ([*STATED, "--other", "storage=-5"], "storage comes to -5.00 dollars"),
        ([*STATED, "--other", "storage=nan"], "is not arithmetic"),
        ([*STATED, "--other", "storage=1/0"], "has no value"),
        ([*STATED, "--other", "storage=5 per year"], "is not other money"),
        ([*STATED, "--on-call", "-3"], "on-call pay"),
        ([*STATED, "--cached-share", "2"], "the cached share is 2.0"),
        ([*STATED, "--cache-write-share", "-0.1"], "the share written to the cache is -0.1"),
        ([*STATED, "--cached-share", "0.8", "--cache-write-share", "0.3"], "more than all of it"),
        ([*STATED, "--retries", "nan"], "the share of retried requests is nan"),
        ([*STATED, "--requests", "600/"], "is not a class of requests"),
        ([*STATED, "--requests", "600/200x0"], "makes no sense"),
        ([*STATED, "--requests", "600/200", "--input-share", "0.5"], "already say the share"),
        ([*STATED, "--compare", "gpt-4o@batsh"], "did you mean batch"),
        ([*STATED, "--compare", "claude-sonnet-4-5@flex"], "It has batch"),
        ([*STATED, "--compare", "opnai:gpt-4o"], "did you mean openai:gpt-4o"),
        ([*STATED, "--tokens-per-day", "500B"], "17,362 replicas"),  # 500e9 / 86,400 × 3 / 1,000 = 17,361.1
        ([*STATED, "--currency", "INR=nan"], "not a currency with its rate"),
        ([*STATED, "--currency", "INR=93@yesterday"], "is not a date"),
        ([*STATED, "--horizon-months", "0", "--setup-hours", "5", "--people-rate", "50"], "the horizon"),
        ([*STATED, "--people-rate", "inf", "--setup-hours", "5"], "the people's rate is inf"),
        ([*BARE[:1], "--goodput", "1e308", "--gpu-price", "1/h"], "is not from 0.001 to 100,000,000"),
        ([*STATED, "--quality", "nowhere.toml"], "no such file"),
        ([*STATED, "--setup-hours", "1e308", "--people-rate", "1e308"], "set-up hours is 1e+308"),
        ([*STATED, "--watts", "1e300", "--usd-per-kwh", "1e300"], "the power in watts is 1e+300"),
        ([*STATED, "--on-call", "1e300"], "on-call pay a month is 1e+300"),
        ([*STATED, "--horizon-months", "1e-300", "--setup-hours", "5", "--people-rate", "5"], "the horizon"),
        ([*STATED, "--hours-per-month", "1e-300"], "the hours per month is 1e-300"),
        ([*STATED, "--interruptions", "5", "--restart-minutes", "1e300"], "the restart in minutes is 1e+300"),
        ([*STATED, "--currency", f"INR={'9' * 60}"], "a thousand million"),
        ([*BARE, "--gpu-price", f"0.{'0' * 50}1/h"], "below any known rental"),
        ([*BARE, "--buy", "0.0001"], "not from one dollar"),
        ([*STATED, "--tokens-per-day", "١٠M"], "is not a volume"),
        ([*BARE, "--gpu-price", "١.٣٩/h"], "not a price per time"),
        ([*STATED, "--requests", "٦٠٠/٢٠٠"], "is not a class of requests"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(selfhost, args, says):
    status, out, err = selfhost(*args)
    assert (status, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


def test_results_that_do_not_belong_together(selfhost, bench, tmp_path):
    document = json.loads((bench / "result.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    for change, says in (
        ({"slo": "ttft_p95<1s"}, "different service levels"),
        ({"levels": []}, "has no level"),
    ):
        (other / "result.json").write_text(json.dumps(document | change))
        status, out, err = selfhost("cost", bench, other)
        assert status in (1, 2)
        assert out == ""
        assert says in err
    assert "given twice" in selfhost("cost", bench, bench)[2]
    (other / "result.json").write_bytes(b"")
    assert selfhost("cost", other)[0] == 2


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"input_tokens": 0, "output_tokens": 0}, 2, "that is no measurement"),
        ({"input_tokens": -10}, 2, "that is no measurement"),
        ({"goodput_total_tok_s": 1e308}, 2, "that is no measurement"),
        ({"goodput_total_tok_s": 1e-300}, 2, "that is no measurement"),
        ({"goodput_total_tok_s": -5}, 1, "no request of this bench met"),
        ({"goodput_total_tok_s": float("nan")}, 2, "finite number"),
        ({"goodput_total_tok_s": None}, 2, "valid number"),
    ],
)
def test_a_result_that_makes_no_sense(selfhost, bench, change, status, says):
    document = json.loads((bench / "result.json").read_text())
    document["levels"] = [level | change for level in document["levels"]]
    if document["best_under_slo"]:
        document["best_under_slo"] |= change
    (bench / "result.json").write_text(json.dumps(document))
    found, out, err = selfhost("cost", bench, "--tokens-per-day", "10M")
    assert (found, out) == (status, "")
    assert says in err
    assert "internal" not in err


def test_a_copied_result_is_no_second_run(selfhost, bench, tmp_path):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "result.json").write_bytes((bench / "result.json").read_bytes())
    status, out, err = selfhost("cost", bench, tmp_path / "copy")
    assert (status, out) == (2, "")
    assert "is a copy of another" in err


def test_repetitions_of_which_one_is_empty(selfhost, bench, tmp_path):
    document = json.loads((bench / "result.json").read_text())
    nothing = {"input_tok_s": 0, "output_tok_s": 0}
    document["levels"] = [level | nothing for level in document["levels"]]
    document["best_under_slo"] |= nothing
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "result.json").write_text(json.dumps(document))
    status, out, err = selfhost("cost", bench, tmp_path / "empty")
    assert (status, out) == (2, "")
    assert "no tokens per second" in err
