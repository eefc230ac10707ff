"""`selfhost decide` as a user meets it: a file, a terminal, a cost report, and what is refused."""

import json
import os
import pty
import select
import subprocess
import sys
import time

import pytest

from toolkit.cli.main import run


@pytest.fixture
def selfhost(monkeypatch, capsys, tmp_path):
    """Run the command line; returns (exit status, stdout, stderr)."""
    monkeypatch.setenv("SELFHOST_HOME", str(tmp_path / "home"))

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["selfhost", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            run()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return call


@pytest.fixture
def answers(tmp_path):
    """Write an answers file."""

    def write(text):
        file = tmp_path / "answers.toml"
        file.write_text(text)
        return file

    return write


def test_the_document_has_the_fields_of_the_contract(selfhost, answers):
    status, out, err = selfhost("decide", "--answers", answers('task = "rag"\ntokens_per_day = "10M"\n'), "--json")
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert (document["kind"], document["schema_version"]) == ("verdict", 1)
    assert document["verdict"] == "hosted-open"
    assert {"reasons", "rejected", "flips", "conflicts", "review_date", "p_cheaper"} <= set(document)
    assert document["p_cheaper"] is None
    assert {"option", "gate", "reason"} == set(document["rejected"][0])
    # gpt-4o at 3:1 is 4.375, Together's Llama 0.88: (4.375 − 0.88) × 304.1667 = 1,063.06
    assert "$1,063.06" in document["reasons"][0]


def test_the_licence_of_the_named_model_counts(selfhost, answers):
    text = 'task = "rag"\nmodel = "llama-4-scout"\nregion = "FR"\nengineers = 1\nhours_per_month = 40\n'
    document = json.loads(selfhost("decide", "--answers", answers(text), "--json")[1])
    assert {r["gate"] for r in document["rejected"] if r["option"] == "rented"} == {"licence"}
    assert document["licence"]["name"] == "llama-4"
    document = json.loads(selfhost("decide", "--answers", answers('model = "acme-7b"\n'), "--json")[1])
    assert "acme-7b" in document["conflicts"][0]


def test_with_a_cost_report(selfhost, answers, tmp_path):
    stated = ("cost", "--goodput", "1000", "--gpu-price", "1.39/h", "--compare", "gpt-4o", "--json")
    (tmp_path / "cost.json").write_text(selfhost(*stated)[1])
    file = answers(
        'task = "rag"\ntokens_per_day = "28M"\nengineers = 1\nhours_per_month = 20\nallowed_places = ["api", "cloud"]\n'
    )
    status, out, _ = selfhost("decide", "--answers", file, "--cost", tmp_path)
    assert status == 0
    assert out.startswith("Verdict: rented")
    assert "rented: $1,014.70 a month at 28,000,000 tokens a day (cost report)." in out  # one replica: 1.39 × 730


def test_the_articles_order_shows_the_disagreement(selfhost, answers):
    file = answers('offline = true\ntask = "rag"\n')
    status, out, _ = selfhost("decide", "--answers", file, "--order", "article")
    assert status == 0
    assert out.startswith("Verdict: closed")
    assert "question 3: no ML engineer" in out
    assert ": the article asks about offline use last" in out
    assert "6. On the device or offline? Yes, so open only." in out
    assert selfhost("decide", "--answers", file)[1].startswith("Verdict: owned")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('data_clas = "public"', "did you mean data_class?"),
        ('data_class = "secret"', "data_class"),
        ("tokens_per_day = -5", "tokens_per_day"),
        ("quality_gap = nan", "quality_gap"),
        ("offline = ", "is not TOML"),
    ],
)
def test_bad_answers_are_one_line(selfhost, answers, text, message):
    status, out, err = selfhost("decide", "--answers", answers(text))
    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_a_cost_file_that_is_none(selfhost, answers, tmp_path):
    status, _, err = selfhost("decide", "--answers", answers(""), "--cost", tmp_path / "none.json")
    assert (status, "no such file" in err) == (2, True)


def test_nobody_to_ask():
    done = subprocess.run(
        [sys.executable, "-m", "toolkit.cli.main", "decide"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert b"nobody to ask" in done.stderr


def on_a_terminal(replies):
    """Answer the questions on a real terminal that controls the child; returns (exit status, stdout, terminal).

    The child leads a session of its own, so that Ctrl-C typed at the terminal reaches it as a signal.
    """
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", AS_FOREGROUND, "decide", "--json"],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "dumb"},
        start_new_session=True,
    )
    os.close(follower)
    seen = b""
    try:
        for reply in replies:
            asked = len(seen)
            deadline = time.monotonic() + 60
            while not seen[asked:].rstrip().endswith(b":") and time.monotonic() < deadline:
                if select.select([leader], [], [], 0.5)[0]:
                    seen += os.read(leader, 4096)
            os.write(leader, reply)
        out, _ = child.communicate(timeout=60)
        while select.select([leader], [], [], 0)[0]:
            try:
                rest = os.read(leader, 4096)
            except OSError:  # how Linux says that the other end is closed
                break
            if not rest:
                break
            seen += rest
    finally:
        child.kill()
        os.close(leader)
    return child.returncode, out.decode(), seen.decode()


AS_FOREGROUND = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);from toolkit.cli.main import run; run()"


def test_questions_on_a_terminal():
    """A real terminal: Enter takes the default, a wrong answer is asked again."""
    replies = ["", "secret", "health", "rag", "", "", "1", "20", "10M", "llama-3.3-70b", "", "DE"]
    status, out, seen = on_a_terminal([reply.encode() + b"\n" for reply in replies])
    assert out.startswith("{")  # nothing of the questions
    document = json.loads(out)
    assert status == 0
    assert "data_class" in seen  # the wrong answer was explained
    assert document["verdict"] == "dedicated"
    assert document["licence"]["name"] == "llama-3.3"
    assert document["assumed"] == {
        "quality_gap": "5 points, by the kind of task; not measured",
        "mau": "at most the 700,000,000 monthly users of llama-3.3",
    }


def test_enter_nine_times_is_the_defaults():
    status, out, _ = on_a_terminal([b"\n"] * 9)
    document = json.loads(out)
    assert status == 0
    assert document["verdict"] == "closed"  # a chat, nobody to run a server, and no measured quality
    assert document["assumed"] == {"quality_gap": "15 points, by the kind of task; not measured"}


def test_ctrl_c_at_a_question():
    status, out, _ = on_a_terminal([b"\n", b"\x03"])
    assert (status, out) == (130, "")


def test_the_end_of_the_input_at_a_question():
    status, out, seen = on_a_terminal([b"\n", b"\x04"])
    assert (status, out) == (2, "")
    assert "the input ended before the last question" in seen


def test_five_wrong_answers_are_enough():
    status, out, seen = on_a_terminal([b"n\n"] + [b"secret\n"] * 5)
    assert (status, out) == (2, "")
    assert "no usable answer" in seen
