"""Text is legible in both schemes: WCAG AA asks for a contrast of 4.5."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handbook.assets import THEME
from handbook.colours import DarkCode, LightCode

if TYPE_CHECKING:
    from pygments.style import Style  # type: ignore[import-untyped]

ENOUGH = 4.5

CSS = (Path(THEME) / "site.css").read_text("utf-8")


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb` (WCAG 2.2, definition)."""
    parts = [int(colour.lstrip("#")[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def colours(scheme: str) -> dict[str, str]:
    """Return the colours that site.css gives a scheme, by the property's name."""
    light, dark = CSS.split("/* dark */")
    dark = dark.split("/* end of dark */")[0]
    found = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})\b", light))
    if scheme == "dark":
        found |= dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})\b", dark))
    return found


def test_contrast_is_known_to_be_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("style", [LightCode, DarkCode])
def test_every_token_of_code_is_legible(style: type[Style]) -> None:
    scheme = "dark" if style is DarkCode else "light"
    behind = {
        style.background_color,
        style.highlight_color,
        colours(scheme)["color-code-background"],
        colours(scheme)["color-highlight-on-target"],
    }
    pale = [
        (str(token), drawn["color"], background)
        for token, drawn in style
        for background in behind
        if contrast(drawn["color"] or "ffffff", background) < ENOUGH
    ]
    assert not pale


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_are_legible(scheme: str) -> None:
    used = colours(scheme)
    text = ["accent", "good", "bad"]
    text += [f"color-foreground-{kind}" for kind in ("primary", "secondary", "muted")]
    behind = ["color-background-primary", "color-background-secondary"]
    behind += ["color-code-background", "color-inline-code-background"]
    pale = [
        (name, background, round(contrast(used[name], used[background]), 2))
        for name in text
        for background in behind
        if contrast(used[name], used[background]) < ENOUGH
    ]
    assert contrast(used["accent"], used["accent-soft"]) >= ENOUGH
    assert not pale


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_words_of_a_timeline_are_legible(scheme: str) -> None:
    used = colours(scheme)
    text = [f"tl-{k}" for k in ("call", "bytes", "state", "error", "text", "muted")]
    behind = ["color-background-primary", "tl-kernel-bg"]
    pale = [
        (name, background, round(contrast(used[name], used[background]), 2))
        for name in text
        for background in behind
        if contrast(used[name], used[background]) < ENOUGH
    ]
    assert not pale
    assert {"tl-lane", "tl-blocked", "tl-line"} <= set(used)
