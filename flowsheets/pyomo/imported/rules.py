"""What do a Pyomo.DAE component's rules say at any moment? They are asked with a t that stays a symbol.

An undiscretized component holds equations at the few points that its ContinuousSet has, with t as a number in them.
So its rule is asked again, with a `Moment`: in look-ups it stands for one of these points, in arithmetic for t itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyomo.core.base.constraint import Constraint
from pyomo.core.expr.numvalue import NumericValue, native_numeric_types

from titer.numerics.errors import DeclarationError

Index = tuple[Any, ...]
Signature = Callable[[Any, float], Any]  # of an expression, at a point of the ContinuousSet


class Moment(NumericValue, float):
    """Any t: equal to `point` in look-ups and where a rule asks for the first or last point; else a symbol.

    `number` is what Python's own functions, such as math.sin, see in it. Two different numbers must give one
    expression, or the rule has used the number.
    """

    point: float
    ends: tuple[float, float]

    def __new__(cls, number: float, point: float, ends: tuple[float, float]) -> Moment:
        moment = float.__new__(cls, number)
        moment.point, moment.ends = point, ends
        return moment

    def __init__(self, *facts: Any):
        pass

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.point)

    def __eq__(self, other: Any) -> Any:
        return self.point == other if _is_number(other) else NumericValue.__eq__(self, other)

    def __ne__(self, other: Any) -> Any:
        return self.point != other

    def __lt__(self, other: Any) -> Any:
        return self.point < self._end(other, "<")

    def __le__(self, other: Any) -> Any:
        return self.point <= self._end(other, "<=")

    def __gt__(self, other: Any) -> Any:
        return self.point > self._end(other, ">")

    def __ge__(self, other: Any) -> Any:
        return self.point >= self._end(other, ">=")

    def _end(self, other: Any, sign: str) -> float:
        if _is_number(other) and float(other) in self.ends:
            return float(other)
        raise DeclarationError(f"it asks whether t {sign} {other}: it changes with time")

    def __float__(self) -> float:
        return float.__float__(self)

    def is_potentially_variable(self) -> bool:
        return True

    def to_string(self, *options: Any, **more: Any) -> str:
        return "t"

    __str__ = __repr__ = lambda self: "t"


def rule_at(
    component: Any, rest: Index, position: int, points: list[float], ends: tuple[float, float], sign: Signature
) -> tuple[float, Any] | None:
    """What the rule of a Constraint or Expression over time gives at any of `points`, and the one it was asked at.

    None where it skips them all. Raises DeclarationError where the points disagree, or where the number of t is used.
    """
    found = [(point, said(component, rest, position, point, ends, sign)) for point in points]
    given = [(point, expression) for point, expression in found if expression is not None]
    if not given:
        return None
    if component._rule is None and len(given) < 2:
        raise DeclarationError(
            f"{component.name}: it has no rule, so it says nothing between the points of its ContinuousSet.\n"
            "  Give it rule=..., a function of the model and t."
        )
    first = sign(given[0][1], given[0][0])
    for point, expression in given[1:]:
        if sign(expression, point) != first:
            raise changing(component, given[0][0], point)
    return given[0]


def changing(component: Any, point: float, other: float) -> DeclarationError:
    """The error of a rule that says different things at two points."""
    return DeclarationError(
        f"{component.name}: its rule says one thing at t = {point:g} and another at t = {other:g}.\n"
        "  Write two Constraints, or two models, one for each stretch of time."
    )


def said(component: Any, rest: Index, position: int, point: float, ends: tuple[float, float], sign: Signature) -> Any:
    """What the rule gives at a point, None where it skips it; without a rule, what the component holds there."""
    if component._rule is None:
        index = (*rest[:position], point, *rest[position:])
        data = component._data.get(index if len(index) > 1 else point)
        return None if data is None else data.expr
    span = ends[1] - ends[0]
    answers = [
        _asked(component, rest, position, Moment(ends[0] + share * span, point, ends)) for share in (0.37281, 0.61914)
    ]
    if any(_skips(answer) for answer in answers):
        return None
    if sign(answers[0], point) != sign(answers[1], point):
        raise DeclarationError(
            f"{component.name}: its rule uses the number of t where t must stay a symbol.\n"
            "  Write pyo.exp(t) rather than math.exp(t) or np.exp(t), and what is known over time as a Param over it."
        )
    return answers[0]


def _asked(component: Any, rest: Index, position: int, moment: Moment) -> Any:
    index = (*rest[:position], moment, *rest[position:])
    try:
        return component._rule(component.parent_block(), index if len(index) > 1 else moment)
    except DeclarationError as error:
        raise DeclarationError(
            f"{component.name}: {error}.\n"
            "  Make what is known over time a Param over it, or write one model for each stretch of time."
        ) from None
    except Exception as error:
        raise RuleError(
            f"{component.name}: its rule cannot be asked for any t: {type(error).__name__}: {error}\n"
            "  A rule uses t as an index and in +, -, *, /, ** and Pyomo's functions."
        ) from error


def _skips(answer: Any) -> bool:
    return answer is None or answer is Constraint.Skip or answer is Constraint.Feasible or isinstance(answer, bool)


def _is_number(x: Any) -> bool:
    return x.__class__ in native_numeric_types or x.__class__ is Moment


class RuleError(DeclarationError):
    """A rule that fails with a t, or with Params, that stay symbols."""
