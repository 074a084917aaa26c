"""How does a phase become an IDAES flowsheet? A `FlowsheetBlock` in real time, and in it a unit model per operation.

fs.time                         0 to the duration, in the plant's unit of time (`fs.time_units`)
fs.reactor.T[t]                 state or algebraic variable; expressions and what outlets carry stand beside it
fs.reactor.dT_dt[t]             its slope by Pyomo.DAE, equal to the rate by fs.reactor.balance[t, "T"]
fs.reactor.T_j[t]               control, a Var fixed at its trajectory; an inlet that nothing is connected to likewise
fs.reactor.k0_1                 parameter, a fixed Var
fs.reactor.feed                 Port of an inlet or outlet; Arcs between them stand beside the unit operations
fs.link[name]                   what a phase of a recipe takes over from the end of one before
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
from idaes.core.util.misc import add_object_reference

from titer.flowsheets.declarations import Control, Inlet, Parameter, State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.problems.problem import Problem, Run
from titer.flowsheets.pyomo.arrays import carried, declared, options
from titer.flowsheets.pyomo.idaes.moments import FlowsheetMoments
from titer.flowsheets.pyomo.idaes.start import initialize_flowsheet
from titer.flowsheets.pyomo.idaes.unit import (  # type: ignore[attr-defined]  # IDAES makes two of them
    NominalScaler,
    PlantFlowsheet,
    UnitOperation,
)
from titer.flowsheets.pyomo.links import link_states
from titer.flowsheets.pyomo.model import collocate, collocated, plans_of
from titer.flowsheets.pyomo.moments import PhasePlan, Place, moments_of
from titer.flowsheets.pyomo.naming import added
from titer.flowsheets.pyomo.phase import Adder
from titer.flowsheets.pyomo.ports import add_arcs, add_ports
from titer.flowsheets.pyomo.reading import unit_of
from titer.flowsheets.pyomo.reduced import add_derived
from titer.flowsheets.recipe import Phase, Recipe
from titer.flowsheets.terms import Sum
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import Grid

_SHORTEST = 1e-4  # Pyomo.DAE rounds times to six digits


def lower_to_idaes(
    plant: Flowsheet, recipe: Recipe | Phase, inputs: Mapping[str, Any] | None = None, grid: Grid | None = None
) -> Any:
    """A plant in a phase as an IDAES flowsheet: `Flowsheet.to_idaes`, which see."""
    if not isinstance(recipe, Recipe | Phase):
        raise SpecificationError(f"to_idaes: expected a Phase(...) or a Recipe(Phase(...), ...), got {recipe!r}.")
    if grid is not None and not isinstance(grid, Grid):
        raise SpecificationError(f"to_idaes: grid must be a Grid or None, got {grid!r}.")
    phases = recipe if isinstance(recipe, Recipe) else Recipe(recipe)
    run = collocated(Run(plant, phases, dict(inputs or {}), Sum(()), ()))
    (plans,) = plans_of(Problem((run,), {}, grid=grid or Grid(elements=1)))
    if isinstance(recipe, Phase):
        model = PlantFlowsheet(concrete=True, name=plans[0].operation.name, **_config(plans[0]))
        blocks = [model]
    else:
        model = pyo.ConcreteModel("titer")
        names = [plan.operation.name for plan in plans]
        model.phase = PlantFlowsheet(names, initialize=dict(zip(names, map(_config, plans), strict=True)))
        blocks = list(model.phase.values())
    _fill(blocks, plans)
    if grid is not None:
        for block in blocks:
            collocate(block, grid)
        pyo.TransformationFactory("network.expand_arcs").apply_to(model)
    initialize_flowsheet(model)
    for block in blocks:
        for unit in moments_of(block).plan.streams.units:
            NominalScaler().variable_scaling_routine(moments_of(block).unit(unit.name))
    return model


def _config(plan: PhasePlan) -> dict[str, Any]:
    """Time of a flowsheet: the ends of the elements, in the plant's unit."""
    ends = plan.ends * plan.nominal.trajectory.duration
    if np.diff(ends).min() < _SHORTEST:
        raise SpecificationError(
            f"Phase {plan.operation.name!r}: its elements last {np.diff(ends).min():.3g} {plan.plant.time}, and Pyomo "
            "rounds times to six digits.\n"
            '  Count the plant\'s time in a smaller unit: Flowsheet(..., time="s").'
        )
    rounded = [float(f"{end:.12g}") for end in ends]  # 500.0, not 499.99999999999994, is what users index by
    return {"dynamic": True, "time_set": rounded, "time_units": unit_of(plan.plant.measure_of_time)}


