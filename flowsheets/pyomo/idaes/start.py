"""Where does an IDAES flowsheet start? At the simulation of its phase, or at a solution: inputs fixed, slopes set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyomo.environ as pyo

from titer.flowsheets.declarations import Control, Inlet, State
from titer.flowsheets.pyomo.idaes.moments import FlowsheetMoments
from titer.flowsheets.pyomo.moments import moments_of
from titer.flowsheets.trace import port_scalars
from titer.flowsheets.unit import Unit
from titer.numerics.errors import SpecificationError
from titer.numerics.solution import PhaseResult, Solution


def initialize_flowsheet(model: Any, solution: Solution | None = None) -> None:
    """Give every Var of an IDAES flowsheet the value it has in the simulation of its phase, or in a solution of it.

    `model`: what `Flowsheet.to_idaes` returned, or a model that holds it. Controls and inlets that nothing is connected
    to are fixed at their trajectories, also at times that a discretization added; derivatives are what the equations
    say. Call it again after discretizing. A control that was unfixed stays so. Raises SpecificationError where the
    model holds no such flowsheet, or the solution is of another recipe.
    """
    flowsheets = list(flowsheets_of(model))
    if not flowsheets:
        raise SpecificationError(f"initialize_flowsheet: {model.name} holds no flowsheet of to_idaes.")
    results = {p.name: p for p in solution.phases} if solution is not None else {}
    for flowsheet in flowsheets:
        here: Any = moments_of(flowsheet)
        name = here.plan.operation.name
        if solution is not None and name not in results:
            raise SpecificationError(f"initialize_flowsheet: the solution has no phase {name!r}, but {[*results]}.")
        for unit in here.plan.streams.units:
            start_unit(here.unit(unit.name), results.get(name))
        _start_derived(here, results.get(name, here.plan.nominal))


def flowsheets_of(model: Any) -> Iterator[Any]:
    """The flowsheets of `to_idaes` in a model."""
    if isinstance(getattr(model, "_titer", None), FlowsheetMoments):
        yield model
        return
    for block in model.component_data_objects(pyo.Block, descend_into=True):
        if isinstance(getattr(block, "_titer", None), FlowsheetMoments):
            yield block


def start_unit(own: Any, result: PhaseResult | None = None) -> None:
    """Give every Var of one unit operation its value in the simulation of its phase, or in another result."""
    here: FlowsheetMoments = moments_of(own)  # type: ignore[assignment]
    result = here.plan.nominal if result is None else result
    unit = here.plan.plant.unit(name_in(own))
    times = list(here.block.time)
    known = result.table()
    for name, place in here.places.items():
        if place.along and not place.told and name.startswith(f"{unit.name}.") and name in known:
            for t in times:
                _start(here.value(name, t), np.interp(here.position(t), result.trajectory.tau, known[name]))
    for name in _given(here, unit):
        _fix(here, name, _trajectory(here, name, result))
    for name in (str(scalar.name) for scalar in unit.of_kind(State)):
        for t in times:
            _start(here.slope(name, t), pyo.value(here.slope_value(name, t)))
    start_translated(own)


def start_translated(own: Any) -> None:
    """Start what is tied to state blocks, in the order in which it was."""
    for equality in (getattr(own, key) for key in translated(own)):
        for row in equality.values():
            _start(row.expr.arg(0), pyo.value(row.expr.arg(1)))


def name_in(own: Any) -> str:
    """titer's name of a unit operation's block."""
    return next(name for name, attribute in moments_of(own).units.items() if attribute == own.local_name)


def translated(own: Any) -> list[str]:
    """Names of the Constraints by which a unit operation is tied to state blocks: a Var equals an expression."""
    if not hasattr(own, "_titer_translated"):
        own._titer_translated = []
    found: list[str] = own._titer_translated
    return found


def _given(here: FlowsheetMoments, unit: Unit) -> Iterator[str]:
    """Controls of a unit operation, and inlet variables to which nothing is connected."""
    yield from (str(scalar.name) for scalar in unit.of_kind(Control))
    inlets = [f"{unit.name}.{local}" for local in port_scalars(unit, Inlet)]
    yield from (name for name in inlets if here.source_of(name) is None)


def _trajectory(here: FlowsheetMoments, name: str, result: PhaseResult) -> Callable[[float], float]:
    """An input along the flowsheet's time."""
    if name in here.plan.functions:
        return lambda t: float(pyo.value(here.function(name, t)))
    if name not in here.plan.profiles:
        return lambda t: 0.0
    profile, values = result.shapes.get(name, here.plan.profiles[name])
    return lambda t: here.along(profile, values, t)


def _fix(here: FlowsheetMoments, name: str, trajectory: Callable[[float], float]) -> None:
    """Fix an input; one that is free where the phase begins stays free."""
    variables = {t: here.value(name, t) for t in here.block.time}
    fixed = variables[here.block.time.first()].fixed
    for t, variable in variables.items():
        variable.set_value(trajectory(t), skip_validation=True)
        if fixed:
            variable.fix()


def _start_derived(here: FlowsheetMoments, result: PhaseResult) -> None:
    """Derivatives that reducing the index made algebraic variables."""
    known = result.table()
    for name, place in here.places.items():
        if place.unit == "reduced" and name in known:
            for t in here.block.time:
                _start(here.value(name, t), np.interp(here.position(t), result.trajectory.tau, known[name]))


def _start(variable: Any, value: float) -> None:
    if variable.is_variable_type() and not variable.fixed and np.isfinite(value):
        variable.set_value(float(value), skip_validation=True)
