"""Where does a number stop being finite? In the first operation whose operands still were.

A function that gives nan or inf says nothing of why. Its operations are redone one by one, and what is not finite is
followed back from the results to its origin: the logarithm of a negative number, a division by zero. A branch that is
not taken, or an infinity that vanishes again (1 / inf), is no origin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import casadi as ca
import numpy as np

from titer.numerics.dae import Array
from titer.numerics.instructions import CONSTANT, INPUT, Instructions, Writer, instructions

_LISTED = 4  # variables whose values a sentence gives
_TOO_LARGE = "too large a number"
_RESULTS = 3  # results that a sentence names


@dataclass(frozen=True)
class NonFinite:
    """Where numbers stop being finite; `str()` is one sentence.

    `operation`: what goes wrong, in words; empty where only the results are known. `expression`: the formula of the
    operation in the variables' names. `values`: the variables it fails by. `results`: what it makes non-finite, in the
    order of computation, and `groups`: which result of the function each belongs to.
    """

    operation: str
    expression: str
    values: tuple[tuple[str, float], ...]
    results: tuple[str, ...]
    groups: tuple[int, ...]

    @property
    def overflows(self) -> bool:
        """Whether a number only grew too large, rather than lay where its operation is not defined."""
        return self.operation.startswith(_TOO_LARGE)

    def __str__(self) -> str:
        results = self._few_results()
        if not self.operation:
            return f"{results} {'is' if len(self.results) == 1 else 'are'} not finite"
        if self.values and self.values[0][0] == self.expression:
            return f"{self.expression} itself is {self.operation}; it enters {results}"
        given = ", ".join(f"{name} = {_number(value)}" for name, value in self.values)
        return f"{self.expression} is {self.operation}{': ' if given else ''}{given}; it enters {results}"

    def _few_results(self) -> str:
        """The first result of each group, and how many more there are."""
        first = {group: name for name, group in reversed(list(zip(self.results, self.groups, strict=True)))}
        names = [name for name in self.results if name in first.values()][:_RESULTS]
        more = len(self.results) - len(names)
        names += [f"{more} more"] if more else []
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def first_nonfinite(
    function: ca.Function,
    arguments: Sequence[Array],
    names: Sequence[Sequence[str]],
    results: Sequence[Sequence[str]] | None = None,
    named: int | None = None,
) -> NonFinite | None:
    """The first operation of a function that makes a result non-finite; None where all results are finite.

    `arguments`: their values, `names`: of their elements, `results`: names of the elements of each result.
    `named`: the result that holds named expressions; parts of the others are called by these names, and it counts only
    as such. A function that cannot be taken apart is only asked which results are not finite.
    """
    labels = [list(group) for group in results] if results is not None else _numbered(function)
    parts = instructions(function)
    if parts is None:
        return _bad_results(function, arguments, labels, named)
    return _Search(parts, arguments, names, lambda i, k: labels[i][k], named).origin()


def nonfinite_derivative(
    function: ca.Function,
    arguments: Sequence[Array],
    names: Sequence[Sequence[str]],
    results: Sequence[Sequence[str]] | None = None,
    named: int | None = None,
    by: Sequence[int] | None = None,
) -> NonFinite | None:
    """The first operation that makes a derivative of a result non-finite, such as that of sqrt(x) at x = 0.

    Arguments as in `first_nonfinite`; `by`: the arguments that derivatives are taken in, all by default.
    """
    labels = [list(group) for group in results] if results is not None else _numbered(function)
    inputs = tuple(by) if by is not None else tuple(range(function.n_in()))
    outputs = tuple(i for i in range(function.n_out()) if i != named)
    slopes = _slopes(function, outputs, inputs, named)
    parts = None if slopes is None else instructions(slopes)
    if parts is None:
        return None
    columns = [name for i in inputs for name in names[i]]

    def label(i: int, k: int) -> str:
        if i == len(outputs):
            return labels[named][k] if named is not None else ""
        rows = labels[outputs[i]]
        return f"the derivative of {rows[k % len(rows)]} in {columns[k // len(rows)]}"

    return _Search(parts, arguments, names, label, None if named is None else len(outputs)).origin()


def crossing(
    function: ca.Function,
    arguments: Sequence[Array],
    names: Sequence[Sequence[str]],
    results: Sequence[Sequence[str]],
    named: int | None,
    later: Sequence[Array],
    switches: bool = False,
) -> NonFinite | None:
    """The first divisor of a function that changes its sign between two points: near it the quotient has no bound.

    Arguments as in `first_nonfinite`; `later`: their values at the other point. `switches`: the first condition that
    changes instead, where a result may jump.
    """
    parts = instructions(function)
    if parts is None:
        return None
    search = _Search(parts, arguments, names, lambda i, k: results[i][k], named)
    return search.crossing(parts.values(later), switches)


class _Search:
    """A function's operations with their values at a point."""

    def __init__(
        self,
        parts: Instructions,
        arguments: Sequence[Array],
        names: Sequence[Sequence[str]],
        label: Callable[[int, int], str],
        named: int | None,
    ):
        self.parts, self.label, self.named = parts, label, named
        self.values = parts.values(arguments)
        self.names = {node: names[i][k] for node, (i, k) in parts.inputs.items()}
        for i, k, node in parts.outputs:
            if i == named and node not in self.names and parts.codes[node] != CONSTANT:
                self.names[node] = label(i, k)

    def origin(self) -> NonFinite | None:
        """The first operation that makes a result non-finite."""
        reached = self._behind(self._bad)
        if not reached:
            return None
        node = min(n for n in reached if not any(self._bad(i) for i in self.parts.operands[n]))
        if self.parts.codes[node] in (INPUT, CONSTANT):
            name, value = self.names.get(node, "a constant"), self.values[node]
            return self._found(node, _number(value), name, ((name, value),), reached)
        operands = self.parts.operands[node]
        wrong, culprits = _fault(self.parts.codes[node], [self.values[i] for i in operands])
        guilty = [operands[i] for i in culprits]
        plain = all(i in self.names or i in self.parts.constants for i in guilty)
        value = self.values[guilty[0]]
        tells = len(guilty) == 1 and not plain and value != 0.0 and wrong != _TOO_LARGE
        words = f"{wrong} ({_number(value)})" if tells else wrong
        return self._found(node, words, self._formula(node), self._read(guilty), reached)

    def crossing(self, later: Sequence[float], switches: bool) -> NonFinite | None:
        """The first divisor that changes its sign, or condition that changes, on the way to other values."""
        reached = self._behind(lambda _: True)
        for node in sorted(reached):
            code, operands = self.parts.codes[node], self.parts.operands[node]
            if switches and code in _CONDITIONS and self.values[node] != later[node]:
                words, guilty = "a condition that switches there", operands
            elif not switches and code in _QUOTIENTS and self.values[operands[-1]] * later[operands[-1]] < 0.0:
                words, guilty = "a division by a number that goes through zero", operands[-1:]
            else:
                continue
            return self._found(node, words, self._formula(node), self._read(guilty), reached)
        return None

    def _bad(self, node: int) -> bool:
        return not math.isfinite(self.values[node])

    def _behind(self, counts: Callable[[int], bool]) -> set[int]:
        """The results that count, and all that counts and that they are computed from."""
        reached = {node for i, _, node in self.parts.outputs if i != self.named and counts(node)}
        stack = list(reached)
        while stack:
            fresh = [i for i in self.parts.operands[stack.pop()] if i not in reached and counts(i)]
            reached.update(fresh)
            stack += fresh
        return reached

    def _found(
        self, node: int, words: str, expression: str, values: tuple[tuple[str, float], ...], reached: set[int]
    ) -> NonFinite:
        """With the results it enters, in the order of computation; names of expressions come first."""
        tainted = {node}
        for other in sorted(reached):
            if not tainted.isdisjoint(self.parts.operands[other]):
                tainted.add(other)
        ordered = sorted((other, i != self.named, i, k) for i, k, other in self.parts.outputs if other in tainted)
        results = tuple(self.label(i, k) for _, _, i, k in ordered)
        return NonFinite(words, expression, values, results, tuple(i for _, _, i, _ in ordered))

    def _formula(self, node: int) -> str:
        return Writer(self.parts, self.names).formula(node)

    def _read(self, nodes: Sequence[int]) -> tuple[tuple[str, float], ...]:
        """The variables that operands are made of; named expressions first, then what these are made of."""
        near: dict[int, None] = {}
        for node in nodes:
            near |= dict.fromkeys([node] if node in self.names else self.parts.leaves(node, self.names))
        deep: dict[int, None] = {}
        for node in near:
            deep |= dict.fromkeys(self.parts.leaves(node, self.names))
        return tuple((self.names[n], self.values[n]) for n in list(near | deep)[:_LISTED])


