"""How profiles are found: names, aliases, overrides, and what a broken file says."""

from __future__ import annotations

import contextlib
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit import profiles
from toolkit.errors import InputError, ProfileError, UnknownNameError
from toolkit.paths import data_root

GPU = """
[[gpu]]
name = "{name}"
vendor = "NVIDIA"
arch = "Ada Lovelace"
device_class = "consumer"
vram_gib = 16
mem_bw_gbs = 672
source = "a data sheet"
checked = 2026-11-01
"""

PRICE = """
[[gpu_price]]
provider = "{provider}"
gpu = "{gpu}"
usd_per_hour = {usd}
kind = "{kind}"
instance_type = "{machine}"
source = "a price list"
checked = 2026-11-01
"""

MODEL = """
name = "{name}"
aliases = {aliases}
source = "config.json"
checked = 2026-11-01

[config]
hidden_size = 64
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Put a file into an otherwise empty user folder."""
    monkeypatch.setenv("SELFHOST_PROFILES", str(tmp_path))

    def put(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return put


class TestFindingAGpu:
    @pytest.mark.parametrize(
        "spelling",
        ["RTX-4090", "rtx 4090", "RTX_4090", "4090", "rtx4090", "NVIDIA GeForce RTX 4090", "GeForce RTX 4090"],
    )
    def test_one_device_has_many_spellings(self, spelling: str) -> None:
        assert profiles.gpu(spelling).name == "RTX-4090"

    @pytest.mark.parametrize(
        ("driver_name", "device"),
        [  # as NVML reports them
            ("NVIDIA GeForce RTX 3090", "RTX-3090"),
            ("NVIDIA GeForce RTX 3090 Ti", "RTX-3090-Ti"),
            ("NVIDIA GeForce RTX 5090", "RTX-5090"),
            ("NVIDIA GeForce RTX 2080 Ti", "RTX-2080-Ti"),
            ("NVIDIA RTX A6000", "RTX-A6000"),
            ("NVIDIA RTX 6000 Ada Generation", "RTX-6000-Ada"),
            ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "RTX-PRO-6000-Blackwell-WS"),
            ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "RTX-PRO-6000-Blackwell-Max-Q"),
            ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000-Blackwell-Server"),
            ("Tesla T4", "T4"),
            ("Tesla V100-SXM2-16GB", "V100-SXM2-16GB"),
            ("NVIDIA A10", "A10"),
            ("NVIDIA A10G", "A10G"),
            ("NVIDIA A40", "A40"),
            ("NVIDIA L4", "L4"),
            ("NVIDIA L40S", "L40S"),
            ("NVIDIA A100-SXM4-40GB", "A100-SXM-40GB"),
            ("NVIDIA A100-SXM4-80GB", "A100-SXM-80GB"),
            ("NVIDIA A100-PCIE-40GB", "A100-PCIe-40GB"),
            ("NVIDIA A100 80GB PCIe", "A100-PCIe-80GB"),
            ("NVIDIA H100 80GB HBM3", "H100-SXM-80GB"),
            ("NVIDIA H100 PCIe", "H100-PCIe-80GB"),
            ("NVIDIA H100 NVL", "H100-NVL-94GB"),
            ("NVIDIA H200", "H200-SXM"),
            ("NVIDIA B200", "B200-SXM"),
            ("NVIDIA GB200", "GB200-per-GPU"),
            ("NVIDIA GH200 480GB", "GH200-96GB"),
            ("NVIDIA GB10", "DGX-Spark-GB10"),
            ("AMD Radeon RX 7900 XTX", "RX-7900-XTX"),
            ("AMD Instinct MI300X", "MI300X"),
        ],
    )
    def test_a_driver_name_is_one_device(self, driver_name: str, device: str) -> None:
        assert profiles.gpu(driver_name).name == device

    @pytest.mark.parametrize(
        ("name", "devices"),
        [
            ("H100", ["H100-PCIe-80GB", "H100-NVL-94GB", "H100-SXM-80GB"]),
            ("A100 80GB", ["A100-PCIe-80GB", "A100-SXM-80GB"]),
            ("Apple M3 Max", ["Apple-M3-Max-30-core", "Apple-M3-Max-40-core"]),
        ],
    )
    def test_a_name_that_fits_several_lists_them(self, name: str, devices: list[str]) -> None:
        with pytest.raises(InputError) as caught:
            profiles.gpu(name)
        assert not isinstance(caught.value, UnknownNameError)
        assert caught.value.exit_status == 2
        assert all(device in caught.value.message for device in devices)

    def test_a_remark_in_brackets_is_ignored(self) -> None:
        assert profiles.gpu("Tesla T4 (14.74 GiB logged)").name == "T4"

    def test_a_typo_gets_the_nearest_names(self) -> None:
        with pytest.raises(UnknownNameError) as caught:
            profiles.gpu("RTX 4909")
        assert caught.value.nearest[0] == "RTX-4090"

    @pytest.mark.parametrize(
        "name", ["", " ", "()", "nvidia", "GeForce", "../gpus/nvidia-geforce", "RTX 4090 Laptop GPU"]
    )
    def test_what_names_no_device_is_unknown(self, name: str) -> None:
        with pytest.raises(UnknownNameError):
            profiles.gpu(name)

    @settings(deadline=None)
    @given(st.data())
    def test_case_and_separators_never_matter(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(profiles.gpus())))
        pieces = [c.swapcase() if data.draw(st.booleans()) else c for c in name if c not in "-_ "]
        gaps = data.draw(
            st.lists(st.sampled_from(["", " ", "-", "_", " - "]), min_size=len(pieces), max_size=len(pieces))
        )
        respelled = "".join(piece + gap for piece, gap in zip(pieces, gaps, strict=True))
        assert profiles.gpu(respelled).name == name

    @settings(deadline=None)
    @given(
        st.one_of(st.text(max_size=60), st.text(alphabet=string.ascii_letters + string.digits + " -_()", max_size=20))
    )
    def test_no_text_does_anything_worse_than_not_being_known(self, text: str) -> None:
        for find in (profiles.gpu, profiles.model, profiles.workload):
            with contextlib.suppress(InputError):
                assert find(text).source


