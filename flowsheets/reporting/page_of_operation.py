"""How is an operation printed? Phases, and what each does; inputs piece by piece; decided numbers; given inputs."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from titer.flowsheets.reporting.equations import Facts
from titer.flowsheets.reporting.markup import (
    Html,
    code,
    duration,
    in_line,
    number,
    paragraph,
    quantity,
    table,
    unit_html,
)

MOST_PIECES = 60  # of an input that are printed; the JSON has all


def recipe_of(run: Facts) -> str:
    """Phases with their times and what the recipe says of them."""
    time, total = run["time"], sum(run["duration"].values())
    rows = [[p["name"], p["start"], p["end"], p["duration"], _freedom(p)] for p in run["phases"]]
    columns = ["phase", f"start [{time}]", f"end [{time}]", f"duration [{time}]", "the duration is"]
    if not run["source_known"]:
        rows, columns = [row[:-1] for row in rows], columns[:-1]
    more = [[phase["name"], *line] for phase in run["phases"] for line in _special(phase)]
    return (
        table("Phases", columns, rows)
        + paragraph(Html(f"In all {duration(total, time)}."))
        + table("What else a phase does", ["phase", "what", "which", "value"], more)
    )


def decisions_of(run: Facts) -> str:
    """Inputs piece by piece, decided numbers, given inputs."""
    groups: dict[tuple[Any, ...], list[Facts]] = {}
    for entry in run["inputs"]:  # inputs whose pieces end together share a table
        groups.setdefault((entry["phase"], *(piece["from"] for piece in entry["pieces"])), []).append(entry)
    rows = [
        [code(x["name"]), x["value"], unit_html(x["unit"]), x["guess"], x["lower"], x["upper"], _at(x, x)]
        for x in run["numbers"]
    ]
    columns = ["name", "value", "unit", "tried first", "lower", "upper", "at a bound"]
    given = [[code(x["name"]), _given(x)] for x in run["given"]]
    return (
        "".join(_pieces(entries, run["time"]) for entries in groups.values())
        + table("Decided parameters and starts", columns, rows)
        + table("Given inputs", ["input", "value"], given)
    )


def _freedom(phase: Facts) -> Html:
    free = phase.get("free")
    if not free:
        return Html("given")
    at = f", at its {free['at']} limit" if free["at"] else ""
    words = "found by its condition" if "until" in phase else "decided"
    return Html(f"{words} in {number(free['lower'])} … {number(free['upper'])}{at}")


def _pieces(entries: Sequence[Facts], time: str) -> str:
    pieces = entries[0]["pieces"]
    columns: list[Any] = ["piece", f"from [{time}]", f"to [{time}]"]
    for entry in entries:
        unit = f" [{unit_html(entry['unit']) or '1'}]"
        ends = [""] if entry["constant"] else [" at start", " at end"]
        columns += [Html(f"{code(entry['name'])}{end}{unit}") for end in ends] + ["at a bound"]
    rows = [[i + 1, p["from"], p["to"], *_cells(entries, i)] for i, p in enumerate(pieces[:MOST_PIECES])]
    kind = " or ".join(dict.fromkeys(e["shape"] for e in entries))
    bounds = [
        f"{escape(e['name'])} in {number(e['lower'])} … {number(e['upper'])}"
        for e in entries
        if e["lower"] is not None and e["upper"] is not None
    ]
    count = f"{len(pieces)} {kind} {'piece' if len(pieces) == 1 else 'pieces'}"
    together = f" ({'; '.join(bounds)})" if bounds else ""
    caption = f"Phase {escape(entries[0]['phase'])}: {count}{together}"
    left = len(pieces) - len(rows)
    more = paragraph(f"{left} further pieces stand in the JSON.", "quiet") if left > 0 else ""
    return table(Html(caption), columns, rows) + more


def _cells(entries: Sequence[Facts], i: int) -> list[Any]:
    cells: list[Any] = []
    for entry in entries:
        piece = entry["pieces"][i]
        cells += [piece["value"]] if entry["constant"] else [piece["value"], piece["end"]]
        cells.append(_at(piece, entry))
    return cells


def _at(piece: Facts, bounds: Facts) -> str:
    """Which bound a value lies at; nothing where none is known."""
    known = bounds["lower"] is not None or bounds["upper"] is not None
    return (piece["at"] or "no") if known else ""


def _special(phase: Facts) -> list[list[Any]]:
    lines: list[list[Any]] = []
    if "until" in phase:
        lines.append(["ends when", in_line(phase["until"]), ""])
    lines += [["is idle", code(name), ""] for name in phase.get("idle", [])]
    lines += [["connects", route, ""] for route in phase.get("routes", [])]
    lines += [["acts at its start", code(action), ""] for action in phase.get("actions", [])]
    for key, words in (("fixed", "holds"), ("resets", "sets at its start"), ("inputs", "is given")):
        lines += [[words, code(x["name"]), _given(x)] for x in phase.get(key, [])]
    if phase.get("method"):
        lines.append(["is solved by", phase["method"], ""])
    return lines


def _given(entry: Facts) -> Html:
    return quantity(entry["value"], entry["unit"]) if "value" in entry else in_line(entry)