def _fault(code: int, x: Sequence[float]) -> tuple[str, tuple[int, ...]]:
    """What is wrong with an operation, in words, and which of its operands are to blame."""
    words = _OUTSIDE.get(code)
    if words is not None and not _inside(code, x[0]):
        return words, (0,)
    if code == ca.OP_LOG and x[0] <= 0.0:
        return ("the logarithm of a negative number" if x[0] < 0.0 else "the logarithm of zero"), (0,)
    if code == ca.OP_SQRT and x[0] < 0.0:
        return "the square root of a negative number", (0,)
    if code in (ca.OP_DIV, ca.OP_FMOD, ca.OP_REMAINDER) and x[1] == 0.0:
        return "a division by zero", (1,)
    if code == ca.OP_INV and x[0] == 0.0:
        return "a division by zero", (0,)
    if code in (ca.OP_POW, ca.OP_CONSTPOW) and x[0] == 0.0:
        return "a division by zero (a negative power of zero)", (0, 1)
    if code in (ca.OP_POW, ca.OP_CONSTPOW) and x[0] < 0.0 and x[1] != math.floor(x[1]):
        return "a fractional power of a negative number", (0, 1)
    return _TOO_LARGE, tuple(range(len(x)))


def _inside(code: int, x: float) -> bool:
    if code == ca.OP_LOG1P:
        return x > -1.0
    if code == ca.OP_ACOSH:
        return x >= 1.0
    return abs(x) <= 1.0 if code in (ca.OP_ASIN, ca.OP_ACOS) else abs(x) < 1.0


