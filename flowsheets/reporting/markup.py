"""How are facts written as HTML? Escaped texts, numbers as one reads them, tables with headers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from titer.flowsheets.reporting.letters import unit_text
from titer.flowsheets.reporting.mathml import number_text
from titer.flowsheets.symbols.measure import Measure
from titer.numerics.errors import DeclarationError

NOTHING = "–"
SHORT = 16  # rows of a table that is not broken over two pages


class Html(str):
    """A text that is HTML already."""

    __slots__ = ()


class Numeral(Html):
    """A number as HTML, set right in a table."""

    __slots__ = ()


def text(value: Any) -> Html:
    """Anything as HTML: numbers in six digits, truth values in words, texts escaped."""
    if isinstance(value, Html):
        return value
    if value is None:
        return Numeral(NOTHING)
    if isinstance(value, bool):
        return Html("yes" if value else "no")
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, Mapping):
        return Html(", ".join(f"{escape(str(k))}: {text(v)}" for k, v in value.items()))
    if isinstance(value, list | tuple):
        return Html(", ".join(text(v) for v in value))
    return Html(escape(str(value)))


def number(value: Any, digits: int = 6) -> Html:
    """2000000000 as 2 × 10⁹; what is no number as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text(value)
    if not math.isfinite(value):
        return Numeral(NOTHING)
    if isinstance(value, int) and abs(value) < 10**9:
        return Numeral(str(value).replace("-", "−"))
    shown, power = number_text(value, digits)
    shown = shown.replace("-", "−")
    return Numeral(f"{shown} × 10<sup>{power.replace('-', '−')}</sup>" if power else shown)


def quantity(value: Any, unit: str) -> Html:
    """A number with its unit."""
    shown = text(value)
    return shown if shown == NOTHING or not unit else Html(f"{shown} {unit_html(unit)}".rstrip())


def unit_html(unit: str) -> Html:
    """A unit as one writes it; a text that is no unit of measure, such as EUR/batch, as it is."""
    try:
        return Html(escape(unit_text(unit)))
    except DeclarationError:
        return Html(escape(unit))


def duration(value: float, unit: str) -> Html:
    """A time, with hours and minutes where its own unit is not the one that people use."""
    words = _hours(value, unit)
    return Html(f"{quantity(value, unit)}{f' ({words})' if words else ''}")


def formula(facts: Mapping[str, Any]) -> Html:
    """A formula on a line of its own; what could not be written as one is said to be a function."""
    if "mathml" not in facts:
        return paragraph("a function that is no formula: it stands in the script that made this run.", "quiet")
    return Html(f'<div class="equation"><div>{facts["mathml"]}</div></div>\n')


def in_line(facts: Mapping[str, Any]) -> Html:
    """A formula within a text or a table."""
    if "mathml" not in facts:
        return text(facts.get("text", ""))
    return Html(facts["mathml"].replace(' display="block"', ""))


def table(caption: Any, columns: Sequence[Any], rows: Sequence[Sequence[Any]], kind: str = "") -> Html:
    """A table whose first column names the rows; columns of numbers are set right. Without `columns` it has no head."""
    if not rows:
        return Html("")
    shown = [[text(cell) for cell in row] for row in rows]
    side = [_side(column) for column in zip(*shown, strict=True)]
    head = "".join(
        f'<th scope="col"{s}>{text(c)}</th>' if c else f"<td{s}></td>" for c, s in zip(columns, side, strict=False)
    )
    body = "".join(
        f'<tr><th scope="row"{side[0]}>{row[0]}</th>'
        + "".join(f"<td{s}>{cell}</td>" for cell, s in zip(row[1:], side[1:], strict=True))
        + "</tr>\n"
        for row in shown
    )
    named = f"<caption>{text(caption)}</caption>" if caption else ""
    kinds = " ".join(filter(None, (kind, "short" if len(rows) <= SHORT else "")))
    top = f"<thead><tr>{head}</tr></thead>\n" if columns else ""
    opening = f'<div class="wide"><table class="{kinds}">' if kinds else '<div class="wide"><table>'
    return Html(f"{opening}{named}{top}<tbody>{body}</tbody></table></div>\n")


def pairs(caption: str, entries: Mapping[str, Any]) -> Html:
    """A table of names and values."""
    rows = [[key, Html(text(value))] for key, value in entries.items() if value is not None]
    return table(caption, (), rows, kind="pairs")


def paragraph(content: Any, kind: str = "") -> Html:
    attribute = f' class="{kind}"' if kind else ""
    return Html(f"<p{attribute}>{text(content)}</p>\n")


def code(content: Any) -> Html:
    return Html(f"<code>{escape(str(content))}</code>")


def heading(level: int, content: str, anchor: str = "") -> Html:
    name = f' id="{anchor}"' if anchor else ""
    return Html(f"<h{level}{name}>{escape(content)}</h{level}>\n")


def _side(column: Sequence[Html]) -> str:
    """How a column is set: right, where all of it is numbers."""
    numbers = all(isinstance(cell, Numeral) for cell in column) and any(cell != NOTHING for cell in column)
    return ' class="number"' if numbers else ""


def _hours(value: float, unit: str) -> str:
    seconds = value * Measure.of(unit).factor
    if seconds < 120.0 or (unit == "min" and seconds < 7200.0) or (unit == "h" and seconds < 172800.0):
        return ""
    days, rest = divmod(round(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (left, "s")]
    first = next(i for i, (n, _) in enumerate(parts) if n)
    return " ".join(f"{n} {name}" for n, name in parts[first : first + 3] if n)
