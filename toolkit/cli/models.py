"""`selfhost models`: the models we know by name, and which of them have their file here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.types import ModelProfile

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

COLUMNS = ("model", ">params", ">active", ">context", "file", "licence", "Hugging Face id")


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="Show one model in full, by any of its names.")] = None,
    text: Annotated[str | None, typer.Option("--filter", "-f", help="Only models that mention this.")] = None,
    as_json: o.Json = False,
) -> None:
    """Browse the model profiles."""
    from toolkit import profiles
    from toolkit.cli.listing import one_way
    from toolkit.cli.output import emit
    from toolkit.types import ModelList

    one_way(name, text)
    found = [profiles.model(name)] if name else _sorted(text)
    if as_json:
        emit(ModelList(models=tuple(found), installed={m.name: _installed(m) for m in found if m.packaged}))
    elif name:
        _page(found[0])
    else:
        _table(found)


def _sorted(text: str | None) -> list[ModelProfile]:
    """The models that mention the text, by name with numbers as numbers: 2b before 27b."""
    from toolkit import profiles
    from toolkit.cli.listing import holds

    found = [
        m
        for m in profiles.models().values()
        if holds(text, (m.name, *m.aliases, m.hub_id, m.licence, m.config.get("model_type")))
    ]
    return sorted(found, key=lambda m: [(float(d or 0), w) for d, w in re.findall(r"(\d+(?:\.\d+)?)|([^\d]+)", m.name)])


def _installed(model: ModelProfile) -> str | None:
    """Path of the packaged file when its distribution is installed here."""
    from toolkit.models import embedded

    path = embedded.find(model.packaged) if model.packaged else None
    return str(path) if path else None


def _file(model: ModelProfile) -> str:
    if not model.packaged:
        return ""
    return "installed" if _installed(model) else "not installed"


def _where(model: ModelProfile) -> str | None:
    """The path of the packaged file, or the command that brings it."""
    if not model.packaged:
        return None
    return _installed(model) or f"not installed; pip install {model.packaged.distribution}"


def _billions(value: float | None) -> str:
    from toolkit.cli.listing import figure

    return f"{figure(value)}B" if value else ""


def _table(found: list[ModelProfile]) -> None:
    from toolkit.cli.listing import draw_rows, figure

    rows = [
        (
            m.name,
            _billions(m.params_b),
            _billions(m.active_params_b),
            figure(_language(m).get("max_position_embeddings")),
            _file(m),
            m.licence or "",
            m.hub_id or "",
        )
        for m in found
    ]
    draw_rows(COLUMNS, rows, f"{len(rows)} models. `selfhost models NAME` shows one with its source.")


def _language(model: ModelProfile) -> dict[str, Any]:
    """The language model's part of a configuration that also has eyes or ears."""
    nested = model.config.get("text_config")
    return nested if isinstance(nested, dict) else model.config


def _page(model: ModelProfile) -> None:
    from toolkit.cli.listing import draw_record, figure

    config = _language(model)
    quantized = model.config.get("quantization_config") or config.get("quantization_config") or {}
    experts = next((config[k] for k in ("num_experts", "n_routed_experts", "num_local_experts") if k in config), None)
    facts = (
        ("also called", ", ".join(model.aliases)),
        ("Hugging Face id", model.hub_id),
        ("file", _where(model)),
        ("licence", model.licence),
        ("parameters", _billions(model.params_b)),
        ("active parameters", _billions(model.active_params_b)),
        ("architecture", ", ".join(model.config.get("architectures", ()))),
        ("layers", figure(config.get("num_hidden_layers"))),
        ("hidden size", figure(config.get("hidden_size"))),
        ("attention heads", figure(config.get("num_attention_heads"))),
        ("key-value heads", figure(config.get("num_key_value_heads"))),
        ("experts", figure(experts)),
        ("vocabulary", figure(config.get("vocab_size"))),
        ("longest context", figure(config.get("max_position_embeddings"), "tokens")),
        (
            "published as",
            None
            if model.packaged
            else quantized.get("quant_method") or config.get("torch_dtype") or config.get("dtype"),
        ),
        ("notes", model.notes),
        ("source", model.source),
        ("checked", model.checked.isoformat()),
    )
    draw_record(model.name, facts)