_QUOTIENTS = {ca.OP_DIV, ca.OP_INV}
_CONDITIONS = {ca.OP_LT, ca.OP_LE, ca.OP_EQ, ca.OP_NE, ca.OP_SIGN}
_OUTSIDE = {
    ca.OP_LOG1P: "the logarithm of a number that is not positive",
    ca.OP_ASIN: "the arcsine of a number outside [-1, 1]",
    ca.OP_ACOS: "the arccosine of a number outside [-1, 1]",
    ca.OP_ACOSH: "the inverse hyperbolic cosine of a number below 1",
    ca.OP_ATANH: "the inverse hyperbolic tangent of a number not inside (-1, 1)",
    ca.OP_ERFINV: "the inverse error function of a number not inside (-1, 1)",
}


@lru_cache(maxsize=16)
def _slopes(
    function: ca.Function, outputs: tuple[int, ...], inputs: tuple[int, ...], named: int | None
) -> ca.Function | None:
    """Derivatives of the outputs in the inputs, one after another, and the named expressions."""
    arguments = [ca.SX.sym(f"a{i}", function.sparsity_in(i)) for i in range(function.n_in())]
    try:
        values = function.call(arguments, True, False)
    except RuntimeError:
        return None
    by = ca.vertcat(*(ca.vec(arguments[i]) for i in inputs))
    slopes = [ca.jacobian(values[i], by) for i in outputs]
    return ca.Function("slopes", arguments, slopes + ([] if named is None else [values[named]]))


def _bad_results(
    function: ca.Function, arguments: Sequence[Array], labels: Sequence[Sequence[str]], named: int | None
) -> NonFinite | None:
    values = [
        np.array(v).ravel(order="F") for v in function.call([ca.DM(np.asarray(a, dtype=float)) for a in arguments])
    ]
    bad = [
        (labels[i][k], i) for i, v in enumerate(values) if i != named for k in np.flatnonzero(~np.isfinite(v)).tolist()
    ]
    if not bad:
        return None
    names, groups = zip(*bad, strict=True)
    return NonFinite("", "", (), names, groups)


def _numbered(function: ca.Function) -> list[list[str]]:
    return [[f"{function.name_out(i)}[{k}]" for k in range(function.numel_out(i))] for i in range(function.n_out())]


def _number(value: float) -> str:
    return f"{value:.5g}"
