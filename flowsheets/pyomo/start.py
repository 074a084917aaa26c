"""Where does a Pyomo model start? At the simulation of its recipe, or at a solution; sizes of Vars come from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.dae import DerivativeVar

from titer.flowsheets.declarations import Algebraic, Control, State
from titer.flowsheets.pyomo.arrays import finite
from titer.flowsheets.pyomo.moments import Moments, moments_of
from titer.flowsheets.pyomo.naming import runs_of
from titer.flowsheets.pyomo.plant import decisions
from titer.flowsheets.pyomo.terms import integrand
from titer.flowsheets.scalar import Scalar
from titer.numerics.errors import SpecificationError
from titer.numerics.solution import PhaseResult, Solution

Array = np.ndarray
_ASIDE = 1e-9  # fraction of a phase: right before or after a jump of an input
WIDE = 1e-2  # of a size: by how much a simulation may leave physical domains
_NOISE = 1e-12  # a variable that stays below this in the simulation tells nothing of its size


def initialize(model: Any, solution: Solution | Sequence[Solution] | None = None) -> None:
    """Give every Var that is not fixed the value it has in the simulation of the recipe, or in a solution of it.

    Physical domains become as wide as they were for the solution (`certificate.relaxed`), and hold it. Those of a model
    without objective, which is there to be simulated, become wider by 1 % of sizes, where they are as declared: on few
    elements a state that is all but zero may come out below it, and IPOPT would call the model infeasible. Where the
    model has several runs, give a solution for each, or one for all. Raises SpecificationError where a solution is of
    another recipe.
    """
    runs = runs_of(model)
    given = [solution] * len(runs) if solution is None or isinstance(solution, Solution) else list(solution)
    if len(given) != len(runs):
        raise SpecificationError(f"initialize: the model has {len(runs)} runs, got {len(given)} solutions.")
    for run, own in zip(runs, given, strict=True):
        _start_run(run, own)
    _scale(model)
    simulated = model.component("objective") is None
    for run, own in zip(runs, given, strict=True):
        if own is not None and own.certificate is not None:
            _widen(model, run, own.certificate.relaxed[0])
        elif own is None and simulated:
            _widen(model, run, WIDE, only=is_declared)


def _start_run(run: Any, solution: Solution | None) -> None:
    """Values of a run's decisions and phases."""
    results = {p.name: p for p in solution.phases} if solution is not None else {}
    for name, block in run.phase.items():
        if solution is not None and name not in results:
            raise SpecificationError(f"initialize: the solution has no phase {name!r}, it has {', '.join(results)}.")
        _start_phase(block, results.get(name, moments_of(block).plan.nominal))
    decided = {} if solution is None else solution.decided
    for name, variable in decisions(run):
        if name in decided:
            _start(variable, decided[name])
    for block in run.phase.values():
        _start_slopes(block)


def _start_phase(block: Any, result: PhaseResult) -> None:
    """Values of a trajectory at the phase's positions, its duration and the pieces of its inputs."""
    here, trajectory = moments_of(block), result.trajectory
    known = dict(result.columns())
    _start(block.duration, trajectory.duration)
    _start(block.clock, trajectory.time[0])
    for name, (profile, values) in result.shapes.items():
        pieces = here.pieces(name) if name in here.plan.profiles else ()
        for i, value in enumerate(values) if len(pieces) == len(values) else ():
            _start(pieces[i], value)
        _start_edges(here, name, profile.edges)
    positions = {tau: pyo.value(here.share(tau)) - _ASIDE for tau in block.tau}  # where inputs jump, before they do
    for name, place in here.places.items():
        if place.along and name in known and here.component(name).ctype in (pyo.Var, DerivativeVar):
            for tau, at in positions.items():
                _start(here.value(name, tau), np.interp(at, trajectory.tau, known[name]))
            for tau in [jump.position for jump in here.plan.jumps if jump.reads_z] if place.jumped else ():
                at = pyo.value(here.share(tau)) + _ASIDE
                _start(here.given(name, tau, True), np.interp(at, trajectory.tau, known[name]))


def _start_edges(here: Moments, name: str, ends: Array) -> None:
    """Ends of pieces of an input where they are decided."""
    first = here.plan.movable
    if first is None or name not in here.plan.profiles or len(ends) != len(here.plan.profiles[name][0].edges):
        return
    for end, before in zip(ends, here.plan.profiles[name][0].edges, strict=True):
        _start(here.block.edges[int(np.abs(first - before).argmin())], end)


def _start_slopes(block: Any) -> None:
    """Slopes as the equations have them, and integrals by the trapezoidal rule: a start, not a result."""
    here, taus = moments_of(block), list(block.tau)
    for name, place in here.places.items():
        for tau in taus if place.slope else ():
            _start(here.slope(name, tau), pyo.value(here.slope_value(name, tau)))
    steps = np.diff([here.position(tau) for tau in taus])
    for own in block.integral.values() if block.component("integral") is not None else ():
        rates = np.array([pyo.value(integrand(own, tau)) for tau in taus])
        totals = np.concatenate([[0.0], np.cumsum(0.5 * steps * (rates[1:] + rates[:-1]))])
        for tau, rate, total in zip(taus, rates, totals, strict=True):
            _start(own.value[tau], total)
            _start(own.dvalue_dtau[tau], rate)


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
    for block in (block for run in runs_of(model) for block in run.phase.values()):
        here = moments_of(block)
        for name, scalar in here.plan.plant.scalars.items():
            place = here.places.get(name)
            if place is not None and place.along and scalar.kind != Control.kind and np.isfinite(scalar.nominal):
                factors.update((here.value(name, tau), 1.0 / scalar.nominal) for tau in block.tau)
    if model.component("objective") is not None:
        size = abs(pyo.value(model.objective))
        factors[model.objective] = 1.0 / size if size > _NOISE else 1.0


def _widen(
    model: Any, run: Any, fraction: float, only: Callable[[Any, Scalar], bool] = lambda variable, scalar: True
) -> None:
    """Relax the domains of states and algebraic variables by a fraction of their sizes."""
    for k, block in enumerate(run.phase.values()):
        here = moments_of(block)
        positions = [tau for tau in block.tau if k or tau > 0.0]  # the recipe's own start has bounds of its own
        for unit in here.plan.streams.units:
            for scalar in (*unit.of_kind(State), *unit.of_kind(Algebraic)):
                for variable in (here.value(str(scalar.name), tau) for tau in positions):
                    if only(variable, scalar):
                        relax(variable, scalar, fraction / model.scaling_factor[variable])


def is_declared(variable: Any, scalar: Scalar) -> bool:
    """Whether the bounds of a Var are those of its declaration, not a user's."""
    return (variable.lb, variable.ub) == (finite(scalar.lower), finite(scalar.upper))


def relax(variable: Any, scalar: Scalar, slack: float) -> None:
    """Widen a Var's domain by a slack on both sides, and so that its value lies in it."""
    value = [variable.value] if variable.value is not None else []
    variable.setlb(min([scalar.lower - slack, *value]) if np.isfinite(scalar.lower) else None)
    variable.setub(max([scalar.upper + slack, *value]) if np.isfinite(scalar.upper) else None)
