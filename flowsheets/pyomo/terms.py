"""How do terms stand in a Pyomo model? Limits in their phases, integrals as Vars along tau, one objective on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.dae import DerivativeVar

from titer.flowsheets.lowering import evaluate
from titer.flowsheets.problems.problem import Placed
from titer.flowsheets.pyomo.moments import Moments, moments_of
from titer.flowsheets.pyomo.reading import PYOMO, plain, raw
from titer.flowsheets.symbols.measure import DIMENSIONLESS
from titer.flowsheets.terms import AtTimes


def add_terms(block: Any) -> None:
    """Limits at the ends of a phase and along it, and its integrals."""
    terms = moments_of(block).plan.terms
    for key, group, tau in (("at_start", terms.at_start, 0.0), ("at_end", terms.at_end, 1.0)):
        limits = [p for p in group if np.isfinite([p.lower, p.upper]).any()]
        if limits:
            rows = dict(zip(_labels(limits), limits, strict=True))
            bodies = {label: _limited(placed, _value(block, placed, tau)) for label, placed in rows.items()}
            block.add_component(key, pyo.Constraint(list(rows), rule=lambda b, label, bodies=bodies: bodies[label]))
    if terms.paths:
        block.path = pyo.Constraint(block.tau, _labels(terms.paths), rule=_path)
    if terms.integrals or terms.totals:
        keys = integral_keys(block)
        block.integral = pyo.Var(block.tau, keys, initialize=0.0)  # numbers, in the integrand's unit times time
        block.dintegral_dtau = DerivativeVar(block.integral, wrt=block.tau, initialize=0.0)
        block.integrand = pyo.Constraint(
            block.tau, keys, rule=lambda b, tau, key: b.dintegral_dtau[tau, key] == integrand(b, tau, key)
        )
        for key in keys:
            block.integral[0.0, key].fix(0.0)


def add_totals(model: Any) -> None:
    """Limits on integrals: of all phases that a term belongs to, together."""
    sums: dict[int, tuple[Placed, list[Any]]] = {}
    for block in model.phase.values():
        terms, keys = moments_of(block).plan.terms, integral_keys(block)
        for key, placed in zip(keys[len(terms.integrals) :], terms.totals, strict=True):
            sums.setdefault(id(placed.term), (placed, []))[1].append(block.integral[1.0, key])
    if sums:
        rows = dict(zip(_labels([placed for placed, _ in sums.values()]), sums.values(), strict=True))
        model.total = pyo.Constraint(list(rows))
        for label, (placed, parts) in rows.items():
            model.total[label] = _between(placed.lower, sum(parts), placed.upper)


def add_objective(model: Any, sense: Any) -> None:
    """The objective: terms as numbers in their own units, weighted and added."""
    cost: Any = 0.0
    for block in model.phase.values():
        terms = moments_of(block).plan.terms
        for group, tau in ((terms.at_start, 0.0), (terms.at_end, 1.0)):
            cost += sum(p.weight * plain(_value(block, p, tau), DIMENSIONLESS) for p in group if p.weight)
        for key, placed in zip(integral_keys(block), terms.integrals, strict=False):
            cost += placed.weight * block.integral[1.0, key]
        cost += sum(p.weight * _squares(block, p) for p in terms.samples)
    model.objective = pyo.Objective(expr=cost, sense=sense)


def drop_paths_between_elements(block: Any) -> None:
    """Limits along a phase hold at collocation points and at its end; element ends in between were there before."""
    for (tau, _), row in block.path.items() if hasattr(block, "path") else ():
        if tau in block.tau.get_finite_elements() and 0.0 < tau < 1.0:
            row.deactivate()


def integral_keys(block: Any) -> list[str]:
    """Labels of a phase's integrals: of the objective first, then those with limits."""
    terms = moments_of(block).plan.terms
    return _labels([*terms.integrals, *terms.totals])


def integrand(block: Any, tau: float, key: str) -> Any:
    """What the derivative of an integral with respect to tau equals: duration times integrand, as numbers."""
    here = moments_of(block)
    terms = here.plan.terms
    placed = [*terms.integrals, *terms.totals][integral_keys(block).index(key)]
    duration = PYOMO.strip(block.duration, here.plan.plant.measure_of_time)
    return duration * plain(_value(block, placed, tau), DIMENSIONLESS)


def _path(block: Any, tau: float, label: str) -> Any:
    plan = moments_of(block).plan
    placed = plan.terms.paths[_labels(plan.terms.paths).index(label)]
    if tau == 0.0 and not placed.at_start:
        return pyo.Constraint.Skip
    return _limited(placed, _value(block, placed, tau))


def _squares(block: Any, placed: Placed) -> Any:
    """Weighted squares of residuals over data, at the element ends that stand for the sample times."""
    here, term = moments_of(block), placed.term
    assert isinstance(term, AtTimes)
    clock, duration = _fixed_clock(here), here.plan.operation.duration.guess
    squares: Any = 0.0
    positions = np.array(list(block.tau))
    columns = (np.asarray(c, dtype=float)[placed.chosen] for c in (term.times, term.measured, term.deviations))
    for time, measured, deviation in zip(*(c.tolist() for c in columns), strict=True):
        nearest = float(positions[np.abs(positions - (time - clock) / duration).argmin()])
        squares += ((plain(_value(block, placed, nearest), DIMENSIONLESS) - measured) / deviation) ** 2
    return squares


def _fixed_clock(here: Moments) -> float:
    return float(here.plan.nominal.trajectory.time[0])


def _value(block: Any, placed: Placed, tau: float) -> Any:
    """A term's function on the view at a position: a symbol or a number."""
    value = evaluate(placed.term.function, moments_of(block).at(tau).view, placed.term.label())
    return value.ravel()[0] if isinstance(value, np.ndarray) else value


def _limited(placed: Placed, value: Any) -> Any:
    measure = placed.measure
    lower, upper = (PYOMO.attach(x, measure) if np.isfinite(x) else x for x in (placed.lower, placed.upper))
    return _between(lower, raw(value, measure), upper)


def _between(lower: Any, body: Any, upper: Any) -> Any:
    """Limits on an expression; those at infinity are left out."""
    least, most = (None if isinstance(x, float) and not np.isfinite(x) else x for x in (lower, upper))
    if least is not None and most is not None and pyo.value(least) == pyo.value(most):
        return body == most
    return least, body, most


def _labels(group: Sequence[Placed]) -> list[str]:
    """What terms are called; a name that comes again gets a number."""
    labels: list[str] = []
    for placed in group:
        label, n = placed.term.label(), 2
        while label in labels:
            label, n = f"{placed.term.label()} {n}", n + 1
        labels.append(label)
    return labels
