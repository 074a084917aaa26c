"""Which smooth form stands in a formula? Maximum, minimum, clip and step are named again, as they were written."""

from __future__ import annotations

import math

from titer.flowsheets.reporting.tree import Call, Negative, Node, Number, Power, Sum, add, negative

MEANING = {
    "smooth max": "max with an index w is the smooth maximum, (a + b + √((a − b)² + w²))/2.",
    "smooth min": "min with an index w is the smooth minimum, (a + b − √((a − b)² + w²))/2.",
    "smooth clip": "clip with an index w keeps x smoothly between two bounds a and b, "
    "(a + b + √((x − a)² + w²) − √((x − b)² + w²))/2.",
    "smooth step": "step(y) = (1 + tanh(y))/2 is the smooth step from 0 to 1.",
}


def halved(top: Node) -> Node | None:
    """The smooth form that is a sum divided by two; None where it is none."""
    if not isinstance(top, Sum):
        return None
    *rest, last = top.terms
    if isinstance(last, Call) and last.function == "tanh" and rest == [Number(1.0)]:
        return Call("smooth step", last.arguments)
    rounded = _rounded(last.inner if isinstance(last, Negative) else last)
    if rounded is None:
        return None
    if isinstance(last, Negative):
        clip = _clip(rest, rounded)
        if clip is not None:
            return clip
    pair = _pair(rest, rounded[0])
    name = "smooth min" if isinstance(last, Negative) else "smooth max"
    return Call(name, pair, rounded[1]) if pair else None


def _rounded(node: Node) -> tuple[Node, Node] | None:
    """(d, w) of sqrt(d^2 + w^2)."""
    if not (isinstance(node, Call) and node.function == "sqrt" and isinstance(node.arguments[0], Sum)):
        return None
    terms = node.arguments[0].terms
    if len(terms) != 2 or not (isinstance(terms[0], Power) and terms[0].exponent == Number(2.0)):
        return None
    distance, square = terms[0].base, terms[1]
    if isinstance(square, Number):
        return distance, Number(math.sqrt(abs(square.value)), square.measure**0.5)
    if isinstance(square, Power) and square.exponent == Number(2.0):
        return distance, square.base
    return None


def _terms(node: Node) -> list[Node]:
    return list(node.terms) if isinstance(node, Sum) else [node]


def _sum(terms: list[Node]) -> Node:
    made: Node = Number(0.0)
    for term in terms:
        made = add(made, term)
    return made


def _pair(total: list[Node], distance: Node) -> tuple[Node, Node] | None:
    """a and b, of which `total` is the sum and `distance` the difference; what is zero has left no term."""
    for k in range(len(total) + 1):
        a, b = _sum(total[:k]), _sum(total[k:])
        if add(a, negative(b)) == distance:
            return a, b
    return None


def _clip(rest: list[Node], upper: tuple[Node, Node]) -> Node | None:
    """clip(x, a, b) of [a + b, sqrt((x - a)^2 + w^2)] and (x - b, w)."""
    lower = _rounded(rest[-1]) if rest else None
    if lower is None:
        return None
    left, right = _terms(lower[0]), _terms(upper[0])
    for count in range(1, min(len(left), len(right)) + 1):
        x, a, b = left[:count], negative(_sum(left[count:])), negative(_sum(right[count:]))
        if x == right[:count] and _same(add(a, b), _sum(rest[:-1])):
            return Call("smooth clip", (_sum(x), a, b), upper[1])
    return None


def _same(added: Node, given: Node) -> bool:
    """Whether two sums agree; numbers may have been added before they met a quantity."""
    numbers = [term for term in _terms(added) if isinstance(term, Number)]
    if len(numbers) == len(_terms(added)) and isinstance(given, Number):
        return math.isclose(sum(n.value for n in numbers), given.value, rel_tol=1e-12)
    return added == given
