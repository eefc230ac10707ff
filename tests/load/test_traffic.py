"""Ramps, traces, own prompts, listed lengths and conversations: read, planned, sent."""

from __future__ import annotations

import json
from itertools import islice, pairwise
from pathlib import Path

import pytest

from bench.arrivals import ramp
from tests.cli.run import document, error_of
from tests.load.made import row
from tests.load.mock import Mock, spec, workload
from toolkit.errors import InputError
from toolkit.load.lengths import draw_lengths, parse, read_pairs, sample
from toolkit.load.material import buckets
from toolkit.load.metrics import breaks_at
from toolkit.load.own_prompts import read_own_prompts
from toolkit.load.rows import Row, read_rows
from toolkit.load.run import run
from toolkit.load.slo import parse as slo
from toolkit.load.spec import LoadLevel
from toolkit.load.trace import read_trace
from toolkit.types import Lengths

FAST = {"ttft_s": 0.05, "itl_s": 0.01}


def file_of(folder: Path, text: str, name: str = "file.jsonl") -> Path:
    path = folder / name
    path.write_text(text)
    return path


# --- ramp ---


def test_a_ramp_by_hand() -> None:
    """From 0 to 10/s in 10 s: n(t) = t²/2, so the k-th leaves at √(2k), the last at √100; 50 and the first at 0."""
    times = list(ramp(0, 10, 10, "constant", 0))
    assert times == pytest.approx([(2 * k) ** 0.5 for k in range(51)])
    flat = list(ramp(5, 5, 2, "constant", 0))
    assert flat == pytest.approx([k / 5 for k in range(11)])
    down = list(ramp(10, 0, 10, "constant", 0))
    assert len(down) == 51
    assert down[-1] == pytest.approx(10)


def test_a_ramp_holds_its_first_rate_before_it_begins() -> None:
    times = list(ramp(2, 4, 4, "constant", 0, hold=3))
    assert times[:7] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3])
    assert times[-1] <= 7
    assert len(times) == 6 + 12 + 1


def test_a_random_ramp_has_its_rate_and_its_seed() -> None:
    """1,000 requests are due in the first half of 0 → 40/s over 100 s (t²/5 at 50: 500) and 1,500 in the second."""
    times = list(ramp(0, 40, 100, "poisson", 3))
    assert sum(t < 50 for t in times) == pytest.approx(500, abs=80)
    assert len(times) == pytest.approx(2000, abs=150)
    assert times == list(ramp(0, 40, 100, "poisson", 3)) != list(islice(ramp(0, 40, 100, "poisson", 4), len(times)))


def test_where_a_ramp_breaks() -> None:
    """1 → 11/s in 10 s. From 6 s on the first token takes 1 s: the seventh tenth begins at rate 1 + 10 × 0.6 = 7."""
    load = LoadLevel(rate=6, ramp=(1, 11), duration_s=10)
    rows = [row(t / 2, (t / 2 + (0.1 if t < 12 else 1.0),)) for t in range(20)]
    assert breaks_at(rows, load, slo("ttft_p95<500ms")) == pytest.approx(7)
    assert breaks_at(rows[:12], load, slo("ttft_p95<500ms")) is None
    assert breaks_at(rows, load, None) is None


@pytest.mark.slow
def test_a_ramp_beyond_capacity_counts_from_the_schedule(mock: Mock, tmp_path: Path) -> None:
    """One slot of 0.12 s serves 8.3/s. 2 → 30/s in 2 s asks 32 requests: the last waits about 32 × 0.12 − 2 = 1.8 s."""
    mock.set(**FAST, slots=1)
    load = LoadLevel(rate=16, ramp=(2, 30), duration_s=2)
    result = run(spec(mock.url, levels=(load,), slo="ttft_p95<300ms", max_in_flight=4), tmp_path)
    (level,) = result.levels
    rows = [r for r in read_rows(tmp_path / "requests.jsonl") if not r.warmup]
    assert len(rows) == 32
    last = max(rows, key=lambda r: r.scheduled_s)
    assert last.token_s[-1] - last.scheduled_s == pytest.approx(32 * 0.12 - 2, abs=0.4)
    assert last.token_s[-1] - last.sent_s < 0.7
    assert level.ttft_s is not None
    assert level.ttft_s.max > 1.2
    assert level.shape == "2 → 30 requests/s"
    assert level.breaks_at_rate is not None
    assert 2 < level.breaks_at_rate < 25


# --- trace ---


