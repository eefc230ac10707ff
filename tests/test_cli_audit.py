"""`selfhost audit` as a user meets it: the article's claims, a file, flags, and what is refused."""

import json
import sys

import pytest

from toolkit.cli.main import run


@pytest.fixture
def audit(monkeypatch, capsys, tmp_path):
    """Run the command; returns (exit status, stdout, stderr)."""
    monkeypatch.setenv("SELFHOST_HOME", str(tmp_path / "home"))

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["selfhost", "audit", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            run()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return call


ARTICLE = {
    # what the claim says → (verdict, text of the reason): the design's audit table, worked out beside it
    "300M a month": ("holds", "304,166,667"),
    "62 %": ("holds", "62.07 %"),
    "₹41,850": ("holds", "41,850"),
    "₹25,110": ("holds", "25,110"),
    "₹6,975": ("holds", "6,975"),
    "₹16,740": ("holds", "16,740"),
    "₹26,970": ("holds", "26,970"),
    "₹10,230": ("holds", "10,230"),
    "1,333 tokens": ("holds", "1,333"),
    "GPT-4o at 300M": ("cannot_hold", "$750.00 if every token were the cheaper kind, $1,312.50 at 3:1"),
    "Claude Sonnet at 300M": ("cannot_hold", "$900.00 if every token were the cheaper kind, $1,800.00 at 3:1"),
    "Gemini Flash at 300M": ("depends", "gemini-2.0-flash: $75.00 is the price at 50 % input"),
    "A100 spot": ("depends", "costs $1,460–2,190 a month: it holds only for 60–90 h a month at 926–1,389 tokens/s"),
    "A10G spot": ("cannot_hold", "$0.151 per hour"),
    "one threshold": ("cannot_hold", "30 times off"),
    "pays above 5M tokens a day": ("depends", "4M against GPT-4o, 6.667M against Claude Sonnet, 12M against Mistral"),
    "pays above 5M tokens a month": ("cannot_hold", "below every break-even"),
    "20 hours of set-up": ("cannot_hold", "20 hours, not 40"),
    "2 GB of VRAM per billion": ("cannot_hold", "0.53–0.61 GB per billion; 2 is FP16"),
    "8B model runs on one 16 GB": ("holds", "GiB"),
    "8B model runs on one A10G": ("holds", "GiB"),
    "70B model at 4 bits runs in 48 GB": ("holds", "of the 48.0 GiB"),
    "A100 80GB runs a 70B": ("holds", "GiB"),
    "89 %": ("depends", "more than 100× the cheap model's request"),
    "measure 85 %": ("depends", "± 4.9 points"),
    "tell 84 %": ("depends", "343–626"),
}


def test_the_article(audit):
    status, out, err = audit("article", "--json")
    assert (status, err) == (1, "")
    document = json.loads(out)
    assert (document["kind"], document["schema_version"]) == ("audit", 1)
    assert len(document["claims"]) == len(ARTICLE)
    for words, (verdict, reason) in ARTICLE.items():
        found = [c for c in document["claims"] if words in c["claim"]]
        assert len(found) >= 1, words
        assert any(c["verdict"] == verdict and reason in c["because"].replace("1333", "1,333") for c in found), words
    assert all(c["arithmetic"] for c in document["claims"])
    flash = next(c for c in document["claims"] if c["claim"].startswith("Gemini Flash at"))["implied"]
    assert flash["gemini-1.5-flash usd_per_month_3_to_1"] == pytest.approx(39.375)
    assert flash["gemini-2.5-flash usd_per_month_3_to_1"] == pytest.approx(255)


def test_the_words_a_person_reads(audit):
    status, out, _ = audit("article")
    assert status == 1
    assert "cannot hold  GPT-4o at 300M tokens a month costs $450" in out
    assert "· $180.00 ÷ 730 h = $0.247 per hour" in out
    assert out.rstrip().endswith("26 claims: 13 holds, 6 depends, 7 cannot hold.")


def test_flags_make_every_claim_they_state(audit):
    status, out, err = audit(
        "--model", "llama-3-70b", "--quant", "Q4_K_M", "--hardware", "A100-SXM-80GB",
        "--usd-per-month", 180, "--tokens-per-day", "10M", "--api", "gpt-4o", "--json",
    )  # fmt: skip
    assert status == 0, err
    claims = json.loads(out)["claims"]
    assert [c["verdict"] for c in claims] == ["holds", "depends", "holds"]
    # 180 dollars are 180 / (30.4167 × 4.375) = 1.353M tokens a day of gpt-4o
    assert claims[2]["implied"]["tokens_per_day gpt-4o"] == pytest.approx(1.3526e6, rel=1e-4)


@pytest.mark.parametrize(
    ("flags", "status", "text"),
    [
        (("--model", "llama-3-70b", "--hardware", "A10G"), 1, "cannot hold  llama-3-70b runs on A10G"),
        (("--model", "llama-3-8b", "--quant", "Q4_K_M", "--vram-gib", 8), 0, "holds        llama-3-8b in Q4_K_M runs"),
        (("--hardware", "A10G:2", "--usd-per-hour", 0.5), 1, "$0.500 per hour is below"),
        (("--hardware", "A10G", "--usd-per-hour", 50), 0, "holds"),
        (("--api", "gpt-4o", "--usd-per-month", 450, "--tokens-per-day", "10M"), 1, "$760.42"),  # 304.1667 × 2.50
        (("--usd-per-month", 180, "--tokens-per-day", "10M"), 0, "$0.5918 per million"),  # 180 / 304.1667
        (("--model", "llama-3-70b", "--hardware", "A100-SXM-80GB"), 0, "It depends on the weight format"),
        (("--usd-per-hour", 20, "--tokens-per-day", "1B"), 0, "$14,600.00 ÷ 30,417M tokens = $0.4800 per million"),
        (
            ("--api", "gemini-1.5-flash-8b", "--usd-per-month", 9, "--tokens-per-day", "9M"),
            1,
            "(google:gemini-1.5-flash)",
        ),
        (("--api", "gpt-4o", "--usd-per-month", 1, "--tokens-per-day", "300M/month"), 1, "at 300M tokens a month"),
    ],
)
def test_one_claim_by_flags(audit, flags, status, text):
    found, out, err = audit(*flags)
    assert (found, err) == (status, "")
    assert text in out


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "one claim at a time"),
        (("article", "--api", "gpt-4o"), "one claim at a time"),
        (("artikle",), "did you mean article?"),
        (("--usd-per-month", 5), "nothing follows from usd per month"),
        (("--hardware", "A10G", "--usd-per-hour", 1, "--api", "gpt-4o"), "nothing follows from api"),
        (("--hardware", "A10", "--usd-per-hour", "nan"), "finite"),
        (("--hardware", "A10", "--usd-per-hour", -1), "greater than 0"),
        (("--hardware", "A100X", "--usd-per-hour", 1), "unknown GPU"),
        (("--api", "gpt-4oo", "--usd-per-month", 1, "--tokens-per-day", "1M"), "did you mean gpt-4o"),
        (("--api", "gpt-4o", "--usd-per-month", 1, "--tokens-per-day", "many"), "not a volume"),
        (("--claims", "no-such.toml"), "no such file"),
    ],
)
def test_bad_input_is_one_line(audit, args, text):
    status, out, err = audit(*args)
    assert (status, out) == (2, "")
    assert text in err
    assert "Traceback" not in err


def test_a_file_of_claims(audit, tmp_path):
    file = tmp_path / "claims.toml"
    file.write_text(
        'source = "a blog"\n[[claim]]\nclaim = "10/2 is 5"\nkind = "arithmetic"\ncompute = "10/2"\nsays = "5"\n'
    )
    status, out, _ = audit("--claims", file)
    assert status == 0
    assert "Claims: a blog" in out
    file.write_text(file.read_text().replace("compute", "computes"))
    status, _, err = audit("--claims", file)
    assert status == 2
    assert "did you mean compute" in err
    file.write_text("source = [")
    assert "is not TOML" in audit("--claims", file)[2]