class TestFindingAModel:
    @pytest.mark.parametrize(
        "spelling",
        [
            "llama-3.1-8b",
            "Llama 3.1 8B",
            "meta-llama/Llama-3.1-8B-Instruct",
            "meta-llama/Meta-Llama-3.1-8B",
            "llama3.1:8b",
        ],
    )
    def test_by_name_hub_id_or_alias(self, spelling: str) -> None:
        assert profiles.model(spelling).name == "llama-3.1-8b"

    def test_a_typo_gets_the_nearest_names(self) -> None:
        with pytest.raises(UnknownNameError) as caught:
            profiles.model("qwen3-33b")
        assert "qwen3-32b" in caught.value.nearest
        assert caught.value.hint is not None
        assert "did you mean" in caught.value.hint

    def test_a_typo_in_an_alias_gets_the_alias(self) -> None:
        with pytest.raises(UnknownNameError) as caught:
            profiles.model("mistralai/Mixtrl-8x22B-Instruct-v0.1")
        assert caught.value.nearest[0] == "mistralai/Mixtral-8x22B-Instruct-v0.1"

    def test_a_record_is_read_once(self) -> None:
        assert profiles.model("qwen3-8b") is profiles.model("Qwen/Qwen3-8B")


class TestTheUsersFolder:
    def test_a_gpu_of_the_same_name_replaces_the_shipped_one(self, write: Write) -> None:
        write("gpus/mine.toml", GPU.format(name="RTX-4090"))
        assert profiles.gpu("RTX 4090").mem_bw_gbs == 672
        assert len(profiles.gpus()) == 95

    def test_a_new_gpu_is_added_and_found_by_its_driver_name(self, write: Write) -> None:
        write("gpus/mine.toml", GPU.format(name="RTX-4070-Ti-SUPER"))
        assert profiles.gpu("NVIDIA GeForce RTX 4070 Ti SUPER").mem_bw_gbs == 672
        assert len(profiles.gpus()) == 96

    def test_the_override_ends_with_the_folder(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        write("gpus/mine.toml", GPU.format(name="RTX-4090"))
        assert profiles.gpu("4090").mem_bw_gbs == 672
        monkeypatch.setenv("SELFHOST_PROFILES", str(tmp_path / "empty"))
        assert profiles.gpu("4090").mem_bw_gbs == 1008

    def test_a_device_is_replaced_for_every_name_of_the_shipped_one(self, write: Write) -> None:
        """Its file does not have that alias in its text."""
        write("gpus/mine.toml", GPU.format(name="RTX-4090").replace("672", "900"))
        assert profiles.gpu("RTX 4090 24GB").mem_bw_gbs == 900

    def test_a_shipped_name_may_be_written_with_escapes(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Files are passed over by their text, which then does not have the name."""
        write("shipped/profiles/gpus/a.toml", GPU.format(name="Mine") + 'aliases = ["\\u004fur card"]\n')
        monkeypatch.setattr("toolkit.paths.data_root", lambda: tmp_path / "shipped")
        assert profiles.gpu("our card").name == "Mine"

    def test_a_shipped_file_without_the_name_is_not_parsed(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write("shipped/profiles/gpus/a.toml", GPU.format(name="Mine"))
        write("shipped/profiles/gpus/b.toml", "[[gpu]\n")
        monkeypatch.setattr("toolkit.paths.data_root", lambda: tmp_path / "shipped")
        assert profiles.gpu("mine").name == "Mine"
        with pytest.raises(ProfileError):
            profiles.gpus()

    def test_a_name_wins_over_anothers_alias(self, write: Write) -> None:
        write("gpus/mine.toml", GPU.format(name="Mine") + 'aliases = ["RTX 4090", "my card"]\n')
        assert profiles.gpu("RTX 4090").name == "RTX-4090"
        assert profiles.gpu("My Card").name == "Mine"

    def test_a_model_replaces_the_shipped_one(self, write: Write) -> None:
        write("models/llama-3.1-8b.toml", MODEL.format(name="llama-3.1-8b", aliases="[]"))
        assert profiles.model("Llama-3.1-8B").config == {"hidden_size": 64}
        assert profiles.models()["llama-3.1-8b"].config == {"hidden_size": 64}

    def test_aliases_of_a_replaced_model_lead_to_the_new_one(self, write: Write) -> None:
        write("models/llama-3.1-8b.toml", MODEL.format(name="llama-3.1-8b", aliases='["our-llama"]'))
        for alias in ("meta-llama/Meta-Llama-3.1-8B", "our llama"):
            assert profiles.model(alias).config == {"hidden_size": 64}

    def test_a_new_model_is_found_by_its_alias(self, write: Write) -> None:
        write("models/ours.toml", MODEL.format(name="ours", aliases='["acme/Ours-7B"]'))
        assert profiles.model("acme/ours_7b").name == "ours"

    def test_an_alias_may_stand_after_a_bracket_in_a_text(self, write: Write) -> None:
        """The head of a file is cut at its first table; a line that only looks like one must not hide an alias."""
        text = 'notes = """\n[not a table]\n"""\n' + MODEL.format(name="ours", aliases='["acme/Ours-7B"]').lstrip()
        write("models/ours.toml", text)
        assert profiles.model("acme/Ours-7B").name == "ours"

    def test_a_price_of_the_same_offer_replaces_the_shipped_one(self, write: Write) -> None:
        offer = {"provider": "verda", "gpu": "H100-SXM-80GB", "machine": "1H100.80S.32V", "kind": "on_demand"}
        write("prices/mine.toml", PRICE.format(usd=2.05, **offer))
        ours = [p for p in profiles.gpu_prices_for("H100 SXM") if p.provider == "verda" and p.kind == "on_demand"]
        assert [str(p.usd_per_hour) for p in ours] == ["2.05"]
        shipped = (data_root() / "profiles" / "prices" / "gpu-rental.toml").read_text()
        assert len(profiles.gpu_prices()) == shipped.count("[[gpu_price]]")


class TestWhatABrokenFileSays:
    """Every message names the file, the key where there is one, and the reason; the exit status is 2."""

    def fails(self, file: Path, *parts: str, look: Callable[[], object] = profiles.gpus) -> None:
        with pytest.raises(ProfileError) as caught:
            look()
        assert caught.value.exit_status == 2
        for part in (str(file), *parts):
            assert part in caught.value.message

    def test_no_toml(self, write: Write) -> None:
        self.fails(write("gpus/mine.toml", "[[gpu]]\nname = \n"), "not TOML", "line 2")

    def test_not_text(self, write: Write) -> None:
        file = write("gpus/mine.toml", "")
        file.write_bytes(b'name = "\xff"')
        self.fails(file, "UTF-8")

    def test_far_too_large(self, write: Write) -> None:
        self.fails(write("gpus/mine.toml", "#" * (profiles.MAX_BYTES + 1)), "1,048,577 bytes")

    def test_a_folder_in_place_of_a_file(self, write: Write) -> None:
        folder = write("gpus/x", "").parent / "mine.toml"
        folder.mkdir()
        self.fails(folder, "cannot be read")

    @pytest.mark.parametrize(
        ("line", "key"),
        [
            ('mem_bw_gbs = "fast"', "Mine.mem_bw_gbs"),
            ('mem_bw_gbs = "672"', "Mine.mem_bw_gbs"),
            ("mem_bw_gbs = -1", "Mine.mem_bw_gbs"),
            ("mem_bw_gbs = nan", "Mine.mem_bw_gbs"),
            ("mem_bw_gbs = inf", "Mine.mem_bw_gbs"),
            ("checked = 20261101", "Mine.checked"),
            ('source = ""', "Mine.source"),
            ('device_class = "gaming"', "Mine.device_class"),
            ('aliases = "one"', "Mine.aliases"),
            ("aliases = [1]", "Mine.aliases.0"),
            ("bandwidth = 3", "Mine.bandwidth"),
        ],
    )
    def test_a_wrong_value(self, write: Write, line: str, key: str) -> None:
        name = line.partition(" ")[0]
        kept = [old for old in GPU.format(name="Mine").splitlines() if not old.startswith(name)]
        self.fails(write("gpus/mine.toml", "\n".join([*kept, line])), key)

    @pytest.mark.parametrize("key", ["source", "checked", "vendor"])
    def test_a_missing_key(self, write: Write, key: str) -> None:
        kept = [line for line in GPU.format(name="Mine").splitlines() if not line.startswith(key)]
        self.fails(write("gpus/mine.toml", "\n".join(kept)), f"Mine.{key}", "required")

    def test_no_name(self, write: Write) -> None:
        kept = GPU.format(name="One") + GPU.format(name="x").replace('name = "x"\n', "")
        self.fails(write("gpus/mine.toml", kept), "gpu[2].name")

    def test_one_name_twice(self, write: Write) -> None:
        write("gpus/a.toml", GPU.format(name="My-Card"))
        self.fails(write("gpus/b.toml", GPU.format(name="my card".replace(" ", "-"))), "my-card", "a.toml")

    def test_another_table(self, write: Write) -> None:
        self.fails(write("gpus/mine.toml", "[gpus]\n"), "gpus", "[[gpu]]")

    def test_a_table_in_place_of_an_array(self, write: Write) -> None:
        self.fails(write("gpus/mine.toml", "[gpu]\n"), "[[gpu]]")

    def test_a_model_file_called_otherwise(self, write: Write) -> None:
        file = write("models/ours.toml", MODEL.format(name="theirs", aliases="[]"))
        self.fails(file, "name", "'ours'", look=lambda: profiles.model("ours"))

    def test_a_model_file_name_in_capitals(self, write: Write) -> None:
        file = write("models/Ours.toml", MODEL.format(name="Ours", aliases="[]"))
        self.fails(file, "lower-case", look=profiles.models)

    def test_a_broken_model_does_not_stop_another(self, write: Write) -> None:
        file = write("models/broken.toml", MODEL.format(name="broken", aliases="[]").replace('"broken"', "1"))
        assert profiles.model("qwen3-8b").hub_id == "Qwen/Qwen3-8B"
        self.fails(file, "name", look=lambda: profiles.model("broken"))
        self.fails(file, "name", look=profiles.models)

    @pytest.mark.parametrize(
        ("offers", "key", "reason"),
        [
            ([("on_demand", "1", "L4"), ("spot", "1", "L4")], "gpu_price[2].usd_per_hour", "spot 1 is not below"),
            ([("spot", "2", "L4"), ("on_demand", "1", "L4")], "gpu_price[1].usd_per_hour", "not below on demand 1"),
            ([("on_demand", "100", "L4")], "gpu_price[1].usd_per_hour", "less than 100"),
            ([("on_demand", "0", "L4")], "gpu_price[1].usd_per_hour", "greater than 0"),
            ([("on_demand", "1", "L4"), ("on_demand", "2", "L4")], "gpu_price[2]", "twice"),
            ([("on_demand", "1", "H300-SXM")], "gpu_price[1].gpu", "H200-SXM"),
            ([("monthly", "1", "L4")], "gpu_price[1].kind", "on_demand"),
        ],
    )
    def test_a_wrong_price(self, write: Write, offers: list[tuple[str, str, str]], key: str, reason: str) -> None:
        text = "".join(
            PRICE.format(provider="p", gpu=gpu, usd=usd, kind=kind, machine="m") for kind, usd, gpu in offers
        )
        self.fails(write("prices/mine.toml", text), key, reason, look=profiles.gpu_prices)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(junk=st.binary(max_size=200))
def test_no_bytes_in_a_profile_do_anything_worse_than_profile_error(
    junk: bytes, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path_factory.mktemp("user")
    for folder in ("gpus", "models", "workloads", "prices"):
        (root / folder).mkdir()
        (root / folder / "junk.toml").write_bytes(junk)
    monkeypatch.setenv("SELFHOST_PROFILES", str(root))
    for look in (profiles.gpus, lambda: profiles.model("junk"), profiles.workloads, profiles.gpu_prices):
        message = "junk.toml"
        try:
            look()
        except ProfileError as error:
            message = error.message
        assert "junk.toml" in message


def test_schemas_are_those_of_the_types(tmp_path: Path) -> None:
    """The shipped JSON Schemas are written by `write_schemas`; they may not drift from the types."""
    profiles.write_schemas(tmp_path)
    written = {file.name: file.read_text() for file in tmp_path.iterdir()}
    shipped = {file.name: file.read_text() for file in (data_root() / "profiles" / "schema").iterdir()}
    assert {"gpu.schema.json", "gpu_price.schema.json", "model.schema.json", "workload.schema.json"} <= set(written)
    assert written == shipped
