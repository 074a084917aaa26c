"""How is a result printed? Its status, objective and limits, and the certificate in words and numbers."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from titer.flowsheets.reporting.equations import Facts
from titer.flowsheets.reporting.markup import (
    Html,
    code,
    duration,
    formula,
    in_line,
    number,
    pairs,
    paragraph,
    quantity,
    table,
    text,
    unit_html,
)

MOST_STATES = 12  # that are listed in summaries; the JSON has all

_STATS = {
    "variables": "variables of the program",
    "rows": "equations and limits of the program",
    "seconds_total": "time in all [s]",
    "seconds_simulation": "of which structure and simulation [s]",
    "seconds_transcribe": "of which transcription [s]",
    "seconds_create": "of which derivatives and scaling [s]",
    "seconds_solve": "of which solving [s]",
    "seconds_second_start": "of which the second start [s]",
    "seconds_certificate": "of which the certificate [s]",
}


def status_of(run: Facts, named: bool) -> str:
    """The box at the top: how the run ended, and whether to trust it."""
    status, certificate, objective = run["status"], run["certificate"], run["objective"]
    ok = status["ok"] and (certificate is None or certificate["ok"])
    said = status["text"] if run["kind"] != "simulation" or not status["ok"] else "simulated to the end of the recipe"
    said = f"{run['name']} – {said}" if named else said
    lines = [f"<strong>{escape(said[:1].upper() + said[1:])}.</strong>"]
    if status["message"] and not status["ok"]:
        lines.append(escape(status["message"]))
    length = f"duration {duration(sum(run['duration'].values()), run['time'])}"
    reached = f"{_sense(objective)} {quantity(objective['value'], objective.get('unit', ''))}, " if objective else ""
    found = f"{reached}{length}"
    lines.append(f"{found[:1].upper()}{found[1:]}.")
    if certificate is not None:
        holds = "The certificate holds" if certificate["ok"] else "<strong>The certificate does not hold</strong>"
        deviation = number(certificate["largest_deviation"], 2)
        lines.append(
            f"{holds}{_because(certificate)}. Replayed by an independent integrator, states deviate by up to "
            f"{deviation} of their size."
        )
    elif run["kind"] == "optimum":
        lines.append("No certificate: nothing here has been checked outside the solver.")
    kind = "status" if ok else "status fails"
    return f'<div class="{kind}">{"".join(f"<p>{line}</p>" for line in lines)}</div>\n'


def summary_of(run: Facts) -> str:
    """The main numbers: objective, duration, limits that are active, where the states end."""
    entries: dict[str, Any] = {}
    if run["objective"]:
        entries[_sense(run["objective"])] = quantity(run["objective"]["value"], run["objective"].get("unit", ""))
    entries["duration"] = duration(sum(run["duration"].values()), run["time"])
    if run["limits"]:
        active = [limit["name"] for limit in run["limits"] if limit.get("active")]
        entries["active limits"] = ", ".join(active) or "none"
    ends = list(run["ends"].items())
    rows = [[code(name), number(end["value"]), unit_html(end["unit"])] for name, end in ends[:MOST_STATES]]
    return pairs("", entries) + table("At the end", ["variable", "value", "unit"], rows)


def objective_of(run: Facts) -> str:
    """What was made best, as a formula."""
    objective = run["objective"]
    if objective is None:
        return paragraph("A simulation: nothing was optimized.")
    if "where" not in objective:
        value = Html(f"Objective at the optimum: <strong>{number(objective['value'], 8)}</strong>.")
        missing = "Its formula and the values at the limits are not part of a solution that was loaded from a file."
        return paragraph(value) + paragraph(missing)
    several = objective["scenarios"] > 1
    scenarios = f", the {objective['measure']} of {objective['scenarios']} scenarios" if several else ""
    where = f", {objective['where']}" if objective["where"] in ("at the start", "at the end") else ""
    said = f"{objective['sense'].capitalize()}{where}{scenarios}:"
    value = Html(f"Value {_there(run)}: <strong>{quantity(objective['value'], objective['unit'])}</strong>.")
    decided = [code(name) for name in dict.fromkeys(x["name"] for x in (*run["inputs"], *run["numbers"]))]
    decided += [Html(f"the duration of {escape(phase['name'])}") for phase in run["phases"] if _is_decided(phase)]
    by = paragraph(Html(f"Decided: {', '.join(decided)}.")) if decided else ""
    return paragraph(said, "lead") + formula(objective) + paragraph(value) + by


def limits_of(run: Facts) -> str:
    """Every limit with its value, and whether it is active."""
    if run["limits"] is None:
        known = [[name, number(value, 2)] for name, value in (run["missed_on_replay"] or {}).items()]
        return table("Largest violation of each limit on the replay", ["limit", "missed by"], known)
    if not run["limits"]:
        return paragraph("No limits besides the bounds of the decisions and the physical domains of the states.")
    rows = []
    for limit in run["limits"]:
        side = Html(f"<strong>yes, {limit['side']}</strong>") if limit.get("active") else "no"
        drawn = in_line(limit) if "mathml" in limit else ""
        values = [limit.get(key) for key in ("lower", "upper", "value")]
        missed = number(limit.get("missed_on_replay"), 2)
        unit = unit_html(limit.get("unit", ""))
        rows.append([limit["name"], drawn, limit["where"], *values, unit, limit.get("time"), side, missed])
    columns = ["limit", "of", "where", "lower", "upper", "value", "unit", f"at [{run['time']}]", "active"]
    note = (
        "Value: where it is nearest to the limit. Active: within a ten-thousandth of its size. Missed: on the replay."
    )
    if (run["objective"] or {}).get("scenarios", 1) > 1:
        note += (
            " Of several scenarios, values are of the one whose trajectories are shown, and missed is what the worst "
            "misses; a limit that is a chance is counted where it has to hold."
        )
    return table(f"Limits {_there(run)}", [*columns, "missed by"], rows) + paragraph(note, "quiet")


def certificate_of(run: Facts) -> str:
    """The certificate in words and numbers."""
    c = run["certificate"]
    if c is None:
        return ""
    deviations = sorted(c["deviation"].items(), key=_size)
    worst = deviations[0][0] if deviations else ""
    residuals = ", ".join(f"{k} {number(c[k], 2)}" for k in ("stationarity", "feasibility", "complementarity"))
    relaxed, left = (number(x, 2) for x in c["relaxed"])
    checked = f"On that replay, limits are missed by up to {number(c['largest_violation'], 2)} of their size."
    said = {
        "Replay": "The decisions were run again, piece by piece, by another integrator (IDAS). States deviate by up "
        f"to {number(c['largest_deviation'], 2)} of their size{f' ({escape(worst)})' if worst else ''}.",
        "Limits between grid points": checked if c["violation"] else "There is no limit to check.",
        "Optimality conditions": f"Recomputed outside the solver and scaled: {residuals}.",
        "Physical domains": f"Relaxed by {relaxed} of the nominal sizes; left by at most {left}.",
    }
    holds = "It holds" if c["ok"] else "It does not hold"
    rows = [[code(name), number(value, 2)] for name, value in deviations]
    return (
        paragraph(Html(f"<strong>{holds}</strong>{_because(c)}."))
        + pairs("", {name: Html(line) for name, line in said.items()})
        + table("Largest deviation on the replay", ["state", "relative to its size"], rows[:MOST_STATES])
    )


def corrections_of(run: Facts) -> str:
    """What was learned from data: where it acts along this run, how large, and how much of it the data cover."""
    rows = [
        [code(c["on"]), c["acts"], Html(", ".join(code(name) for name in c["features"])), c["model"]]
        + [number(c[key], 4) for key in ("lowest", "highest", "band", "farthest", "share_within")]
        for c in run["corrections"]
    ]
    columns = ["of", "acts as", "predicted from", "by", "lowest", "highest", "widest band", "farthest", "share within"]
    valid = [paragraph(Html(f"{code(c['on'])}: {escape(c['domain'])}."), "quiet") for c in run["corrections"]]
    note = "Widest band: four standard deviations of the prediction. Farthest: from the data, 1 at their edge."
    return table("", columns, rows) + "".join(valid) + paragraph(note, "quiet") if rows else ""


def explanation_of(run: Facts) -> str:
    """Why it ended as it did: what holds an optimum, what is in the way of one."""
    said = run["explanation"]
    lines = "".join(f"<li>{escape(line)}</li>" for line in said["lines"])
    headline = paragraph(Html(f"<strong>{escape(said['verdict'].capitalize())}</strong>: {escape(said['headline'])}"))
    return headline + (f"<ul>{lines}</ul>" if lines else "")


def start_of(run: Facts) -> str:
    """The start ladder and the effort."""
    rows = [[rung["name"], number(rung["seconds"], 3), rung["result"]] for rung in run["start_report"]]
    stats = {
        _STATS.get(key, key.replace("_", " ")): number(value, 4)
        for key, value in run["stats"].items()
        if value is not None and value not in ([], {})
    }
    return table("Start report", ["step", "seconds", "result"], rows) + pairs(
        "Effort", {key: text(value) for key, value in stats.items()}
    )


def _sense(objective: Facts) -> str:
    return {"maximize": "objective (maximized)", "minimize": "objective (minimized)"}.get(
        objective["sense"], "objective"
    )


def _there(run: Facts) -> str:
    return "at the optimum" if run["status"]["ok"] else "where the solver stopped"


def _size(deviation: tuple[str, Any]) -> float:
    """The largest first, and before it what is no finite number."""
    return -deviation[1] if isinstance(deviation[1], int | float) else -math.inf


def _is_decided(phase: Facts) -> bool:
    return "free" in phase and "until" not in phase


def _because(certificate: Facts) -> str:
    return f": {escape(certificate['message'])}" if certificate["message"] else ""
