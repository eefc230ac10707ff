"""The plots of a report as files: SVG that looks the same anywhere, PNG through a browser when there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

from toolkit.errors import EnvironmentFailedError
from toolkit.report.colors import level_colors

Format = Literal["svg", "png"]
FOLDER = "plots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER_S = 60.0
SCALE = 2
"""Pixels of a PNG for each unit of the drawing."""
_PLOT = re.compile(r'<svg class="plot [^>]*aria-labelledby="(?P<name>[\w-]+)-t [^>]*>.*?</svg>', re.S)
_BOX = re.compile(r'viewBox="0 0 (\d+) (\d+)"')
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


def export_plots(page: Path, kind: Format, levels: int) -> list[Path]:
    """Write each plot of a report into ``plots/`` beside it; the narrow twins for phones are left out.

    Raises:
        EnvironmentFailedError: the folder cannot be written, or a PNG was wanted and there is no browser.
    """
    browser = _browser() if kind == "png" else None
    folder = page.parent / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        return [
            _png(svg, folder / f"{name}.png", browser) if browser else _written(folder / f"{name}.svg", svg)
            for name, svg in standalone(page.read_text(encoding="utf-8"), levels).items()
        ]
    except OSError as error:
        raise EnvironmentFailedError(f"cannot write into {folder}: {error.strerror or error}") from error


def standalone(page: str, levels: int) -> dict[str, str]:
    """Every plot of a page as a whole SVG document, by name: light colours and the styles it needs inside."""
    return {
        found["name"].removesuffix("-w"): _document(found[0], levels)
        for found in _PLOT.finditer(page)
        if not found["name"].endswith("-n")
    }


def _document(svg: str, levels: int) -> str:
    width, height = _size(svg)
    plain = re.sub(r' (?:tabindex|data-points|role|aria-labelledby)="[^"]*"', "", svg)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    body = plain.replace("<svg ", head, 1)
    end = body.index(">") + 1
    paper = f'<rect width="{width}" height="{height}" fill="#fdfdfb"/>'
    return f"{body[:end]}<style>{_styles()}{_light(level_colors(levels))}</style>{paper}{body[end:]}\n"


def _size(svg: str) -> tuple[int, int]:
    box = _BOX.search(svg)
    return (int(box[1]), int(box[2])) if box else (440, 280)


@cache
def _styles() -> str:
    """The rules of `page.css` that plots need, with the colours of a light page."""
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    root = re.search(r":root \{[^}]*\}", css)
    plots = re.findall(r"^\.(?:plot|s\d)[^{@]*\{[^}]*\}.*$", css, re.M)
    kept = [rule for rule in plots if "narrow" not in rule and "focus" not in rule]
    return "\n".join([root[0] if root else "", *kept]).replace(" color-scheme: light dark;", "")


def _light(colors: str) -> str:
    return colors.partition("@media")[0]


def _written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


def _browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise EnvironmentFailedError(
            "there is no Chromium or Chrome to draw PNG with", "Export SVG instead, or install Chromium."
        )
    return found


def _png(svg: str, file: Path, browser: str) -> Path:
    width, height = _size(svg)
    with tempfile.TemporaryDirectory(prefix="selfhost-plot-") as folder:
        page = Path(folder) / "plot.html"
        page.write_text(f'<!doctype html><meta charset="utf-8"><body style="margin:0">{svg}', encoding="utf-8")
        words = [browser, *_FLAGS, f"--user-data-dir={folder}/profile", f"--window-size={width},{height}"]
        words += [f"--force-device-scale-factor={SCALE}", f"--screenshot={file.resolve()}", page.as_uri()]
        file.unlink(missing_ok=True)
        try:
            subprocess.run(words, capture_output=True, timeout=BROWSER_S, check=False)
        except subprocess.TimeoutExpired:
            raise EnvironmentFailedError(f"{browser} did not draw {file.name} in {BROWSER_S:.0f} s") from None
    if not file.is_file():
        raise EnvironmentFailedError(f"{browser} could not draw {file.name}", "Export SVG instead.")
    return file
