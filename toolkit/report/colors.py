"""One colour a load level, ordered like the load: a ramp that stays readable on paper white and on near-black."""

from __future__ import annotations

import colorsys

LIGHT = ((0.50, 0.78, 0.36), (0.87, 0.62, 0.37))
"""(hue, saturation, lightness) of the least and the greatest load on a light page, each 0…1."""
DARK = ((0.50, 0.48, 0.56), (0.87, 0.78, 0.76))


def level_colors(n: int) -> str:
    """CSS rules for the classes ``l0`` … of ``n`` levels, light and dark."""
    light = "".join(f".l{i}{{--c:{_between(LIGHT, i, n)}}}" for i in range(n))
    dark = "".join(f".l{i}{{--c:{_between(DARK, i, n)}}}" for i in range(n))
    return f"{light}@media(prefers-color-scheme:dark){{{dark}}}@media print{{{light}}}"


def _between(ends: tuple[tuple[float, float, float], tuple[float, float, float]], i: int, n: int) -> str:
    share = i / (n - 1) if n > 1 else 0.25
    hue, saturation, lightness = (a + (b - a) * share for a, b in zip(*ends, strict=True))
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
