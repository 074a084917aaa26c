"""Which operations make up a function, what does each give at a point, and how does it read?

A CasADi function of scalars is a list of operations on registers. Here every operation is a node of its own that
knows its operands, so that values can be followed back to where they come from and written out as a formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import casadi as ca
import numpy as np

from titer.numerics.dae import Array

INPUT, CONSTANT = ca.OP_INPUT, ca.OP_CONST


@dataclass(frozen=True, eq=False)
class Instructions:
    """The operations of a function in the order in which they are done; operands come before what uses them."""

    codes: tuple[int, ...]  # CasADi's operation codes
    operands: tuple[tuple[int, ...], ...]
    constants: Mapping[int, float]
    inputs: Mapping[int, tuple[int, int]]  # node -> (argument, element)
    outputs: tuple[tuple[int, int, int], ...]  # (result, element, node)

    def values(self, arguments: Sequence[Array]) -> list[float]:
        """What each operation gives at a point, in IEEE arithmetic."""
        flat = [np.asarray(a, dtype=float).ravel(order="F").tolist() for a in arguments]
        values: list[float] = []
        with np.errstate(all="ignore"):
            for node, (code, operands) in enumerate(zip(self.codes, self.operands, strict=True)):
                if code == INPUT:
                    argument, element = self.inputs[node]
                    values.append(flat[argument][element])
                elif code == CONSTANT:
                    values.append(self.constants[node])
                else:
                    values.append(_DO[code](*(values[i] for i in operands)))
        return values

    def leaves(self, node: int, stop: Mapping[int, str]) -> list[int]:
        """Inputs, and nodes with a name of their own, that a node is made of; in order of appearance."""
        found: dict[int, None] = {}
        seen, stack = {node}, [node]
        while stack:
            at = stack.pop()
            if at in self.inputs or (at in stop and at != node):
                found[at] = None
                continue
            fresh = [i for i in reversed(self.operands[at]) if i not in seen]
            seen.update(fresh)
            stack += fresh
        return list(found)


@lru_cache(maxsize=16)
def instructions(function: ca.Function) -> Instructions | None:
    """The operations of a function; None where it is not made of scalar operations and cannot be expanded to them."""
    function = _scalar(function)
    if function is None:
        return None
    sparse = [[int(k) for k in s.find()] for s in map(function.sparsity_out, range(function.n_out()))]
    dense = [[int(k) for k in s.find()] for s in map(function.sparsity_in, range(function.n_in()))]
    codes: list[int] = []
    operands: list[tuple[int, ...]] = []
    constants: dict[int, float] = {}
    inputs: dict[int, tuple[int, int]] = {}
    outputs: list[tuple[int, int, int]] = []
    register: dict[int, int] = {}
    for k in range(function.n_instructions()):
        code, reads, writes = function.instruction_id(k), function.instruction_input(k), function.instruction_output(k)
        if code == ca.OP_OUTPUT:
            outputs.append((writes[0], sparse[writes[0]][writes[1]], register[reads[0]]))
            continue
        node = len(codes)
        if code == INPUT:
            inputs[node] = (reads[0], dense[reads[0]][reads[1]])
            operands.append(())
        elif code == CONSTANT:
            constants[node] = function.instruction_constant(k)
            operands.append(())
        elif code in _DO:
            # a one-operand operation may repeat its register as a second one
            operands.append(tuple(register[i] for i in reads[: _ARITY[code]]))
        else:
            return None
        codes.append(code)
        register[writes[0]] = node
    return Instructions(tuple(codes), tuple(operands), constants, inputs, tuple(outputs))


class Writer:
    """Writes nodes as formulas in NumPy's words; `names` has inputs, and nodes that have a name of their own.

    A formula that is too long loses its deep parts: f(a, b) stands for a part that contains a and b.
    """

    def __init__(self, of: Instructions, names: Mapping[int, str], longest: int = 80):
        self.of, self.names, self.longest = of, names, longest

    def formula(self, node: int) -> str:
        text = ""
        for depth in (8, 6, 5, 4, 3, 2, 1):
            text = self._write(node, depth, top=True)[0]
            if len(text) <= self.longest:
                break
        return text

    def _write(self, node: int, depth: int, top: bool = False) -> tuple[str, int]:
        """The text of a node, and how tightly it binds."""
        if node in self.names and not top:
            return self.names[node], _ATOM
        code = self.of.codes[node]
        if code in (INPUT, CONSTANT):
            text = self.names.get(node) or f"{self.of.constants[node]:.6g}"
            return text, _SIGN if text.startswith("-") else _ATOM
        if depth == 0:
            return self._left_out(node), _ATOM
        parts = [self._write(i, depth - 1) for i in self.of.operands[node]]
        if code not in _FORM:
            return f"{_CALL[code]}({', '.join(text for text, _ in parts)})", _ATOM
        form, binds, needs = _FORM[code]
        texts = [t if b >= need else f"({t})" for (t, b), need in zip(parts, needs, strict=True)]
        return form.format(*texts), binds

    def _left_out(self, node: int) -> str:
        names = [self.names[i] for i in self.of.leaves(node, self.names)]
        more = ["..."] if len(names) > 3 else []
        return f"f({', '.join(names[:3] + more)})"


def _scalar(function: ca.Function) -> ca.Function | None:
    if function.is_a("SXFunction"):
        return function
    try:
        return function.expand()
    except RuntimeError:
        return None


def _guarded(function: Callable[..., float]) -> Callable[..., float]:
    return lambda *operands: float(function(*(np.float64(x) for x in operands)))


def _special(name: str) -> Callable[..., float]:
    def function(x: float) -> float:
        from scipy import special

        return float(getattr(special, name)(x))

    return function


def _divide(a: float, b: float) -> float:
    return a / b if b != 0.0 else float(np.float64(a) / np.float64(b))


def _square(a: float) -> float:
    return a * a


_DO: dict[int, Callable[..., float]] = {
    ca.OP_ASSIGN: lambda a: a, ca.OP_ADD: lambda a, b: a + b, ca.OP_SUB: lambda a, b: a - b,
    ca.OP_MUL: lambda a, b: a * b, ca.OP_DIV: _divide, ca.OP_NEG: lambda a: -a, ca.OP_SQ: _square,
    ca.OP_TWICE: lambda a: 2.0 * a, ca.OP_INV: lambda a: _divide(1.0, a),
    ca.OP_LT: lambda a, b: float(a < b), ca.OP_LE: lambda a, b: float(a <= b), ca.OP_EQ: lambda a, b: float(a == b),
    ca.OP_NE: lambda a, b: float(a != b), ca.OP_NOT: lambda a: float(not a),
    ca.OP_AND: lambda a, b: float(bool(a and b)), ca.OP_OR: lambda a, b: float(bool(a or b)),
    ca.OP_IF_ELSE_ZERO: lambda a, b: b if a else 0.0, ca.OP_FABS: abs, ca.OP_SIGN: _guarded(np.sign),
    ca.OP_COPYSIGN: math.copysign, ca.OP_FMIN: _guarded(np.fmin), ca.OP_FMAX: _guarded(np.fmax),
    ca.OP_FMOD: _guarded(np.fmod), ca.OP_REMAINDER: _guarded(lambda a, b: a - b * np.rint(a / b)),
    ca.OP_FLOOR: _guarded(np.floor), ca.OP_CEIL: _guarded(np.ceil), ca.OP_EXP: _guarded(np.exp),
    ca.OP_LOG: _guarded(np.log), ca.OP_POW: _guarded(np.power), ca.OP_CONSTPOW: _guarded(np.power),
    ca.OP_SQRT: _guarded(np.sqrt), ca.OP_SIN: _guarded(np.sin), ca.OP_COS: _guarded(np.cos),
    ca.OP_TAN: _guarded(np.tan), ca.OP_ASIN: _guarded(np.arcsin), ca.OP_ACOS: _guarded(np.arccos),
    ca.OP_ATAN: _guarded(np.arctan), ca.OP_SINH: _guarded(np.sinh), ca.OP_COSH: _guarded(np.cosh),
    ca.OP_TANH: _guarded(np.tanh), ca.OP_ASINH: _guarded(np.arcsinh), ca.OP_ACOSH: _guarded(np.arccosh),
    ca.OP_ATANH: _guarded(np.arctanh), ca.OP_ATAN2: _guarded(np.arctan2), ca.OP_ERF: _special("erf"),
    ca.OP_ERFINV: _special("erfinv"), ca.OP_LOG1P: _guarded(np.log1p), ca.OP_EXPM1: _guarded(np.expm1),
    ca.OP_HYPOT: _guarded(np.hypot), ca.OP_LIFT: lambda a, b: a,
}  # fmt: skip
_TWO = {
    ca.OP_ADD, ca.OP_SUB, ca.OP_MUL, ca.OP_DIV, ca.OP_LT, ca.OP_LE, ca.OP_EQ, ca.OP_NE, ca.OP_AND, ca.OP_OR,
    ca.OP_IF_ELSE_ZERO, ca.OP_COPYSIGN, ca.OP_FMIN, ca.OP_FMAX, ca.OP_FMOD, ca.OP_REMAINDER, ca.OP_POW,
    ca.OP_CONSTPOW, ca.OP_ATAN2, ca.OP_HYPOT, ca.OP_LIFT,
}  # fmt: skip
_ARITY = {code: 2 if code in _TWO else 1 for code in _DO}

_LOGIC, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(6)  # from loose to tight
_FORM: dict[int, tuple[str, int, tuple[int, ...]]] = {  # text, how tightly it binds, what its operands must
    ca.OP_ASSIGN: ("{0}", _SUM, (_LOGIC,)),
    ca.OP_ADD: ("{0} + {1}", _SUM, (_SUM, _PRODUCT)),
    ca.OP_SUB: ("{0} - {1}", _SUM, (_SUM, _PRODUCT)),
    ca.OP_MUL: ("{0} * {1}", _PRODUCT, (_PRODUCT, _POWER)),
    ca.OP_DIV: ("{0} / {1}", _PRODUCT, (_PRODUCT, _POWER)),
    ca.OP_INV: ("1 / {0}", _PRODUCT, (_POWER,)),
    ca.OP_TWICE: ("2 * {0}", _PRODUCT, (_POWER,)),
    ca.OP_NEG: ("-{0}", _SIGN, (_POWER,)),
    ca.OP_SQ: ("{0}**2", _POWER, (_ATOM,)),
    ca.OP_POW: ("{0}**{1}", _POWER, (_ATOM, _ATOM)),
    ca.OP_CONSTPOW: ("{0}**{1}", _POWER, (_ATOM, _ATOM)),
    ca.OP_LT: ("{0} < {1}", _LOGIC, (_SUM, _SUM)),
    ca.OP_LE: ("{0} <= {1}", _LOGIC, (_SUM, _SUM)),
    ca.OP_EQ: ("{0} == {1}", _LOGIC, (_SUM, _SUM)),
    ca.OP_NE: ("{0} != {1}", _LOGIC, (_SUM, _SUM)),
    ca.OP_NOT: ("not {0}", _LOGIC, (_ATOM,)),
    ca.OP_AND: ("{0} and {1}", _LOGIC, (_ATOM, _ATOM)),
    ca.OP_OR: ("{0} or {1}", _LOGIC, (_ATOM, _ATOM)),
    ca.OP_IF_ELSE_ZERO: ("where({0}, {1}, 0)", _ATOM, (_LOGIC, _LOGIC)),
    ca.OP_LIFT: ("{0}", _SUM, (_LOGIC, _LOGIC)),
}
_CALL = {
    ca.OP_FABS: "abs", ca.OP_SIGN: "sign", ca.OP_COPYSIGN: "copysign", ca.OP_FMIN: "minimum", ca.OP_FMAX: "maximum",
    ca.OP_FMOD: "fmod", ca.OP_REMAINDER: "remainder", ca.OP_FLOOR: "floor", ca.OP_CEIL: "ceil", ca.OP_EXP: "exp",
    ca.OP_LOG: "log", ca.OP_SQRT: "sqrt", ca.OP_SIN: "sin", ca.OP_COS: "cos", ca.OP_TAN: "tan", ca.OP_ASIN: "arcsin",
    ca.OP_ACOS: "arccos", ca.OP_ATAN: "arctan", ca.OP_SINH: "sinh", ca.OP_COSH: "cosh", ca.OP_TANH: "tanh",
    ca.OP_ASINH: "arcsinh", ca.OP_ACOSH: "arccosh", ca.OP_ATANH: "arctanh", ca.OP_ATAN2: "arctan2", ca.OP_ERF: "erf",
    ca.OP_ERFINV: "erfinv", ca.OP_LOG1P: "log1p", ca.OP_EXPM1: "expm1", ca.OP_HYPOT: "hypot",
}  # fmt: skip
