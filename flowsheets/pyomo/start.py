"""Where does a Pyomo model start? At the simulation of its recipe, or at a solution; sizes of Vars come from there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.dae import DerivativeVar

from titer.flowsheets.declarations import Algebraic, Control, State
from titer.flowsheets.pyomo.moments import moments_of
from titer.flowsheets.pyomo.terms import integral_keys, integrand
from titer.numerics.errors import SpecificationError
from titer.numerics.solution import PhaseResult, Solution

_NOISE = 1e-12  # a variable that stays below this in the simulation tells nothing of its size


def initialize(model: Any, solution: Solution | None = None) -> None:
    """Give every Var that is not fixed the value it has in the simulation of the recipe, or in a solution of it.

    Physical domains become as wide as they were for the solution (`certificate.relaxed`).
    Raises SpecificationError where the solution is of another recipe.
    """
    results = {p.name: p for p in solution.phases} if solution is not None else {}
    for name, block in model.phase.items():
        if solution is not None and name not in results:
            raise SpecificationError(f"initialize: the solution has no phase {name!r}, it has {', '.join(results)}.")
        _start_phase(block, results.get(name, moments_of(block).plan.nominal))
    if solution is not None:
        here = moments_of(next(iter(model.phase.values())))
        for name, value in solution.decided.items():
            _start(here.value(name, 0.0), value)
    for block in model.phase.values():
        _start_slopes(block)
    _scale(model)
    if solution is not None and solution.certificate is not None:
        _widen(model, solution.certificate.relaxed[0])


def _start_phase(block: Any, result: PhaseResult) -> None:
    """Values of a trajectory at the phase's positions, its duration and the pieces of its inputs."""
    here, trajectory = moments_of(block), result.trajectory
    known = dict(result.columns())
    _start(block.duration, trajectory.duration)
    _start(block.clock, trajectory.time[0])
    for name, (_, values) in result.shapes.items():
        pieces = here.pieces(name) if name in here.plan.profiles else ()
        for i, value in enumerate(values) if len(pieces) == len(values) else ():
            _start(pieces[i], value)
    positions = {tau: here.position(tau) for tau in block.tau}
    for name, place in here.places.items():
        if place.along and name in known and here.component(name).ctype in (pyo.Var, DerivativeVar):
            for tau, at in positions.items():
                _start(here.value(name, tau), np.interp(at, trajectory.tau, known[name]))


def _start_slopes(block: Any) -> None:
    """Slopes as the equations have them, and integrals by the trapezoidal rule: a start, not a result."""
    here, taus = moments_of(block), list(block.tau)
    for name, place in here.places.items():
        for tau in taus if place.slope else ():
            _start(here.slope(name, tau), pyo.value(here.slope_value(name, tau)))
    steps = np.diff([here.position(tau) for tau in taus])
    for key in integral_keys(block):
        rates = np.array([pyo.value(integrand(block, tau, key)) for tau in taus])
        totals = np.concatenate([[0.0], np.cumsum(0.5 * steps * (rates[1:] + rates[:-1]))])
        for tau, rate, total in zip(taus, rates, totals, strict=True):
            _start(block.integral[tau, key], total)
            _start(block.dintegral_dtau[tau, key], rate)


def _start(variable: Any, value: float) -> None:
    if not variable.fixed and np.isfinite(value):
        variable.set_value(float(value), skip_validation=True)


def _scale(model: Any) -> None:
    """Write typical sizes of Vars and objective to `scaling_factor`: the declared ones, else those at the start."""
    if model.component("scaling_factor") is None:
        model.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    factors = model.scaling_factor
    for variable in model.component_objects([pyo.Var, DerivativeVar]):
        groups: dict[Any, list[Any]] = {}  # elements of an array differ in size, positions of one element do not
        for index, data in variable.items():
            groups.setdefault(index[1:] if isinstance(index, tuple) else None, []).append(data)
        for group in groups.values():
            size = max(abs(data.value or 0.0) for data in group)
            factors.update((data, 1.0 / size if size > _NOISE else 1.0) for data in group)
    for block in model.phase.values():
        here = moments_of(block)
        for name, scalar in here.plan.plant.scalars.items():
            place = here.places.get(name)
            if place is not None and place.along and scalar.kind != Control.kind and np.isfinite(scalar.nominal):
                factors.update((here.value(name, tau), 1.0 / scalar.nominal) for tau in block.tau)
    if model.component("objective") is not None:
        size = abs(pyo.value(model.objective))
        factors[model.objective] = 1.0 / size if size > _NOISE else 1.0


def _widen(model: Any, fraction: float) -> None:
    """Relax the domains of states and algebraic variables by a fraction of their sizes."""
    for k, block in enumerate(model.phase.values()):
        here = moments_of(block)
        positions = [tau for tau in block.tau if k or tau > 0.0]  # the recipe's own start has bounds of its own
        for unit in here.plan.streams.units:
            for scalar in (*unit.of_kind(State), *unit.of_kind(Algebraic)):
                for variable in (here.value(str(scalar.name), tau) for tau in positions):
                    slack = fraction / model.scaling_factor[variable]
                    variable.setlb(scalar.lower - slack if np.isfinite(scalar.lower) else None)
                    variable.setub(scalar.upper + slack if np.isfinite(scalar.upper) else None)
