"""The colours of pages and charts, dark and light, and their style sheet.

Series have a contrast of 3:1 with their background, and texts one of 4.5:1 (WCAG 2.1, 1.4.3 and
1.4.11). Series remain distinguishable with colour vision deficiencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

#: By name, as in ``var(--name)``: backgrounds, texts, lines, series, grades and their
#: backgrounds.
LIGHT = {
    "page": "#f4f6f8",
    "card": "#ffffff",
    "ink": "#18202b",
    "soft": "#556070",
    "grid": "#e2e7ec",
    "rule": "#c9d0d8",
    "hover": "#18202b14",
    "link": "#0b5cad",
    "s1": "#0f4dbf",
    "s2": "#f75d02",
    "s3": "#28a579",
    "s4": "#7e2c76",
    "s5": "#8272b1",
    "late": "#f75d02",
    "interrupted": "#7e2c76",
    "missing": "#b12c33",
    "good": "#0b7040",
    "warning": "#855600",
    "issues": "#b81d27",
    "good-card": "#e7f5ec",
    "warning-card": "#fdf3dc",
    "issues-card": "#fdebeb",
}
DARK = {
    "page": "#0e1217",
    "card": "#161b22",
    "ink": "#e7ebf0",
    "soft": "#9ba7b6",
    "grid": "#29313b",
    "rule": "#3b4552",
    "hover": "#e7ebf01a",
    "link": "#6cb6ff",
    "s1": "#46a7fe",
    "s2": "#f9b92b",
    "s3": "#3bf0c4",
    "s4": "#a955a0",
    "s5": "#a39b81",
    "late": "#f9b92b",
    "interrupted": "#a955a0",
    "missing": "#f3655e",
    "good": "#4fce8b",
    "warning": "#efbb53",
    "issues": "#ff8079",
    "good-card": "#12261b",
    "warning-card": "#2a2211",
    "issues-card": "#301819",
}

#: The names of series, in order of use.
SERIES = ("s1", "s2", "s3", "s4", "s5")


def _variables(colours: Mapping[str, str], scheme: str) -> str:
    declared = "".join(f"--{name}:{colour};" for name, colour in colours.items())
    return f"{{color-scheme:{scheme};{declared}}}"


def _style() -> str:
    dark = _variables(DARK, "dark")
    return (
        f":root{_variables(LIGHT, 'light')}\n"
        f'@media (prefers-color-scheme:dark){{:root:not([data-theme="light"]){dark}}}\n'
        f':root[data-theme="dark"]{dark}\n'
    ) + Path(__file__).with_name("charts.css").read_text(encoding="utf-8")


#: The style sheet that charts need: the colours as variables, and the classes of marks.
STYLE = _style()
