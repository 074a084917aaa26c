"""How do terms stand in a Pyomo model? Limits in their phases, integrals as Vars along tau, one objective."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import casadi as ca
import numpy as np
import pyomo.environ as pyo
from pyomo.dae import DerivativeVar

from titer.flowsheets.lowering import evaluate
from titer.flowsheets.problems.problem import Placed
from titer.flowsheets.pyomo.moments import Moments, moments_of
from titer.flowsheets.pyomo.plant import decisions, places_of
from titer.flowsheets.pyomo.reading import PYOMO, plain, raw, unit_of
from titer.flowsheets.pyomo.reduced import held_at_start, written
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.terms import AtTimes


def add_terms(block: Any) -> None:
    """Limits at the ends of a phase, along it and right after jumps of inputs, and its integrals."""
    plan = moments_of(block).plan
    terms = plan.terms
    for key, group, tau in (("at_start", terms.at_start, 0.0), ("at_end", terms.at_end, 1.0)):
        limits = [p for p in group if np.isfinite([p.lower, p.upper]).any()]
        if limits:
            rows = dict(zip(_labels(limits), limits, strict=True))
            bodies = {label: _limited(placed, _value(block, placed, tau)) for label, placed in rows.items()}
            block.add_component(key, pyo.Constraint(list(rows), rule=lambda b, label, bodies=bodies: bodies[label]))
    if terms.paths:
        block.path = pyo.Constraint(block.tau, _labels(terms.paths), rule=_path)
    after = [(jump.position, _labels(terms.paths)[k]) for jump in plan.jumps for k in jump.paths]
    if after:
        block.after_jump = pyo.Constraint(after, rule=_path_after_jump)
    keys = integral_keys(block)
    if keys:
        block.integral = pyo.Block(keys, rule=_integral)


def _integral(own: Any, key: str) -> None:
    """An integral as a Var along tau: integral[key].value[tau], zero at the start of the phase."""
    block = own.parent_block()
    units = unit_of(_of_integral(block, key)[1])
    own.value = pyo.Var(block.tau, units=units, initialize=0.0)
    own.dvalue_dtau = DerivativeVar(own.value, wrt=block.tau, units=units, initialize=0.0)
    own.integrand = pyo.Constraint(block.tau, rule=lambda b, tau: b.dvalue_dtau[tau] == integrand(b, tau))
    own.value[0.0].fix(0.0)


def add_totals(run: Any) -> None:
    """Limits on integrals: of all phases that a term belongs to, together. `run`: the model, or a run of it."""
    sums: dict[int, tuple[Placed, list[Any]]] = {}
    for block in run.phase.values():
        terms, keys = moments_of(block).plan.terms, integral_keys(block)
        for key, placed in zip(keys[len(terms.integrals) :], terms.totals, strict=True):
            sums.setdefault(id(placed.term), (placed, []))[1].append(block.integral[key].value[1.0])
    if sums:
        rows = dict(zip(_labels([placed for placed, _ in sums.values()]), sums.values(), strict=True))
        run.total = pyo.Constraint(list(rows))
        for label, (placed, parts) in rows.items():
            lower, upper = _limits(placed)
            run.total[label] = _between(lower, sum(parts[1:], parts[0]), upper)


def add_objective(model: Any, runs: Sequence[Any], sign: float) -> None:
    """The objective: terms of all runs as numbers in their own units, weighted and added, and what priors cost.

    `sign`: of the user's objective to what the terms' weights minimize, -1 where it is maximized.
    """
    cost: Any = 0.0
    for block in (block for run in runs for block in run.phase.values()):
        terms = moments_of(block).plan.terms
        for group, tau in ((terms.at_start, 0.0), (terms.at_end, 1.0)):
            cost += sum(p.weight * plain(_value(block, p, tau), p.measure) for p in group if p.weight)
        for key, placed in zip(integral_keys(block), terms.integrals, strict=False):
            cost += placed.weight * plain(Symbol(block.integral[key].value[1.0], placed.measure, PYOMO), placed.measure)
        cost += sum(p.weight * _squares(block, p) for p in terms.samples)
    cost += sum(_expected(run, first=run is runs[0]) for run in runs)
    model.objective = pyo.Objective(expr=sign * cost, sense=pyo.maximize if sign < 0.0 else pyo.minimize)


def _expected(run: Any, first: bool) -> Any:
    """What is known of decided numbers beforehand: ((number - mean) / deviation)^2, where they are a run's own."""
    numbers = {number.name: number for number in places_of(run).numbers}
    measures = moments_of(next(iter(run.phase.values()))).plan.measures
    cost: Any = 0.0
    for name, variable in decisions(run):
        prior = numbers[name].prior
        if prior is not None and (first or numbers[name].each):
            mean, deviation = prior
            cost += ((plain(Symbol(variable, measures[name], PYOMO), measures[name]) - mean) / deviation) ** 2
    return cost


