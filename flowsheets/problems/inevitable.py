"""What will happen whatever is decided? A volume that inputs alone move must not be bound to leave its limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import casadi as ca
import numpy as np

from titer.flowsheets.operation import Decided, Operation, point_before
from titer.flowsheets.problems.climbing import RELAXATION
from titer.flowsheets.problems.problem import PhaseTerms, Problem, free_numbers
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.signals import Signal
from titer.numerics.dae import Dae
from titer.numerics.errors import SpecificationError

DOMAIN = "its domain"
_EXACT = 1e-6  # of a limit: less is rounding; a domain may be left by what a certificate allows


@dataclass(frozen=True)
class Range:
    """Between which values something must lie."""

    lower: float
    upper: float

    def __add__(self, other: Range) -> Range:
        return Range(self.lower + other.lower, self.upper + other.upper)

    def times(self, factor: float) -> Range:
        """Scaled by a number."""
        ends = (factor * self.lower, factor * self.upper) if factor else (0.0, 0.0)
        return Range(min(ends), max(ends))

    def within(self, lower: float, upper: float) -> Range:
        """What of it lies inside limits, which must be kept."""
        return Range(min(max(self.lower, lower), upper), max(min(self.upper, upper), lower))


ANY = Range(-np.inf, np.inf)


@dataclass(frozen=True)
class Moved:
    """A state that inputs alone move: rate = constant + coefficients times inputs, by index of the input."""

    constant: float
    coefficients: Mapping[int, float]


@dataclass(frozen=True)
class Leaving:
    """A state that is bound to leave a limit: what of, in which phase, what it comes to, and what to do."""

    state: str
    limit: str  # "its domain", "the limit 'full'"
    text: str
    mend: str


def check_inevitable(problem: Problem, terms: Sequence[Sequence[PhaseTerms]]) -> None:
    """No state that inputs alone move is bound to leave its domain, whatever is decided.

    Raises SpecificationError, before any solve, with the state, the phase, the least it must come to and the bound. A
    limit of a term that cannot be met is left to the solve, which says what would have to give.
    """
    for leaving in inevitable(problem, terms):
        if leaving.limit == DOMAIN:
            raise SpecificationError(f"{leaving.text}.\n  {leaving.mend}")


def inevitable(problem: Problem, terms: Sequence[Sequence[PhaseTerms]]) -> Iterator[Leaving]:
    """States that inputs alone move and that are bound to leave their domain, or a limit on them."""
    free = {number.name: Range(number.lower, number.upper) for number in free_numbers(problem.plant, problem.free)}
    for run, phases in zip(problem.runs, terms, strict=True):
        planned = [phase.operation for phase in phases]
        ranges = {v.name: Range(v.start, v.start) for o in planned for v in o.lowered.dae.states} | free
        clock: float | None = 0.0
        for k, phase in enumerate(phases):
            ranges = _after_resets(planned, k, ranges)
            operation = phase.operation
            dae = operation.lowered.dae
            held = {name: r.lower for name, r in ranges.items() if r.lower == r.upper}
            known = {v.name: run.plant.values[v.name] for v in dae.parameters if v.name not in free}
            known = {name: x for name, x in known.items() if name not in ranges} | held | dict(operation.fixed)
            alone = dict(_moved(dae, known))
            for name, moved in alone.items():
                begun = ranges[name]
                ends = begun + _change(operation, moved, clock)
                for limit in _limits(phase, name, known):
                    room = _room(limit, dae, name)
                    yield from _leaving(phase.operation.name, name, begun, ends, limit, dae)
                    ends = ends.within(limit[1] - room[0], limit[2] + room[1])
                ranges[name] = ends
            ranges |= {v.name: ANY for v in dae.states if v.name not in alone}
            fixed = operation.event is None and not operation.duration.free
            clock = clock + operation.duration.guess if clock is not None and fixed else None


def _leaving(
    phase: str, name: str, begun: Range, ends: Range, limit: tuple[str, float, float], dae: Dae
) -> Iterator[Leaving]:
    what, lower, upper = limit
    below, above = _room(limit, dae, name)
    unit = next(v.unit for v in dae.states if v.name == name)
    for least, bound, room, word, more in (
        (ends.lower, upper, above, "at least", "lower what flows in, raise what flows out"),
        (-ends.upper, -lower, below, "at most", "raise what flows in, lower what flows out"),
    ):
        if np.isfinite(least) and least > bound + room:
            sign = 1.0 if word == "at least" else -1.0
            side = "upper" if sign > 0 else "lower"
            from_ = begun.lower if sign > 0 else begun.upper
            yield Leaving(
                name,
                what,
                f"{name} is bound to leave {what}: at the end of phase {phase!r} it is {word} {sign * least:.6g} "
                f"{unit}, whatever is decided; the {side} limit is {sign * bound:.6g} {unit}",
                f"It begins the phase at {from_:.6g} {unit}, and its inputs alone move it. Change the duration, "
                f"{more}, or move the limit.",
            )


def _room(limit: tuple[str, float, float], dae: Dae, name: str) -> tuple[float, float]:
    """By how much a limit may be missed below and above: by rounding, and a domain by what a certificate accepts."""
    what, *bounds = limit
    nominal = abs(next(v.nominal for v in dae.states if v.name == name))
    sizes = [max(abs(b), nominal if np.isfinite(nominal) else 0.0) if np.isfinite(b) else 0.0 for b in bounds]
    rounding = [_EXACT * max(abs(b), 1.0) if np.isfinite(b) else 0.0 for b in bounds]
    below, above = (max(r, RELAXATION * s) if what == DOMAIN else r for r, s in zip(rounding, sizes, strict=True))
    return below, above


def _moved(dae: Dae, known: Mapping[str, float]) -> Iterator[tuple[str, Moved]]:
    """States whose rates read inputs (linearly) and known parameters alone."""
    point = [ca.SX.sym("a", n) for n in (1, *dae.sizes)]
    t, x, z, u, p = point
    rates = ca.vertsplit(dae.function(*point)[0]) if dae.states else []
    values = [known.get(v.name, np.nan) for v in dae.parameters]
    for variable, rate in zip(dae.states, rates, strict=True):
        slopes = ca.jacobian(rate, u)
        if ca.depends_on(rate, ca.vertcat(t, x, z)) or ca.depends_on(slopes, u):
            continue
        function = ca.Function("moved", [p], [ca.substitute(rate, u, ca.DM.zeros(u.numel())), ca.densify(slopes)])
        constant, coefficients = (np.array(value).ravel() for value in function(values))
        if np.isfinite(constant).all() and np.isfinite(coefficients).all():
            yield variable.name, Moved(float(constant[0]), {j: float(c) for j, c in enumerate(coefficients) if c})


def _change(operation: Operation, moved: Moved, clock: float | None) -> Range:
    """By how much a phase can change such a state; `clock`: when it begins, where that is known."""
    duration = operation.duration
    lasts = Range(duration.lower, duration.upper) if duration.free or operation.event else Range(*[duration.guess] * 2)
    exact, rate = 0.0, Range(moved.constant, moved.constant)
    for j, coefficient in moved.coefficients.items():
        source = operation.inputs[j]
        if isinstance(source, Decided):
            rate += Range(source.lower, source.upper).times(coefficient)
        elif lasts.lower == lasts.upper and (clock is not None or not isinstance(source, Signal) or source.is_constant):
            exact += coefficient * _integral(source, clock or 0.0, lasts.lower)
        else:
            values = np.concatenate([source.left, source.right]) if isinstance(source, Signal) else source.values
            assert values is not None
            rate += Range(float(np.min(values)), float(np.max(values))).times(coefficient)
    ends = [_product(r, d) for r in (rate.lower, rate.upper) for d in (lasts.lower, lasts.upper)]
    return Range(min(ends) + exact, max(ends) + exact)


def _product(rate: float, duration: float) -> float:
    return rate * duration if duration else 0.0


def _integral(source: Signal | Pieces, start: float, duration: float) -> float:
    """The integral over a phase of a given input, which consists of straight lines."""
    if isinstance(source, Pieces):
        widths, values = np.diff(source.edges(duration, exact=True)), np.asarray(source.values, dtype=float)
        return duration * float(np.dot(widths, 0.5 * (values[1:] + values[:-1]) if source.linear else values))
    profile, values = source.over(start, duration)
    middles = 0.5 * (profile.edges[1:] + profile.edges[:-1])
    return duration * float(np.dot(np.diff(profile.edges), np.ravel(profile.at(values, middles))))


def _limits(phase: PhaseTerms, name: str, known: Mapping[str, float]) -> Iterator[tuple[str, float, float]]:
    """Its domain, and limits at the end and along the phase on this state alone, as limits of the state itself."""
    dae = phase.operation.lowered.dae
    i = [v.name for v in dae.states].index(name)
    yield DOMAIN, dae.states[i].lower, dae.states[i].upper
    point = [ca.SX.sym("a", n) for n in (1, *dae.sizes)]
    values = [known.get(v.name, np.nan) for v in dae.parameters]
    for placed in (p for p in (*phase.at_end, *phase.paths) if p.chance is None):
        value = placed.function(*point)
        others = ca.vertcat(point[0], *(x for j, x in enumerate(ca.vertsplit(point[1])) if j != i), point[2], point[3])
        slope = ca.jacobian(value, point[1])[i]
        if ca.depends_on(value, others) or ca.depends_on(slope, point[1]):
            continue
        function = ca.Function(
            "limit", [point[4]], [slope, ca.substitute(value, point[1], ca.DM.zeros(len(dae.states)))]
        )
        a, b = (float(entry) for entry in function(values))
        if np.isfinite([a, b]).all() and a != 0.0:
            ends = sorted(((placed.lower - b) / a, (placed.upper - b) / a))
            yield f"the limit {placed.term.label()!r}", ends[0], ends[1]


def _after_resets(planned: Sequence[Operation], k: int, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """What states begin phase k with; what a function sets may be anything, unless what it reads is known."""
    after = dict(ranges)
    for name, value in planned[k].resets.items():
        if isinstance(value, float):
            after[name] = Range(value, value)
            continue
        before = point_before(planned, k).lowered.dae
        read = [before.states[i].name for i in set(value.jac_sparsity(0, 1).get_col())]
        known = [ranges.get(n, ANY) for n in read]
        elsewhere = any(value.jac_sparsity(0, i).nnz() for i in (0, 2, 3))
        if elsewhere or any(r.lower != r.upper for r in known) or planned[k].fixed:
            after[name] = ANY
            continue
        x = [ranges.get(v.name, ANY).lower if v.name in read else 0.0 for v in before.states]
        p = [0.0] * len(before.parameters)
        free = value.jac_sparsity(0, 4).nnz() > 0
        number = np.nan if free else float(value(0.0, x, [0.0] * before.sizes[1], [0.0] * before.sizes[2], p))
        after[name] = Range(number, number) if np.isfinite(number) else ANY
    return after