def test_times_of_a_trace(tmp_path: Path) -> None:
    azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    azure += "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
    trace = read_trace(file_of(tmp_path, azure, "azure.csv"))
    assert trace.at_s == pytest.approx((0, 4.314579), abs=1e-5)
    assert trace.lengths == ((374, 44), (396, 109))
    mooncake = '{"timestamp": 3000, "input_length": 6758, "output_length": 500, "hash_ids": [0]}\n{"timestamp": 0, "input_length": 7, "output_length": 3, "hash_ids": [1]}\n'  # noqa: E501
    trace = read_trace(file_of(tmp_path, mooncake), speed=2)
    assert (trace.at_s, trace.seconds, trace.lengths) == ((0, 3), 1.5, ((7, 3), (6758, 500)))
    assert read_trace(file_of(tmp_path, '{"timestamp": 10}\n{"timestamp": 11.5}\n')).lengths == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no rows"),
        ('{"when": 1}\n', "no column of times; it has when"),
        ('{"timestamp": 1}\n{"timestamp": "soon"}\n', "row 2: 'soon' is neither"),
        ('{"timestamp": 1}\n{"times\n', "line 2 is not JSON"),
        ("timestamp,input_tokens\n1,0\n", "row 1: input_tokens '0' is not between"),
        ("timestamp,input_tokens\n1\n", "line 2 has more or fewer cells"),
        ('{"timestamp": NaN}\n', "neither a number"),
        ("[1, 2]\n", "line 1 is not a JSON object"),
    ],
)
def test_what_is_no_trace(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_trace(file_of(tmp_path, text))


def test_requests_of_like_length_share_a_prompt(tmp_path: Path) -> None:
    text = "".join(f'{{"timestamp": {i}, "input_tokens": {n}}}\n' for i, n in enumerate((7, 8, 1000, 1002, 2000)))
    trace = read_trace(file_of(tmp_path, text))
    lengths, numbers = buckets(trace, (100, 16))
    assert numbers[2] == numbers[3]
    assert len(set(numbers)) == 4
    for (given, _), number in zip(trace.lengths, numbers, strict=True):
        assert lengths[number][0] == pytest.approx(given, rel=0.011)


@pytest.mark.slow
def test_a_trace_is_sent_as_it_was(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    at = (0, 0.1, 0.15, 0.6, 0.62, 1.4)
    text = "".join(
        f'{{"timestamp": {t}, "input_tokens": {60 + 40 * i}, "output_tokens": {4 + i}}}\n' for i, t in enumerate(at)
    )
    file = file_of(tmp_path, text)
    found = document("bench", mock.url, "--trace", file, "--trace-speed", "2", "--out", tmp_path / "out", home=tmp_path)
    rows = sorted(read_rows(tmp_path / "out" / "requests.jsonl"), key=lambda r: r.scheduled_s)
    begin = rows[0].scheduled_s
    assert [r.scheduled_s - begin for r in rows] == pytest.approx([t / 2 for t in at], abs=1e-4)
    assert [r.output_tokens for r in rows] == [4, 5, 6, 7, 8, 9]
    assert [r.input_tokens for r in rows] == pytest.approx([60 + 40 * i for i in range(6)], rel=0.05)
    assert found["levels"][0]["shape"] == "file.jsonl at 2×"
    assert found["workload"]["input_tokens"]["shape"] == "listed"
    assert all(r.sent_s - r.scheduled_s < 0.05 for r in rows)


# --- lengths ---


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("200", Lengths(mean=200)),
        ("uniform:100:300", Lengths(shape="uniform", mean=200, min=100, max=300)),
        ("normal:200:50", Lengths(shape="normal", mean=200, stdev=50, max=1_000_000)),
        ("lognormal:200:150", Lengths(shape="lognormal", mean=200, stdev=150, max=1_000_000)),
    ],
)
def test_lengths_in_words(text: str, lengths: Lengths) -> None:
    assert parse(text) == lengths
    drawn = draw_lengths(lengths, 400, "x")
    assert sum(drawn) / 400 == pytest.approx(200, rel=0.02)


@pytest.mark.parametrize("text", ["", "long", "normal:5", "uniform:300:100", "0", "-1", "1e9", "gamma:1:2", "nan"])
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(InputError):
        parse(text)


def test_lengths_of_a_file_are_drawn_from_all_of_it(tmp_path: Path) -> None:
    """Lengths 1…1000 with answers ten times as long: means 500.5 and 5,005, and pairs stay pairs."""
    text = "input_tokens,output_tokens\n" + "".join(f"{i},{10 * i}\n" for i in range(1, 1001))
    pairs = read_pairs(file_of(tmp_path, text, "l.csv"))
    drawn = sample(pairs, 64, "s")
    assert all(made == 10 * (given or 0) for given, made in drawn)
    assert sum(given or 0 for given, _ in drawn) / 64 == pytest.approx(500.5, rel=0.03)
    assert sample(pairs, 64, "s") == drawn != sample(pairs, 64, "t")


# --- own prompts ---