def drop_paths_between_elements(block: Any) -> None:
    """Limits along a phase hold at collocation points and at its end; element ends in between were there before."""
    for (tau, _), row in block.path.items() if hasattr(block, "path") else ():
        if tau in block.tau.get_finite_elements() and 0.0 < tau < 1.0:
            row.deactivate()


def integral_keys(block: Any) -> list[str]:
    """Labels of a phase's integrals: of the objective first, then those with limits."""
    terms = moments_of(block).plan.terms
    return _labels([*terms.integrals, *terms.totals])


def integrand(own: Any, tau: float) -> Any:
    """What the derivative of an integral with respect to tau equals: time per tau times integrand."""
    block, key = own.parent_block(), own.index()
    here = moments_of(block)
    placed, measure = _of_integral(block, key)
    per = here.plan.plant.measure_of_time
    return here.pace(tau) * raw(_value(block, placed, tau), measure / per)


def _of_integral(block: Any, key: str) -> tuple[Placed, Measure]:
    terms = moments_of(block).plan.terms
    placed = [*terms.integrals, *terms.totals][integral_keys(block).index(key)]
    return placed, placed.measure


def _path(block: Any, tau: float, label: str) -> Any:
    placed = _labelled(block, label)
    if tau == 0.0 and not placed.at_start:
        return pyo.Constraint.Skip
    return _limited(placed, _value(block, placed, tau))


def _path_after_jump(block: Any, tau: float, label: str) -> Any:
    placed = _labelled(block, label)
    return _limited(placed, _value(block, placed, tau, jumped=True))


def _labelled(block: Any, label: str) -> Placed:
    """A path by its label."""
    paths = moments_of(block).plan.terms.paths
    return paths[_labels(paths).index(label)]


def _squares(block: Any, placed: Placed) -> Any:
    """Weighted squares of residuals over data, at the element ends that stand for the sample times."""
    here, term = moments_of(block), placed.term
    assert isinstance(term, AtTimes)
    clock, duration = _fixed_clock(here), here.plan.operation.duration.guess
    squares: Any = 0.0
    s = ca.SX.sym("square")
    loss = None if term.loss is None else ca.Function("loss", [s], [term.loss.cost(s)])
    positions = np.array(list(block.tau))
    columns = (np.asarray(c, dtype=float)[placed.chosen] for c in (term.times, term.measured, term.deviations))
    for time, measured, deviation in zip(*(c.tolist() for c in columns), strict=True):
        nearest = float(positions[np.abs(positions - (time - clock) / duration).argmin()])
        square = ((plain(_value(block, placed, nearest), placed.measure) - measured) / deviation) ** 2
        squares += square if loss is None else written(loss, _always(square))
    return squares


def _always(value: Any) -> Callable[[int, int], Any]:
    """What a function of one argument is given."""
    return lambda argument, k: value


def _fixed_clock(here: Moments) -> float:
    return float(here.plan.nominal.trajectory.time[0])


def _value(block: Any, placed: Placed, tau: float, jumped: bool = False) -> Any:
    """A term's function on the view at a position: a symbol or a number."""
    here = moments_of(block)
    if placed.term.label() in _held(here):
        return Symbol(held_at_start(block, placed.function), DIMENSIONLESS, PYOMO)
    value = evaluate(placed.term.function, here.at(tau, jumped).view, placed.term.label())
    return value.ravel()[0] if isinstance(value, np.ndarray) else value


def _held(here: Moments) -> list[str]:
    """Labels of the limits that hold the states of a model of reduced index at the recipe's start."""
    return [f"{name} at the start" for name in here.plan.operation.lowered.dae.invariant_names]


def _limited(placed: Placed, value: Any) -> Any:
    lower, upper = _limits(placed)
    return _between(lower, raw(value, placed.measure), upper)


def _limits(placed: Placed) -> tuple[Any, Any]:
    """Limits with their unit; infinite ones as they are."""
    lower, upper = (PYOMO.attach(x, placed.measure) if np.isfinite(x) else x for x in (placed.lower, placed.upper))
    return lower, upper


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
