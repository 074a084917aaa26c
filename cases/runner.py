"""How is a case run? Progress and a table of claims on the screen; results.json, a report and pictures in a folder."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from titer.cases.case import Case, Claim, Outcome, Progress
from titer.cases.record import atomically, versions, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
WIDTH_OF_A_LOG = 120
REPORT = "report.html"


def run(
    chosen: Case,
    settings: Mapping[str, Any] | None = None,
    out: Path | None = None,
    console: Console | None = None,
) -> bool:
    """Run a case and say whether all its claims hold; write to `out`, by default to results/CASE.

    What the case raises is recorded in results.json with all that was known by then, and raised again.
    """
    console = console or terminal()
    complete = chosen.complete(settings or {})
    folder = Path("results") / chosen.name if out is None else Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.json"
    record = _begin(chosen, complete)
    write_json(results, record)  # so that a killed run cannot be taken for the one before it

    start = time.perf_counter()
    try:
        outcome = chosen(_progress(console, record["progress"], start), **complete)
        record |= _found(outcome)
        write_json(results, record)
        _report(console, outcome)
        drawn = {}
        for name, figure in outcome.figures.items():
            drawn[name] = figure() if callable(figure) else figure
            record["pictures"].append(_draw(folder, name, drawn[name]))
        record["report"] = _hand_in(folder, chosen, complete, outcome, drawn)
        record["state"] = "holds" if outcome.ok else "fails"
    except BaseException as error:  # also Ctrl-C: an hour's claims are not lost to it
        record |= {"state": "error", "error": {"type": type(error).__name__, "message": str(error)}}
        raise
    finally:
        record["seconds"] = round(time.perf_counter() - start, 3)
        write_json(results, record)
    _line(console, f"{folder}: {', '.join(['results.json', *record['pictures']])}; {record['seconds']:.1f} s")
    _line(console, f"report: {folder / record['report']}")
    return outcome.ok


def terminal() -> Console:
    """Return the console of the command line, which prints texts as they are: `c[3,product]` is no markup."""
    console = Console(markup=False, highlight=False, emoji=False)
    return console if console.is_terminal else Console(markup=False, highlight=False, emoji=False, width=WIDTH_OF_A_LOG)


def _begin(chosen: Case, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "case": chosen.name,
        "title": chosen.title,
        "state": "running",
        "settings": dict(settings),
        "claims": [],
        "facts": {},
        "notes": [],
        "pictures": [],
        "report": "",
        "progress": [],
        "versions": versions(),
        "seconds": 0.0,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _found(outcome: Outcome) -> dict[str, Any]:
    claims = [vars(claim) | {"ok": claim.ok} for claim in outcome.claims]
    return {"claims": claims, "facts": outcome.facts, "notes": list(outcome.notes)}


def _progress(console: Console, lines: list[dict[str, Any]], start: float) -> Progress:
    def progress(text: str) -> None:
        seconds = time.perf_counter() - start
        lines.append({"seconds": round(seconds, 3), "text": str(text)})
        _line(console, f"{seconds:7.1f} s  {text}")

    return progress


def _report(console: Console, outcome: Outcome) -> None:
    table = Table("claim", "value", "expected", "unit", "holds")
    for claim in outcome.claims:
        holds = ("yes", None) if claim.ok else ("NO", "bold red")
        table.add_row(_named(claim), _shown(claim.value), claim.wanted, claim.unit, holds[0], style=holds[1])
    console.print(table)
    for note in outcome.notes:
        _line(console, note)


def _named(claim: Claim) -> str:
    return f"{claim.name}\n  {claim.note}" if claim.note else claim.name


def _shown(value: float) -> str:
    return f"{value:.8g}" if math.isfinite(value) else str(value)


def _draw(folder: Path, name: str, drawn: Figure) -> str:
    picture = folder / f"{name}.png"
    atomically(picture, lambda file: drawn.savefig(file, dpi=DOTS_PER_INCH, bbox_inches="tight"))
    import matplotlib.pyplot as plt

    plt.close(drawn)
    drawn.set_layout_engine("none")  # the report draws it again, as it stands
    return picture.name


def _hand_in(
    folder: Path, chosen: Case, settings: Mapping[str, Any], outcome: Outcome, drawn: Mapping[str, Figure]
) -> str:
    """Write the report, to read and print, and its JSON; return its file name."""
    from titer.flowsheets import report

    written = report(
        outcome.solutions,
        folder / REPORT,
        title=chosen.title,
        claims=outcome.claims,
        figures={name.replace("_", " ").capitalize(): figure for name, figure in drawn.items()},
        settings=settings,
        notes=outcome.notes,
        sources=outcome.sources,
        data=outcome.data,
        sections={**outcome.sections, **({"Facts": outcome.facts} if outcome.facts else {})},
    )
    return written.name


def _line(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True)
