"""Models on a hub: few bytes, one cache, a token that stays at home, and every way in which a hub says no."""

from __future__ import annotations

import gzip
import json
import os
import socket
import time
from pathlib import Path

import pytest

from tests.cli.run import document, error_of
from tests.fakes.hub import SHA, Hub
from tests.models.make_gguf import write_tiny
from tests.models.make_safetensors import LLAMA_8B, LLAMA_8B_CONFIG, TINY, TINY_CONFIG, TINY_PARAMS, write_folder
from toolkit.backends.base import Engine
from toolkit.backends.llama_cpp_python import BACKEND as LLAMA_CPP_PYTHON
from toolkit.backends.llama_server import BACKEND as LLAMA_SERVER
from toolkit.backends.vllm import BACKEND as VLLM
from toolkit.errors import InputError, ModelFileError, SourceUnavailableError, UnknownNameError
from toolkit.models import hub, hub_client
from toolkit.models.resolve import resolve
from toolkit.models.transport import HttpTransport
from toolkit.types import MemoryPlan

REPO = "acme/tiny"
TOKEN = "hf_a_secret_of_the_test"


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with an empty home: no token, no cache, no proxy."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING_FACE", "XDG_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("SELFHOST_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "repo", TINY_CONFIG, TINY, shards=3)


def at(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)


# --- what it reads --------------------------------------------------------------------------------------------------


def test_thirty_shards_of_eight_billion_weights_in_a_few_kilobytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Llama-3.1-8B again (published: 16,060,522,496 bytes); its headers and index are some 70 kB."""
    folder = write_folder(tmp_path / "repo", LLAMA_8B_CONFIG, LLAMA_8B, shards=30)
    seen: list[tuple[int, int]] = []
    with Hub({"meta/llama": folder}) as server:
        at(server, monkeypatch)
        spec = hub.read(hub.HubName("meta/llama"), progress=lambda done, of: seen.append((done, of)))
        assert len(server.asked("model-000")) == 30  # one request a shard
        assert server.sent < 400_000
    assert (spec.weights_bytes, spec.params, spec.weights_basis) == (16_060_522_496, 8_030_261_248, "engine")
    assert (spec.source, spec.path, spec.name, spec.revision) == ("hub", "meta/llama", "meta/llama", SHA)
    assert seen == [(n, 30) for n in range(1, 31)]


def test_a_second_question_asks_nobody(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: tiny}) as server:
        at(server, monkeypatch)
        first = resolve(REPO)
        asked = len(server.log)
        assert resolve(REPO) == first
        assert resolve(REPO, "fp8").quant == "fp8"
        assert len(server.log) == asked
    assert resolve(f"{REPO}@{SHA}") == first  # the hub is gone


def test_a_revision_is_asked_for_by_name(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: tiny}) as server:
        at(server, monkeypatch)
        assert resolve(f"{REPO}@v1.0").revision == SHA
        assert server.log[0].path == f"/api/models/{REPO}/revision/v1.0"
        assert all(SHA in r.path for r in server.asked("/resolve/"))
        with pytest.raises(InputError, match="has no revision 'v9'"):
            resolve(f"{REPO}@v9")


def test_a_header_longer_than_the_guess_takes_a_second_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file without an index: 64 kB are asked for first, and 900 tensors take more."""
    folder = write_folder(tmp_path / "repo", TINY_CONFIG, [*TINY, *((f"x{n:0100}", "U8", (1,)) for n in range(900))])
    with Hub({REPO: folder}) as server:
        at(server, monkeypatch)
        assert resolve(REPO).weights_bytes == 2 * TINY_PARAMS + 900
        assert len(server.asked("model.safetensors")) == 2


def test_a_server_without_ranges_is_read_from_its_start(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: tiny}, ranges=False) as server:
        at(server, monkeypatch)
        assert resolve(REPO).params == TINY_PARAMS


def test_what_a_broken_cache_holds_is_read_again(tiny: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: tiny}) as server:
        at(server, monkeypatch)
        first = resolve(REPO)
        (kept,) = (user / "home" / "hub").rglob("tensors.json.gz")
        for damage in (b"", b"nonsense", gzip.compress(b"[]"), gzip.compress(b'{"version": 1, "tensors": [[1]]}')):
            kept.write_bytes(damage)
            assert resolve(REPO) == first
            assert len(gzip.decompress(kept.read_bytes())) > 1000  # written anew


