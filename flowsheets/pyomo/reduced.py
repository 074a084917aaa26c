"""What does a model of reduced index have that its unit operations do not? Derived equations, and derivatives as Vars.

phase.reduced.derivative_0[tau]       the derivative of an algebraic variable, "der(tank.F)" among titer's names
phase.reduced.derived[tau, equation]  equations that were differentiated, written out on the Vars of the phase
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import casadi as ca
import pyomo.environ as pyo

from titer.flowsheets.lowering import derivative_measure
from titer.flowsheets.pyomo.moments import Moments, Place, moments_of
from titer.flowsheets.pyomo.reading import PYOMO, plain, unit_of
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.dae import Dae
from titer.numerics.errors import SpecificationError
from titer.numerics.instructions import CONSTANT, INPUT, instructions

_DERIVED = "der("


def add_derived(block: Any) -> None:
    """Add to the Block of a phase what reducing the index added to its model; nothing where it was not reduced."""
    here = moments_of(block)
    dae = here.plan.operation.lowered.dae
    if dae.invariants is None:
        return
    block.reduced = pyo.Block()
    names = [v.name for v in dae.algebraics if v.name.startswith(_DERIVED)]
    for k, name in enumerate(names):
        units = unit_of(derivative_measure(here.plan.plant, name))
        block.reduced.add_component(f"derivative_{k}", pyo.Var(block.tau, units=units, initialize=0.0))
        here.places[name] = Place("reduced", f"derivative_{k}", told=True)
    equations = [name for name in dae.equations if name.startswith(_DERIVED)]
    block.reduced.derived = pyo.Constraint(block.tau, equations, rule=_derived_rule)


def add_derived_after_jumps(block: Any, positions: list[float]) -> None:
    """The same equations right after jumps of inputs."""
    if hasattr(block, "reduced"):
        equations = list({equation for _, equation in block.reduced.derived})
        rule = partial(_derived_rule, jumped=True)
        block.reduced.derived_after_jump = pyo.Constraint(positions, equations, rule=rule)


def held_at_start(block: Any, function: ca.Function) -> Any:
    """An equation that holds the states of a model of reduced index, at the phase's start, as a dimensionless one."""
    here = moments_of(block)
    return _at(here, function, 0.0)


def _derived_rule(own: Any, tau: float, equation: str, jumped: bool = False) -> Any:
    here = moments_of(own)
    dae = here.plan.operation.lowered.dae
    return _at(here, _row(dae, dae.equations.index(equation)), tau, jumped) == 0.0


def _at(here: Moments, function: ca.Function, tau: float, jumped: bool = False) -> Any:
    dae = here.plan.operation.lowered.dae
    return written(function, lambda argument, k: _number(here, dae, argument, k, tau, jumped))


def _row(dae: Dae, row: int) -> ca.Function:
    point = [ca.SX.sym("a", n) for n in (1, *dae.sizes)]
    return ca.Function("row", point, [dae.function(*point)[1][row]])


def _number(here: Moments, dae: Dae, argument: int, k: int, tau: float, jumped: bool) -> Any:
    """An argument of the model's function at a position, as a dimensionless expression."""
    plant = here.plan.plant
    if argument == 0:
        return plain(Symbol(here.time(tau), plant.measure_of_time, PYOMO), plant.measure_of_time)
    name = (dae.states, dae.algebraics, dae.inputs, dae.parameters)[argument - 1][k].name
    measure: Measure = derivative_measure(plant, name)
    return plain(Symbol(here.given(name, tau, jumped), measure, PYOMO), measure)


def written(function: ca.Function, argument: Callable[[int, int], Any]) -> Any:
    """A scalar function of CasADi's as a Pyomo expression. Raises SpecificationError."""
    steps = instructions(function)
    assert steps is not None, "a model's function is made of scalar operations"
    values: list[Any] = []
    for node, (code, operands) in enumerate(zip(steps.codes, steps.operands, strict=True)):
        if code == INPUT:
            values.append(argument(*steps.inputs[node]))
        elif code == CONSTANT:
            values.append(steps.constants[node])
        elif code in _DO:
            values.append(_DO[code](*(values[i] for i in operands)))
        else:
            raise SpecificationError(
                "to_pyomo: an equation that was differentiated has an operation that Pyomo lacks.\n"
                "  Write the equation with smooth functions, or differentiate it by hand."
            )
    return values[steps.outputs[0][2]] if steps.outputs else 0.0


_DO: Mapping[int, Callable[..., Any]] = {
    ca.OP_ASSIGN: operator.pos,
    ca.OP_ADD: operator.add,
    ca.OP_SUB: operator.sub,
    ca.OP_MUL: operator.mul,
    ca.OP_DIV: operator.truediv,
    ca.OP_NEG: operator.neg,
    ca.OP_POW: operator.pow,
    ca.OP_CONSTPOW: operator.pow,
    ca.OP_FABS: abs,
    ca.OP_SQ: lambda a: a**2,
    ca.OP_TWICE: lambda a: 2.0 * a,
    ca.OP_INV: lambda a: 1.0 / a,
    **{
        getattr(ca, f"OP_{name.upper().replace('ARC', 'A')}"): function
        for name, function in PYOMO.functions.items()
        if hasattr(ca, f"OP_{name.upper().replace('ARC', 'A')}")
    },
}
