"""How is a report read? The page: what was asked and found first, what it rests on after it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import count

from titer.flowsheets.reporting.equations import Facts
from titer.flowsheets.reporting.markup import (
    Html,
    code,
    heading,
    number,
    pairs,
    paragraph,
    quantity,
    table,
    text,
    unit_html,
)
from titer.flowsheets.reporting.page_of_operation import decisions_of, recipe_of
from titer.flowsheets.reporting.page_of_run import (
    certificate_of,
    corrections_of,
    explanation_of,
    limits_of,
    objective_of,
    start_of,
    status_of,
    summary_of,
)
from titer.flowsheets.reporting.page_of_unit import unit_of
from titer.flowsheets.reporting.pictures import Picture
from titer.flowsheets.reporting.style import CSS


def page_of(facts: Facts, pictures: Sequence[Picture], json_name: str) -> str:
    """The whole HTML document."""
    sections = {title: body for title, body in _sections(facts, pictures).items() if body}
    anchors = {title: f"s{i}" for i, title in enumerate(sections, start=1)}
    contents = "".join(f'<li><a href="#{anchors[title]}">{escape(title)}</a></li>' for title in sections)
    body = "".join(f"<section>\n{heading(2, t, anchors[t])}{content}</section>\n" for t, content in sections.items())
    made = f"titer {facts['versions']['titer']}, {facts['date'].replace('T', ' ').replace('+00:00', ' UTC')}"
    kinds = dict.fromkeys(run["kind"] if run["status"]["ok"] else f"unfinished {run['kind']}" for run in facts["runs"])
    subtitle = " · ".join([*kinds, made])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(facts['title'])}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<header>\n"
        f'<h1>{escape(facts["title"])}</h1>\n<p class="subtitle">{escape(subtitle)}</p>\n{_states(facts)}</header>\n'
        f'<nav aria-label="Contents"><ol>{contents}</ol></nav>\n<main>\n{body}</main>\n'
        f"<footer>The same facts, for machines: {code(json_name)}. Made with {escape(made)}.</footer>\n"
        "</body>\n</html>\n"
    )


def _states(facts: Facts) -> str:
    """How it ended, in a box: every run, and the claims."""
    named = len(facts["runs"]) > 1
    boxes = "".join(status_of(run, named) for run in facts["runs"])
    held = [claim["holds"] for claim in facts["claims"]]
    if held and all(held):
        boxes += f'<div class="status"><p><strong>All {len(held)} claims hold.</strong></p></div>\n'
    elif held:
        failed = [claim["name"] for claim in facts["claims"] if not claim["holds"]]
        boxes += (
            f'<div class="status fails"><p><strong>{len(failed)} of {len(held)} claims fail:</strong> '
            f"{escape('; '.join(failed))}</p></div>\n"
        )
    return boxes


def _sections(facts: Facts, pictures: Sequence[Picture]) -> dict[str, str]:
    runs, numbers = facts["runs"], count(1)
    sections = {
        "Summary": _summary(facts),
        "Claims": _claims(facts["claims"]),
        "What was solved": _each(runs, lambda run: objective_of(run) + limits_of(run)),
        "Certificate": _each(runs, certificate_of),
        "Explanation": _each(runs, explanation_of),
        "Recipe": _each(runs, recipe_of),
        "Decisions and inputs": _each(runs, decisions_of),
        "Learned corrections": _each(runs, corrections_of),
        "Pictures": "".join(_figure(picture) for picture in pictures),
    }
    for title, section in facts["sections"].items():
        sections[title if title not in sections else f"{title} (more)"] = _added(section)
    return sections | {
        "Equations and symbols": "".join(unit_of(unit, numbers) for unit in facts["units"]) or _no_equations(runs),
        "Start and effort": _each(runs, start_of),
        "Settings": pairs("", {name: text(value) for name, value in facts["settings"].items()}),
        "Versions and hashes": _origin(facts),
    }


def _each(runs: Sequence[Facts], section: object) -> str:
    """A section for every run, under its name where there are several."""
    bodies = [(run["name"], section(run)) for run in runs]  # type: ignore[operator]
    if len(bodies) == 1:
        return str(bodies[0][1])
    return "".join(heading(3, name[:1].upper() + name[1:]) + body for name, body in bodies if body)


def _summary(facts: Facts) -> str:
    notes = "".join(paragraph(note) for note in facts["notes"])
    if len(facts["runs"]) == 1:
        return notes + summary_of(facts["runs"][0])
    rows = []
    for run in facts["runs"]:
        certificate, objective = run["certificate"], run["objective"]
        holds = "" if certificate is None else "holds" if certificate["ok"] else "does not hold"
        length = quantity(sum(run["duration"].values()), run["time"])
        value = quantity(objective["value"], objective.get("unit", "")) if objective else ""
        rows.append([run["name"], run["kind"], run["status"]["name"], value, length, holds])
    return notes + table("", ["", "kind", "status", "objective", "duration", "certificate"], rows)


def _claims(claims: Sequence[Facts]) -> str:
    rows = []
    for claim in claims:
        name = Html(text(claim["name"]) + (f"<br><small>{text(claim['note'])}</small>" if claim["note"] else ""))
        holds = Html("yes") if claim["holds"] else Html("<strong>NO</strong>")
        rows.append([name, number(claim["value"], 8), _expected(claim["expected"]), unit_html(claim["unit"]), holds])
    return table("", ["claim", "value", "expected", "unit", "holds"], rows)


def _expected(wanted: str) -> Html:
    """`<= 0.12 +- 1e-05` as one writes it by hand."""
    signs = wanted.replace("<=", "≤").replace(">=", "≥").replace("+-", "±")
    words = []
    for word in signs.split(" "):
        try:
            words.append(str(number(float(word), 8)))
        except ValueError:
            words.append(escape(word))
    return Html(" ".join(words))


def _figure(picture: Picture) -> str:
    caption = escape(picture.caption)
    image = f'<img src="{picture.address}" alt="{escape(picture.alt)}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>\n"


def _added(section: Facts) -> str:
    if "columns" in section:
        units = [i for i, column in enumerate(section["columns"]) if column == "unit"]
        rows = [[unit_html(str(c)) if i in units else c for i, c in enumerate(row)] for row in section["rows"]]
        return table("", section["columns"], rows)
    if "mapping" in section:
        return _mapping(section["mapping"])
    return "".join(paragraph(line) for line in section["paragraphs"])


def _mapping(mapping: Facts) -> str:
    """Facts: what has the same entries throughout as a table, the rest as names and values."""
    single = {k: v for k, v in mapping.items() if not _is_table(v)}
    tables = "".join(
        table(_words(k), ["", *next(iter(v.values()))], [[name, *row.values()] for name, row in v.items()])
        for k, v in mapping.items()
        if _is_table(v)
    )
    return pairs("", {_words(k): text(v) for k, v in single.items()}) + tables


def _words(name: str) -> str:
    return name.replace("_", " ") if name.islower() else name


def _is_table(value: object) -> bool:
    if not isinstance(value, dict) or not value or not all(isinstance(row, dict) and row for row in value.values()):
        return False
    return len({tuple(row) for row in value.values()}) == 1


def _no_equations(runs: Sequence[Facts]) -> str:
    if not runs:
        return ""
    return paragraph(
        "The equations are left out: this solution was loaded from a file, which holds numbers and no model. "
        "With report(solution, path, plant=...) they are printed."
    )


def _origin(facts: Facts) -> str:
    rows = [[name, value] for name, value in facts["hashes"].items()]
    return pairs("Versions", facts["versions"]) + table("SHA-256", ["of", "hash"], rows, kind="hashes")
