"""Colours by the part they play, for light and dark backgrounds.

Series take the Okabe-Ito colours, which people with colour blindness tell apart; ordered
quantities take ten steps of cividis (Nuñez, Anderton & Renslow 2018). A figure is drawn once with
a stand-in colour per part; the page decides what each part looks like.
"""

from __future__ import annotations

from collections.abc import Mapping

SERIES = 6  # Okabe-Ito without black, which is the ink, and yellow, which white paper swallows
SHADES = 10

LIGHT: Mapping[str, str] = {
    "ink": "#16191d",
    "soft": "#4d555f",
    "rule": "#8a929c",
    "grid": "#e3e6ea",
    "quiet": "#858d97",
    "paper": "#ffffff",
    **dict(zip(
        (f"c{i}" for i in range(SERIES)),
        ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"), strict=True)),
    **dict(zip(
        (f"r{i}" for i in range(SHADES)),
        ("#00224e", "#002f6d", "#233c6e", "#3b496c", "#4e566c",
         "#5e636f", "#6f7073", "#7f7e78", "#928c78", "#a39a74"), strict=True)),
}  # fmt: skip

DARK: Mapping[str, str] = {
    "ink": "#eceff3",
    "soft": "#b3bac4",
    "rule": "#737c88",
    "grid": "#2b313a",
    "quiet": "#8b939e",
    "paper": "#14171b",
    **dict(zip(
        (f"c{i}" for i in range(SERIES)),
        ("#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#0072b2"), strict=True)),
    **dict(zip(
        (f"r{i}" for i in range(SHADES)),
        ("#6b6d72", "#797977", "#888578", "#989277", "#a89e73",
         "#baac6d", "#cbb965", "#ddc858", "#efd748", "#fee838"), strict=True)),
}  # fmt: skip


def stand_in(part: str) -> str:
    """The colour that stands for a part while a figure is drawn; see `parts_by_stand_in`."""
    return f"#a5{list(LIGHT).index(part):02x}5a"


def parts_by_stand_in() -> dict[str, str]:
    """The part that each stand-in colour means."""
    return {stand_in(part): part for part in LIGHT}


def figure_css() -> str:
    """The style rules of all parts: variables by theme, and a fill and a stroke class each."""
    rules = [
        f":root{{{_variables(LIGHT)}}}",
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}",
    ]
    rules += [f".f-{part}{{fill:var(--{part})}}.s-{part}{{stroke:var(--{part})}}" for part in LIGHT]
    return "\n".join(rules)


def _variables(theme: Mapping[str, str]) -> str:
    return ";".join(f"--{part}:{colour}" for part, colour in theme.items())