# --- GGUF on a hub --------------------------------------------------------------------------------------------------


@pytest.fixture
def ggufs(tmp_path: Path) -> Path:
    folder = tmp_path / "ggufs"
    folder.mkdir()
    write_tiny(folder / "tiny-Q4_0.gguf")
    write_tiny(folder / "tiny-Q8_0.gguf", metadata={"general.file_type": 7})
    write_tiny(folder / "mmproj-tiny-Q4_0.gguf")
    for n in (1, 2):
        write_tiny(folder / f"big-F16-{n:05d}-of-00002.gguf")
    return folder


def test_a_gguf_by_its_name_or_by_what_tells_it_apart(ggufs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: ggufs}) as server:
        at(server, monkeypatch)
        exact = resolve(f"{REPO}:tiny-Q4_0.gguf")
        assert (exact.quant, exact.weights_bytes) == ("Q4_0", 12_800 + 256 + 2_304)
        assert (exact.source, exact.path, exact.revision) == ("gguf", None, SHA)
        assert resolve(f"{REPO}:q8_0").quant == "Q8_0"
        assert resolve(f"{REPO}:big-F16").weights_bytes == 2 * (12_800 + 256 + 2_304)
        asked = len(server.log)
    assert resolve(f"{REPO}:q8_0").quant == "Q8_0"  # the hub is gone
    assert asked == len(server.log)


def test_a_large_vocabulary_is_fetched_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 words of 30 bytes: a header of 3.8 MB, of which each byte is fetched once."""
    folder = tmp_path / "ggufs"
    folder.mkdir()
    words: list[object] = [f"{n:030}" for n in range(100_000)]
    path = write_tiny(folder / "m.gguf", metadata={"tokenizer.ggml.tokens": words})
    with Hub({REPO: folder}) as server:
        at(server, monkeypatch)
        assert resolve(f"{REPO}:m.gguf").layers == 1
        (first, second) = server.asked("m.gguf")
        assert first.sent == 2**20
        assert first.sent + second.sent == path.stat().st_size


@pytest.mark.real
def test_the_engine_plans_a_file_that_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A synthetic Qwen3-like file of 70 MB: only its header travels, and the plan equals that of the whole file."""
    from tests.size.synth import Shape, write

    folder = tmp_path / "ggufs"
    folder.mkdir()
    path = write(folder / "m.gguf", Shape("qwen3", head_dim=128))
    with Hub({REPO: folder}) as server:
        at(server, monkeypatch)
        remote = document("size", f"{REPO}:m.gguf", "--exact", "--context", "4096")
    local = document("size", path, "--exact", "--context", "4096")
    assert remote["devices"][0]["lines"] == local["devices"][0]["lines"]
    assert {line["basis"] for line in remote["devices"][0]["lines"] if line["what"] == "kv_cache"} == {"engine"}


def test_a_repository_of_ggufs_asks_which(ggufs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: ggufs}) as server:
        at(server, monkeypatch)
        with pytest.raises(InputError, match="holds GGUF files: big-F16-00001-of-00002") as caught:
            resolve(REPO)
        assert f"{REPO}:" in str(caught.value.hint)
        with pytest.raises(InputError, match="fits 2 files"):
            resolve(f"{REPO}:tiny")
        with pytest.raises(UnknownNameError) as unknown:
            resolve(f"{REPO}:tiny-Q4_1.gguf")
        assert "tiny-Q4_0.gguf" in unknown.value.nearest
        with pytest.raises(InputError, match="one format, not fp8"):
            resolve(f"{REPO}:q8_0", "fp8")


# --- the token ------------------------------------------------------------------------------------------------------


def test_the_token_opens_a_gated_repository(tiny: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user / "hf").mkdir()
    (user / "hf" / "token").write_text(f"{TOKEN}\n")
    with Hub({REPO: tiny}, gated={REPO: TOKEN}) as server:
        at(server, monkeypatch)
        assert resolve(REPO).params == TINY_PARAMS
        assert all(r.headers["authorization"] == f"Bearer {TOKEN}" for r in server.log)


def test_without_a_token_it_says_how_to_get_one(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: tiny}, gated={REPO: TOKEN}) as server:
        at(server, monkeypatch)
        with pytest.raises(SourceUnavailableError, match="gated or private, and a token is needed") as caught:
            resolve(REPO)
        assert f"{server.url}/{REPO}" in str(caught.value.hint)
        assert "HF_TOKEN" in str(caught.value.hint)