def _fill(blocks: list[Any], plans: tuple[PhasePlan, ...]) -> None:
    """Fill the flowsheets of a recipe, each tied to the ends of those before."""
    scalars = plans[0].plant.scalars
    where: dict[str, Any] = {name: s.start for name, s in scalars.items() if s.kind == State.kind}
    first = plans[0].nominal  # starts that the simulation made consistent
    where |= {name: float(values[0]) for name, values in first.columns() if name in first.states}
    previous = None
    for block, plan in zip(blocks, plans, strict=True):
        _add(block, plan, where)
        block.link = pyo.Constraint(pyo.Any)
        link_states(block, previous, where)
        if not len(block.link):
            block.del_component("link")
        previous = block


def _add(block: Any, plan: PhasePlan, where: Mapping[str, Any]) -> None:
    """Fill a flowsheet. `where`: what the states of idle units are held at."""
    add_object_reference(block, "tau", block.time)  # what the lowering of a phase calls its set
    began = float(plan.nominal.trajectory.time[0])
    block._titer = FlowsheetMoments(plan, block, start=began, duration=block.time.last())
    active = {unit.name for unit in plan.streams.units}
    adders = [_Adder(block, unit, UnitOperation if unit.name in active else pyo.Block) for unit in plan.plant.units]
    for adder in adders:
        adder.parameters({})
        if adder.unit.name in active:
            adder.variables()
            adder.inputs()
            adder.inlets()
            adder.expressions()
        else:
            adder.held(where)
    block._titer.at(block.time.first())  # what is wrong with the equations is said here once, before Pyomo logs it
    for adder in adders:
        if adder.unit.name in active:
            adder.equations()
    add_derived(block)
    for adder in adders:
        if adder.unit.name in active:
            add_ports(adder.own, adder.unit)
    add_arcs(block)
    for t in block.time:  # trace also what no equation needs: a unit operation that only calculates
        moments_of(block).at(t)


class _Adder(Adder):
    """Adds a unit operation's components to an IDAES flowsheet: inputs are fixed Vars, parameters the unit's own."""

    along = "t"

    def parameters(self, shared: Mapping[str, Place]) -> None:
        """Parameters, fixed at what they are in this phase."""
        fixed = self.plan.operation.fixed
        for path, sets, scalars in declared(self.unit, Parameter):
            changed = {labels: replace(s, start=fixed.get(str(s.name), s.start)) for labels, s in scalars.items()}
            variable = added(self.own, path, pyo.Var(*sets, **options(changed)))
            variable.fix()
            for labels, scalar in scalars.items():
                self._note(str(scalar.name), variable, labels, along=False)

    def inputs(self) -> None:
        """Controls along time."""
        for path, sets, scalars in declared(self.unit, Control):
            variable = added(self.own, path, pyo.Var(self.tau, *sets, **options(scalars, along=True)))
            variable.fix()
            for labels, scalar in scalars.items():
                self._note(str(scalar.name), variable, labels)

    def inlets(self) -> None:
        """Variables of inlets along time, fixed where nothing is connected."""
        for path, sets, scalars, measure in carried(self.unit, Inlet):
            variable = pyo.Var(self.tau, *sets, units=unit_of(measure), initialize=0.0)
            added(self.own, path, variable)
            for labels, local in scalars.items():
                name = f"{self.unit.name}.{local}"
                self._note(name, variable, labels)
                if self.moments.source_of(name) is None:
                    variable.fix()


__all__ = ["lower_to_idaes"]
