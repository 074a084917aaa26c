"""What was found? Findings with a name, a reason and a remedy, and the report that they make, gravest first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How grave a finding is: it cannot work so; it can hardly be meant so; it is good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


_ORDER = tuple(Severity)


@dataclass(frozen=True)
class Finding:
    """One thing to know of a model. `subject`: the name it is about, which stands in `text`, one sentence;
    `remedy`: what to do."""

    severity: Severity
    subject: str
    text: str
    remedy: str = ""

    def speaks_of(self, name: str) -> bool:
        """Whether it is about a name, or mentions it."""
        return self.subject == name or mentions(self.text, name)

    def __str__(self) -> str:
        lines = [f"{self.severity.value}: {self.text}", *self.remedy.splitlines()]
        return "\n".join([lines[0], *(f"  {line.strip()}" for line in lines[1:])])


def mentions(text: str, name: str) -> bool:
    """Whether a name stands in a text, as a word of its own."""
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text) is not None


@dataclass(frozen=True)
class Counts:
    """The degrees of freedom of one phase.

    `index`: as the model is written, 0 for ordinary differential equations. `blocks`: of algebraic equations that are
    solved together.
    `given`, `fixed`, `decided`: inputs by where they come from; `decisions`: their decided pieces, and the duration
    where it is decided. `fastest`, `slowest`: time constants along the simulated start; NaN where none was found.
    """

    phase: str
    index: int
    states: int
    algebraics: int
    equations: int
    blocks: int
    given: int
    fixed: int
    decided: int
    decisions: int
    duration: str
    fastest: float = float("nan")
    slowest: float = float("nan")


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found: `findings`, gravest first; `counts`, a line a phase. Printed, a report."""

    findings: tuple[Finding, ...]
    counts: tuple[Counts, ...] = ()
    time: str = ""  # unit of time of the counts

    @staticmethod
    def of(findings: Iterable[Finding], counts: Sequence[Counts], time: str) -> Diagnosis:
        """A diagnosis of findings in any order: the gravest first, otherwise as they came, none twice."""
        once = dict.fromkeys(findings)
        return Diagnosis(tuple(sorted(once, key=lambda f: _ORDER.index(f.severity))), tuple(counts), time)

    @property
    def ok(self) -> bool:
        """No error was found."""
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        return self._of(Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return self._of(Severity.WARNING)

    @property
    def notes(self) -> tuple[Finding, ...]:
        return self._of(Severity.NOTE)

    def _of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is severity)

    def __str__(self) -> str:
        counted = [(self.errors, "error"), (self.warnings, "warning"), (self.notes, "note")]
        total = ", ".join(f"{len(found)} {noun}{'' if len(found) == 1 else 's'}" for found, noun in counted)
        lines = [str(finding) for finding in self.findings]
        if self.ok and not self.warnings:
            lines.insert(0, "nothing wrong was found.")
        return "\n".join([*lines, "", *_table(self.counts, self.time), total]).replace("\n\n\n", "\n\n")


def _table(counts: Sequence[Counts], time: str) -> list[str]:
    """The degrees of freedom, a line a phase, in columns."""
    if not counts:
        return []
    head = ["phase", "index", "states", "algebraic", "equations", "blocks", "given", "fixed", "decided", "decisions"]
    rows = [[*head, f"duration [{time}]", f"time constants [{time}]"]]
    for c in counts:
        numbers = (c.index, c.states, c.algebraics, c.equations, c.blocks, c.given, c.fixed, c.decided, c.decisions)
        spread = f"{c.fastest:.3g} to {c.slowest:.3g}" if c.fastest == c.fastest else "-"
        rows.append([c.phase, *map(str, numbers), c.duration, spread])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows] + [""]
