"""What does an `.nl` file say? Symbols, bounds, starts and suffixes of the problem that Pyomo or AMPL wrote.

CasADi reads the expressions. It takes no suffixes and no names behind `#`, and it minimizes without saying so what the
file maximizes: such lines are read here and kept from it.
Source: D. M. Gay, Writing .nl Files, Sandia National Laboratories 2005.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import casadi as ca
import numpy as np

from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Array

COLUMN, ROW, OBJECTIVE = 0, 1, 2  # kinds of suffixes
_UNREAD = re.compile(r"Unknown unary operation: (\d+)")
_FUNCTIONS = {47: "atanh", 50: "asinh", 52: "acosh"}


@dataclass(frozen=True, eq=False)
class Stub:
    """minimize f subject to row_lower <= g <= row_upper and lower <= x <= upper, from `start`.

    `sense` is -1 where the file maximizes -f. `multipliers`: of the rows, as the file starts them, in AMPL's sign.
    `suffixes[kind, name]` maps numbers of columns, rows or objectives to values.
    """

    x: ca.MX
    f: ca.MX
    g: ca.MX
    lower: Array
    upper: Array
    row_lower: Array
    row_upper: Array
    start: Array
    sense: int = 1
    multipliers: Array | None = None
    suffixes: Mapping[tuple[int, str], Mapping[int, float]] = field(default_factory=dict)

    @cached_property
    def functions(self) -> ca.Function:
        """x -> (f, g), of scalar operations."""
        return ca.Function("stub", [self.x], [self.f, self.g], ["x"], ["f", "g"]).expand()

    def scaled(self, columns: Array, rows: Array, objective: float) -> Stub:
        """The same problem in columns * x, with rows * g and objective * f."""
        x = ca.MX.sym("x", len(columns))
        original = ca.Function("original", [self.x], [self.f, self.g])
        f, g = original(x / ca.DM(columns))
        return Stub(
            x, objective * f, ca.DM(rows) * g, self.lower * columns, self.upper * columns, self.row_lower * rows,
            self.row_upper * rows, self.start * columns, self.sense, self.multipliers, self.suffixes,
        )  # fmt: skip


class UnreadFunctionError(SpecificationError):
    """CasADi's reader lacks a function that the file calls."""

    def __init__(self, function: str):
        super().__init__(
            f"CasADi cannot read a function of this model: {function}.\n"
            "  Expr_if, asinh, acosh and atanh are not read. Write a smooth form, or log and sqrt."
        )
        self.function = function


def read_plain(path: Path, sense: int = 1) -> Stub:
    """Read a file that has no suffixes and no names in it. Raises UnreadFunctionError, SpecificationError."""
    nlp = ca.NlpBuilder()
    try:
        nlp.import_nl(str(path))
    except RuntimeError as error:
        raise _unread(str(error)) from error
    started = np.asarray(nlp.lambda_init, dtype=float)
    multipliers = started if np.any(started) else None
    lower, upper, row_lower, row_upper, start = (
        np.asarray(b, dtype=float) for b in (nlp.x_lb, nlp.x_ub, nlp.g_lb, nlp.g_ub, nlp.x_init)
    )
    f = nlp.f if nlp.f.numel() else ca.MX(0.0)  # a model without objective arrives as 0x0
    g = ca.vcat(nlp.g) if len(nlp.g) else ca.MX(0, 1)
    return Stub(ca.vcat(nlp.x), f, g, lower, upper, row_lower, row_upper, start, sense, multipliers)


def read(path: Path) -> Stub:
    """Read any text file. Raises SpecificationError for discrete variables, several objectives and the unreadable."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecificationError(f"{path}: expected an .nl file in text form, got {error}.") from error
    _check(path, lines)
    kept, suffixes, sense = _without_suffixes(lines)
    with tempfile.TemporaryDirectory(prefix="titer-") as folder:
        plain = Path(folder) / "plain.nl"
        plain.write_text("\n".join([*kept, ""]), encoding="utf-8")
        stub = read_plain(plain, sense)
    return replace(stub, suffixes=suffixes)


def _check(path: Path, lines: list[str]) -> None:
    if not lines or not lines[0].startswith("g") or len(lines) < 10:
        raise SpecificationError(f"{path}: expected an .nl file in text form (its first line begins with g).")
    objectives = int(_numbers(lines[1])[2])
    if objectives > 1:  # the reader would take the last one
        raise SpecificationError(f"{path}: one objective is expected; found {objectives}. Deactivate others.")
    if any(_numbers(lines[6])):
        raise SpecificationError(f"{path}: IPOPT solves continuous problems, and there are discrete variables.")
    if _numbers(lines[5])[1]:
        raise SpecificationError(f"{path}: compiled external functions cannot be read by CasADi.")


def _without_suffixes(lines: list[str]) -> tuple[list[str], dict[tuple[int, str], dict[int, float]], int]:
    """Lines without suffixes and names; the suffixes; and -1 where the objective is maximized."""
    kept, suffixes, sense, i = lines[:10], {}, 1, 10
    while i < len(lines):
        line = re.split(r"[ \t]*#", lines[i], maxsplit=1)[0]
        i += 1
        if line.startswith("S"):
            kind, count, name = line[1:].split()[:3]
            entries = (entry.split() for entry in lines[i : i + int(count)])
            suffixes[int(kind) & 3, name] = {int(entry[0]): float(entry[1]) for entry in entries}
            i += int(count)
            continue
        if line.startswith("O") and line.split()[1] == "1":
            sense = -1
        kept.append(line)
    return kept, suffixes, sense


def _numbers(line: str) -> list[int]:
    return [int(word) for word in line.split("#")[0].split()]


def _unread(said: str) -> SpecificationError:
    code = _UNREAD.search(said)
    if code is not None and int(code[1]) in _FUNCTIONS:
        return UnreadFunctionError(_FUNCTIONS[int(code[1])])
    if "If-then-else" in said:
        return UnreadFunctionError("Expr_if")
    return UnreadFunctionError(said.splitlines()[-1].strip().rstrip("."))