def test_a_wrong_token_is_not_shown(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with Hub({REPO: tiny}, gated={REPO: TOKEN}) as server:
        at(server, monkeypatch)
        with pytest.raises(SourceUnavailableError, match="the token given has no access") as caught:
            resolve(REPO)
        assert "hf_wrong" not in f"{caught.value.message} {caught.value.hint}"


def test_a_token_that_cannot_be_one_is_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_x\r\nX-Evil: 1")
    with pytest.raises(InputError, match="characters or a length that no token has") as caught:
        resolve(REPO)
    assert "Evil" not in f"{caught.value.message} {caught.value.hint}"


def test_the_token_does_not_follow_a_redirect_to_another_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large files are redirected to a content network, as the real hub does; that one is none of the token's hosts."""
    folder = write_folder(tmp_path / "repo", LLAMA_8B_CONFIG, LLAMA_8B, shards=2)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Hub({REPO: folder}) as cdn, Hub({REPO: folder}, gated={REPO: TOKEN}, cdn=cdn.url) as server:
        at(server, monkeypatch)
        assert resolve(REPO).weights_bytes == 16_060_522_496
        assert len(cdn.log) == 2
        assert not any("authorization" in r.headers or TOKEN in str(r) for r in cdn.log)
        assert all("authorization" in r.headers for r in server.log)


def test_the_token_is_kept_nowhere(tiny: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Hub({REPO: tiny}, gated={REPO: TOKEN}) as server:
        at(server, monkeypatch)
        assert TOKEN not in resolve(REPO).model_dump_json()
    kept = [p for p in (user / "home").rglob("*") if p.is_file()]
    assert kept
    for path in kept:
        raw = path.read_bytes()
        assert TOKEN.encode() not in (gzip.decompress(raw) if path.suffix == ".gz" else raw)


def test_a_proxy_of_the_environment_is_used_and_shown_its_own_login_only(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hub({REPO: tiny}) as proxy:
        monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
        monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://me:pass%40word@"))
        assert resolve(REPO).params == TINY_PARAMS
        assert proxy.log[0].path == f"http://hub.invalid/api/models/{REPO}/revision/main"
        assert proxy.log[0].headers["proxy-authorization"] == "Basic bWU6cGFzc0B3b3Jk"  # base64 of me:pass@word
        monkeypatch.setenv("no_proxy", "hub.invalid")
        with pytest.raises(SourceUnavailableError, match=r"cannot reach hub\.invalid"):
            resolve("acme/other")


# --- every way to say no --------------------------------------------------------------------------------------------


def test_no_such_repository_gets_did_you_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub() as server:
        at(server, monkeypatch)
        with pytest.raises(UnknownNameError) as caught:
            resolve("Qwen/Qwen3-8BB")
    assert "Qwen/Qwen3-8B" in caught.value.nearest
    assert "private" in str(caught.value.hint)


def test_too_many_requests(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: tiny}, busy=True) as server:
        at(server, monkeypatch)
        with pytest.raises(SourceUnavailableError, match="fewer requests") as caught:
            resolve(REPO)
        assert "in 17 seconds" in str(caught.value.hint)
        assert len(server.log) == 1  # asked to wait, it does not ask again


def test_one_failure_of_the_server_is_forgiven_and_two_are_not(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: tiny}, broken=1) as server:
        at(server, monkeypatch)
        assert resolve(REPO).params == TINY_PARAMS
    with Hub({"acme/other": tiny}, broken=100) as server:
        at(server, monkeypatch)
        with pytest.raises(SourceUnavailableError, match="status 503"):
            resolve("acme/other")


@pytest.mark.parametrize("file", ["config.json", "index.json", "model-00002"])
def test_replies_that_break_off(tiny: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    with Hub({REPO: tiny}, cut=file) as server:
        at(server, monkeypatch)
        with pytest.raises(SourceUnavailableError, match="broke off after"):
            resolve(REPO)


def test_redirects_in_a_circle(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: tiny}, loop=True) as server:
        at(server, monkeypatch)
        with pytest.raises(SourceUnavailableError, match="more than 5 redirects"):
            resolve(REPO)
        assert len(server.log) <= 8


@pytest.mark.parametrize("behaviour", [{"drip_s": 0.05}, {"dead_header": True}])
def test_a_slow_server_is_bounded_in_time(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, behaviour: dict[str, float]
) -> None:
    """It sends a byte now and then, for ever; no single wait is long."""
    with Hub({REPO: tiny}, **behaviour) as server:
        at(server, monkeypatch)
        started = time.monotonic()
        with pytest.raises(SourceUnavailableError, match="does not answer in time"):
            hub.read(hub.HubName(REPO), transport=HttpTransport(started + 0.7))
        assert time.monotonic() - started < 1.5


def test_a_hostile_repository_cannot_make_it_read_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two headers that claim 100 MB each are more than one question may read."""
    folder = write_folder(tmp_path / "repo", TINY_CONFIG, TINY, shards=2)
    for path in folder.glob("*.safetensors"):
        with path.open("r+b") as file:
            file.write((99_999_999).to_bytes(8, "little"))
            file.truncate(200_000_000)
    with Hub({REPO: folder}) as server:
        at(server, monkeypatch)
        with pytest.raises((SourceUnavailableError, ModelFileError)):
            resolve(REPO)
        assert server.sent <= hub_client.MAX_BYTES + 2**20


def test_no_weights_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "README.md").write_text("nothing")
    with Hub({REPO: folder}) as server:
        at(server, monkeypatch)
        with pytest.raises(InputError, match=r"has no config.json"):
            resolve(REPO)


def test_pickles_on_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(TINY_CONFIG))
    (folder / "pytorch_model.bin").write_bytes(b"\x80")
    with Hub({REPO: folder}) as server:
        at(server, monkeypatch)
        with pytest.raises(ModelFileError, match="only as pickles"):
            resolve(REPO)


def test_no_tls_where_tls_is_asked_for(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: tiny}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url.replace("http:", "https:"))
        with pytest.raises(SourceUnavailableError, match=r"cannot reach 127\.0\.0\.1"):
            resolve(REPO)


@pytest.mark.parametrize("endpoint", ["ftp://x", "huggingface.co", "http://", "http://user:pw@host"])
def test_an_endpoint_that_is_no_address(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(InputError, match="no http or https address"):
        resolve(REPO)


@pytest.mark.parametrize(
    "target", ["a/b/c", "../b", "acme/..", "acme/x:../../etc/passwd", "acme/x@", "acme/x:", "/acme/x", "acme/x.gguf"]
)
def test_what_is_no_hub_name_asks_nobody(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    with Hub() as server:
        at(server, monkeypatch)
        with pytest.raises(ModelFileError, match="no such file or folder"):
            resolve(target)
        assert server.log == []


# --- without a network ----------------------------------------------------------------------------------------------


def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint at a port that was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")


def test_offline_says_what_to_give_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody(monkeypatch)
    with pytest.raises(SourceUnavailableError, match=r"cannot reach 127.0.0.1:\d+") as caught:
        resolve(REPO)
    assert "give a local folder, a .gguf file or a profile name" in str(caught.value.hint)


def test_a_known_models_profile_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody(monkeypatch)
    spec = resolve("Qwen/Qwen3-8B")
    assert (spec.name, spec.source, spec.revision, spec.params) == ("qwen3-8b", "profile", None, 8_190_735_360)
    assert "cannot reach" in spec.notes[0]
    assert "the profile qwen3-8b" in spec.notes[0]


def test_a_forbidden_network_is_not_asked(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with Hub({REPO: tiny, "Qwen/Qwen3-8B": tiny}) as server:
        at(server, monkeypatch)
        with pytest.raises(SourceUnavailableError, match="HF_HUB_OFFLINE forbids"):
            resolve(REPO)
        assert resolve("Qwen/Qwen3-8B").source == "profile"
        assert server.log == []


def test_an_older_answer_stands_in_and_says_so(tiny: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: tiny}) as server:
        at(server, monkeypatch)
        resolve(REPO)
    refs = user / "home" / "hub" / "acme--tiny" / "refs.json"
    refs.write_text(json.dumps({"main": {"sha": SHA, "at": 0}}))  # as if the hub had said so in 1970
    spec = resolve(REPO)
    assert (spec.params, spec.revision) == (TINY_PARAMS, SHA)
    assert "commit 01234567, read before" in spec.notes[0]


def test_the_users_own_download_stands_in(tiny: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = user / "hf" / "hub" / "models--acme--tiny"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(SHA)
    write_folder(root / "snapshots" / SHA, TINY_CONFIG, TINY)
    nobody(monkeypatch)
    spec = resolve(REPO)
    assert (spec.params, spec.revision, spec.source) == (TINY_PARAMS, SHA, "folder")
    assert "your download 01234567" in spec.notes[0]


def test_a_profile_never_touches_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub() as server:
        at(server, monkeypatch)
        assert resolve("qwen3-8b").source == "profile"
        assert resolve("Llama-3.1-8B-Instruct").name == "llama-3.1-8b"  # an alias
        with pytest.raises(UnknownNameError):
            resolve("qwen3-8bb")
        assert server.log == []


def test_a_folder_here_comes_before_the_hub(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "Qwen" / "Qwen3-8B", TINY_CONFIG, TINY)
    monkeypatch.chdir(tmp_path)
    with Hub({"Qwen/Qwen3-8B": tiny}) as server:
        at(server, monkeypatch)
        spec = resolve("Qwen/Qwen3-8B")
        assert (spec.source, spec.params) == ("folder", TINY_PARAMS)
        assert server.log == []


# --- as a user types it ---------------------------------------------------------------------------------------------


def test_size_of_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "repo", LLAMA_8B_CONFIG, LLAMA_8B, shards=4)
    words = ("size", "acme/llama", "--engine", "vllm", "--gpu", "L4", "--context", "4096")
    with Hub({"acme/llama": folder}) as server:
        at(server, monkeypatch)
        plan = document(*words)
    again = document(*words)  # the hub is gone
    assert again == plan
    assert plan["inputs"]["model_source"]["value"] == "hub"
    assert plan["inputs"]["revision"]["value"] == SHA
    assert plan["model"] == "acme/llama"
    weights = next(line for line in plan["devices"][0]["lines"] if line["what"] == "weights")
    assert weights["basis"] == "engine"
    assert weights["bytes"] >= 16_060_522_496  # and the rotary tables


def test_what_was_sized_is_what_is_launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM loads the very commit; llama.cpp cannot launch from a header."""
    folder = write_folder(tmp_path / "repo", LLAMA_8B_CONFIG, LLAMA_8B, shards=2)
    write_tiny(folder / "tiny.gguf")
    with Hub({REPO: folder}) as server:
        at(server, monkeypatch)
        sized = document("size", REPO, "--engine", "vllm", "--gpu", "H100-SXM-80GB", "--context", "4096")
        header = document("size", f"{REPO}:tiny.gguf", "--context", "512")
    engine = Engine(backend="vllm", argv0=("vllm", "serve"), version="0.19.0", where="PATH", gpu=True)
    argv = VLLM.command(MemoryPlan.model_validate(sized), engine, "m").argv
    assert argv[argv.index("--revision") + 1] == SHA
    for backend in (LLAMA_SERVER, LLAMA_CPP_PYTHON):
        assert "not on this machine" in str(backend.refuses(MemoryPlan.model_validate(header)))


def test_errors_on_the_command_line(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub({REPO: tiny}, gated={REPO: TOKEN}) as server:
        at(server, monkeypatch)
        assert "gated or private" in error_of("size", REPO, "--gpu", "L4", status=3)
        assert "unknown model 'acme/none'" in error_of("size", "acme/none", "--gpu", "L4")


def test_no_hub_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody(monkeypatch)
    assert "cannot reach" in error_of("size", REPO, "--gpu", "L4", status=3)
    plan = document("size", "Qwen/Qwen3-8B", "--engine", "vllm", "--gpu", "H100-SXM-80GB", "--context", "4096")
    assert "these are the facts of the profile qwen3-8b" in plan["warnings"][0]


def test_a_folder_of_thirty_shards_is_sized_in_time(tmp_path: Path) -> None:
    """0.4 s is the bar; a run beside other load gets three tries."""
    folder = write_folder(tmp_path / "m", LLAMA_8B_CONFIG, LLAMA_8B, shards=30)
    best = 9.0
    for _ in range(3):
        started = time.perf_counter()
        document("size", folder, "--engine", "vllm", "--gpu", "H100-SXM-80GB", "--context", "8192")
        best = min(best, time.perf_counter() - started)
    assert best < 1.0
