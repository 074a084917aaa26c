"""How is a unit operation printed? Its equations with their numbers, then the table of its symbols."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from titer.flowsheets.reporting.equations import WIDEST, Facts
from titer.flowsheets.reporting.markup import Html, code, heading, number, paragraph, table, text, unit_html

_SMALLEST = 0.55  # of its size, to which a wide equation is reduced


def unit_of(unit: Facts, numbers: Iterator[int]) -> Html:
    """One unit operation; `numbers` go on from equation to equation."""
    title = heading(3, f"{unit['name']} ({unit['class']})")
    parts: list[str] = [title, paragraph(f"{_arrows(unit['summary'])} Time t is counted in {unit['time']}.".strip())]
    if "unprinted" in unit:
        parts.append(paragraph(unit["unprinted"], "quiet"))
    for group in unit["groups"]:
        parts.append(heading(4, group["title"]))
        parts += [_equation(equation, next(numbers)) for equation in group["equations"]]
        if group["note"]:
            parts.append(paragraph(group["note"], "more"))
    for key in ("assumptions", "source"):
        if unit.get(key):
            parts.append(paragraph(Html(f"<strong>{key.capitalize()}:</strong> {escape(unit[key])}"), "quiet"))
    return Html("".join(parts) + _symbols(unit))


def _equation(equation: Facts, n: int) -> str:
    wide = equation.get("width", 0.0)
    style = f' style="font-size:{max(_SMALLEST, WIDEST / wide):.2f}em"' if wide else ""
    note = f"{escape(equation['note'])}&#8195;" if equation["note"] else ""
    tag = f'<span class="tag">{note}({n})</span>'
    return f'<div class="equation"><div{style}>{equation["mathml"]}</div>{tag}</div>\n'


def _symbols(unit: Facts) -> Html:
    sourced = any(row.get("source") for row in unit["symbols"])
    rows = []
    for row in unit["symbols"]:
        size = f" ({' × '.join(map(str, row['size']))})" if row["size"] else ""
        value = row.get("value")
        shown = Html(f"{_values(value)}{' (decided)' if row.get('decided') else ''}")
        cells = [
            Html(row["mathml"]),
            code(row["name"].split(".", 1)[1]),
            _arrows(row["meaning"]),
            f"{row['kind']}{size}",
            unit_html(row["unit"]) or "1",
            shown,
            _range(row.get("lower"), row.get("upper")),
        ]
        rows.append([*cells, row.get("source")] if sourced else cells)
    columns = ["symbol", "in code", "meaning", "kind", "unit", "value or start", "bounds"]
    return table(
        f"Symbols of {unit['name']}", [*columns, "source of value"] if sourced else columns, rows, kind="symbols"
    )


def _arrows(words: str) -> str:
    return words.replace("->", "→")


def _values(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"lowest", "highest"}:
        return f"{number(value['lowest'])} … {number(value['highest'])}"
    return text(value)


def _range(lower: Any, upper: Any) -> Html:
    if isinstance(lower, dict) or isinstance(upper, dict):
        return Html(f"{_values(lower)} to {_values(upper)}")
    if lower is None and upper is None:
        return text(None)
    if upper is None:
        return Html(f"≥ {number(lower)}")
    return Html(f"≤ {number(upper)}") if lower is None else Html(f"{number(lower)}&#160;…&#160;{number(upper)}")
