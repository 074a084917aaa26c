"""What grows while a problem is assembled? Blocks and links, and how the simplest links are written."""

from __future__ import annotations

from dataclasses import dataclass, field

import casadi as ca
import numpy as np

from titer.flowsheets.problems.problem import FreeNumber, Problem
from titer.numerics.nlp import Block, Columns, Fix, Labels, Link, Same, Tie, Wire, slots_block


@dataclass(frozen=True, eq=False)
class Part:
    """A summand of an objective that is gathered: weight * function(v), v the cells of the wires."""

    function: ca.Function
    wires: tuple[Wire, ...]
    weight: float


@dataclass
class Wiring:
    """What grows while a problem is assembled. `parts`: of the objective of each run, where it is gathered."""

    problem: Problem
    numbers: tuple[FreeNumber, ...]
    blocks: list[Block] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    parts: list[list[Part]] = field(default_factory=list)


def room_wire(chance: int, r: int) -> Wire:
    """The cell of the room that a chance's limit has in run `r`."""
    return slots_block(f"room {chance + 1}, {r + 1}", room=1).slot("room")


def carry(cell: Wire, value: Wire | float, name: str) -> Link:
    return fix_to(cell, value, name) if isinstance(value, float) else Same(cell, value)


def fix_to(cell: Wire, value: float, name: str) -> Fix:
    return Fix(cell, np.array([value]), name)


def columns_of(names: list[str], lower: float, upper: float, phase: str = "", tau: float = np.nan) -> Columns:
    n = len(names)
    return Columns(Labels.of(names, phase, tau), np.full(n, lower), np.full(n, upper), np.zeros(n, dtype=bool))


def rows_of(  # type: ignore[no-untyped-def]
    function, wires, lower: float, upper: float, names: list[str], phase: str = "", tau: float = np.nan
) -> Tie:
    n = len(names)
    return Tie(function, wires, np.full(n, lower), np.full(n, upper), Labels.of(names, phase, tau))


def follows(value: ca.SX, read: ca.SX, wires: tuple[Wire, ...], name: str, phase: str = "", tau: float = np.nan) -> Tie:
    """A row that holds the last cell of the wires at a value of those before it, `read`."""
    last = ca.SX.sym("last")
    row = ca.Function("follows", [ca.vertcat(read, last)], [last - value, ca.SX(0.0)])
    step = ca.Function("follows", [read], [value, ca.SX(0, 1), ca.SX(0.0)])
    none = np.zeros(1)
    return Tie(row, wires, none, none, Labels.of([name], phase, tau), step=step)