def test_own_prompts_are_sent_as_they_are(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.0, itl_s=0.0)
    lines = [
        {"prompt": 'Say "hi" — ünïcode'},
        {
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
            "max_tokens": 3,
        },
    ]
    own = read_own_prompts(file_of(tmp_path, "\n".join(map(json.dumps, lines))))
    run(spec(mock.url, own_prompts=own, max_requests=4, concurrency=(1,), workload=workload(64, 5)), tmp_path / "a")
    sent = {t["prompt"] for t in mock.truth().values()}
    assert sent == {'Say "hi" — ünïcode', "Be brief.Why?"}
    assert [r.output_tokens for r in read_rows(tmp_path / "a" / "requests.jsonl")] == [5, 3, 5, 3]


def test_own_prompts_can_bust_a_cache(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.0, itl_s=0.0)
    own = read_own_prompts(file_of(tmp_path, '{"prompt": "Hello"}'))
    asked = spec(mock.url, own_prompts=own, max_requests=4, concurrency=(1,), unique=True, workload=workload(64, 2))
    run(asked, tmp_path / "a")
    sent = [t["prompt"] for t in mock.truth().values()]
    assert len(set(sent)) == 4
    assert all(text.endswith(" Hello") for text in sent)


def test_without_cache_busting_prompts_come_again_word_for_word(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.0, itl_s=0.0)
    run(spec(mock.url, max_requests=40, concurrency=(1,), unique=False, workload=workload(64, 1)), tmp_path)
    sent = [t["prompt"] for t in mock.truth().values()]
    assert len(sent) == 40
    assert len(set(sent)) == 16  # a bank of sixteen, in turn


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"question": "x"}', "neither a prompt nor messages"),
        ('{"messages": []}', "not a list of messages"),
        ('{"messages": [{"role": "user"}]}', "needs a role and a content"),
        ('{"prompt": "x", "max_tokens": 0}', "not a number of tokens"),
    ],
)
def test_what_is_no_prompt(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_own_prompts(file_of(tmp_path, line))


# --- conversations ---


def talk(rows: list[Row]) -> dict[int, list[Row]]:
    talks: dict[int, list[Row]] = {}
    for r in sorted(rows, key=lambda r: r.sent_s):
        talks.setdefault(r.conversation if r.conversation is not None else -1, []).append(r)
    return talks


def test_a_conversation_grows_by_what_was_said_and_waits_while_its_user_thinks(mock: Mock, tmp_path: Path) -> None:
    """Each answer is eight times ``word ``, 40 characters: ten tokens of the mock's, and a new turn comes on top."""
    mock.set(ttft_s=0.02, itl_s=0.005)
    asked = spec(
        mock.url, turns=3, think_s=0.1, max_requests=6, concurrency=(2,), duration_s=3, workload=workload(64, 8)
    )
    level = run(asked, tmp_path).levels[0]
    assert (level.completed, level.failed) == (6, 0)
    talks = talk(list(read_rows(tmp_path / "requests.jsonl")))
    assert [[r.turn for r in rows] for rows in talks.values()] == [[0, 1, 2], [0, 1, 2]]
    for rows in talks.values():
        for before, after in pairwise(rows):
            assert after.sent_s - before.end_s == pytest.approx(0.1, abs=0.03)
            grown = (after.input_tokens or 0) - (before.input_tokens or 0)
            assert grown == pytest.approx(10 + 50, abs=12)


def test_turns_in_an_open_loop_are_due_after_the_thinking(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.02, itl_s=0.005)
    asked = spec(mock.url, turns=2, think_s=0.2, rate=(4,), duration_s=1.0, workload=workload(64, 8))
    run(asked, tmp_path)
    talks = talk(list(read_rows(tmp_path / "requests.jsonl")))
    assert len(talks) == 4
    for rows in talks.values():
        for before, after in pairwise(rows):
            assert after.scheduled_s == pytest.approx(before.end_s + 0.2, abs=1e-5)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--ramp", "1:2"), "is not FROM:TO:SECONDS"),
        (("--ramp", "0:0:5"), "is no load"),
        (("--ramp", "1:2:3", "--rate", "1"), "says itself when to send"),
        (("--ramp", "1:2:3", "--sweep"), "four loads"),
        (("--trace", "nowhere.csv"), "cannot read nowhere.csv"),
        (("--prompts", "nowhere.jsonl"), "cannot read nowhere.jsonl"),
        (("--input-len", "normal:x:1"), "is not a number of tokens"),
        (("--shared-prefix", "120"), "not between 0 and 100"),
        (("--turns", "0"), "turns 0"),
        (("--turns", "2", "--endpoint", "completions"), "only a chat has turns"),
    ],
)
def test_bad_words(words: tuple[str, ...], says: str) -> None:
    assert says in error_of("bench", "http://127.0.0.1:1", *words)
