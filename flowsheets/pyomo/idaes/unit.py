"""What is a unit operation to IDAES? A unit model block whose equations are its declaration, with tools of IDAES' kind.

SimulationInitializer().initialize(m.fs.reactor)     starts from the simulation, and solves with the inlets fixed
NominalScaler().scale_model(m.fs.reactor)            scaling factors from the usual sizes of variables
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo
from idaes.core import FlowsheetBlockData, UnitModelBlockData, declare_process_block_class
from idaes.core.initialization.initializer_base import InitializerBase
from idaes.core.scaling import ConstraintScalingScheme, CustomScalerBase, set_scaling_factor
from idaes.core.util.tables import create_stream_table_dataframe
from pyomo.dae import DerivativeVar
from pyomo.network import Arc, Port

import titer.flowsheets.pyomo.solver.plugin  # noqa: F401  (registers the solver)
from titer.flowsheets.declarations import Inlet
from titer.flowsheets.pyomo.idaes.start import name_in, start_unit, translated
from titer.flowsheets.pyomo.moments import Moments, moments_of
from titer.flowsheets.pyomo.solver.plugin import NAME

_NOISE = 1e-12  # a variable that stays below this in the simulation tells nothing of its size


class SimulationInitializer(InitializerBase):
    """Starts a unit operation from the simulation behind its flowsheet, then solves it with its inlets fixed."""

    def fix_initialization_states(self, model: Any) -> None:
        """Set all values from the simulation, and fix what comes in."""
        start_unit(model)
        model.fix_initialization_states()

    def initialization_routine(self, model: Any) -> Any:
        """Solve by titer's IPOPT."""
        return pyo.SolverFactory(NAME).solve(model)


class NominalScaler(CustomScalerBase):
    """Scales variables by the sizes that titer knows, declared or simulated, and constraints by their largest term."""

    def variable_scaling_routine(self, model: Any, overwrite: bool = False, submodel_scalers: Any = None) -> None:
        """Factors of all Vars of a unit operation."""
        for variable, size in sizes(model):
            set_scaling_factor(variable, 1.0 / size, overwrite=overwrite)
        self._scale_states(model, "variable_scaling_routine", overwrite, submodel_scalers)

    def constraint_scaling_routine(self, model: Any, overwrite: bool = False, submodel_scalers: Any = None) -> None:
        """Factors of all Constraints of a unit operation."""
        self._scale_states(model, "constraint_scaling_routine", overwrite, submodel_scalers)
        for constraint in model.component_data_objects(pyo.Constraint, descend_into=False):
            scheme = ConstraintScalingScheme.inverseMaximum
            self.scale_constraint_by_nominal_value(constraint, scheme=scheme, overwrite=overwrite)

    def _scale_states(self, model: Any, method: str, overwrite: bool, submodel_scalers: Any) -> None:
        """Let property packages scale the state blocks of a unit operation's Ports."""
        for name in state_blocks(model):
            self.call_submodel_scaler_method(
                getattr(model, name), method, submodel_scalers=submodel_scalers, overwrite=overwrite
            )


@declare_process_block_class("UnitOperation", doc="A unit operation of titer's, filled by `Flowsheet.to_idaes`.")
class UnitOperationData(UnitModelBlockData):
    """A unit operation of titer's in an IDAES flowsheet."""

    default_initializer = SimulationInitializer
    default_scaler = NominalScaler

    def fix_initialization_states(self) -> None:
        """Fix what comes in: the state blocks that feed inlets, else the variables of inlets."""
        here, name = moments_of(self), name_in(self)
        for key, _ in here.plan.plant.unit(name).ports(Inlet):
            state = self.component(f"{key}_inlet_state")
            for block in state.values() if state is not None else ():
                for variable in block.define_state_vars().values():
                    variable.fix()
            names = [n for n in here.places if n.startswith(f"{name}.{key}.")] if state is None else []
            for variable in (here.value(n, t) for n in names for t in here.block.time):
                variable.fix()

    def initialize_build(self, **given: Any) -> None:
        """Initialize as `SimulationInitializer` does. `given` is for other kinds of unit models."""
        self.default_initializer().initialize(self)

    def calculate_scaling_factors(self) -> None:
        """Write factors, as `idaes.core.util.scaling.calculate_scaling_factors` asks for."""
        self.default_scaler().scale_model(self)

    def model_check(self) -> None:
        """Nothing is left to check: titer did when the unit operation was declared."""

    def _get_performance_contents(self, time_point: float = 0) -> dict[str, Any]:
        here, own = moments_of(self), f"{name_in(self)}."
        known = {name: place for name, place in here.places.items() if name.startswith(own) and place.slope}
        return {"vars": {name.removeprefix(own): here.value(name, time_point) for name in known}}

    def _get_stream_table_contents(self, time_point: float = 0) -> Any:
        ports = self.component_objects(Port, descend_into=False)
        columns = {port.local_name: carried_by(port, time_point) for port in ports}
        return pd.DataFrame(columns) if columns else None


@declare_process_block_class("PlantFlowsheet", doc="A phase of titer's as an IDAES flowsheet.")
class PlantFlowsheetData(FlowsheetBlockData):
    """An IDAES flowsheet whose stream table knows the streams between unit operations of titer's as well."""

    def stream_table(self, true_state: bool = False, time_point: float = 0, orient: str = "columns") -> Any:
        """What Arcs carry at a time: of a state block what IDAES shows, else the variables of the Port."""
        own, theirs = {}, {}
        for arc in self.component_objects(Arc, descend_into=False):
            if arc.source is not None and _is_own(arc.source):
                own[arc.local_name] = carried_by(arc.source, time_point)
            else:
                theirs[arc.local_name] = arc
        frames = [create_stream_table_dataframe(theirs, true_state=true_state, time_point=time_point)] if theirs else []
        table = pd.concat([*frames, pd.DataFrame(own)], axis="columns") if own or frames else pd.DataFrame()
        return table if orient == "columns" else table.T


def carried_by(port: Any, time: float) -> pd.Series:
    """The values of a Port's variables at a time, by name and labels."""
    rows = {}
    for name, member in port.vars.items():
        for index, data in member.items():
            at, labels = (index[0], index[1:]) if isinstance(index, tuple) else (index, ())
            if at == time:
                rows[" ".join([name, *map(str, labels)])] = pyo.value(data, exception=False)
    return pd.Series(rows, dtype=float)


def _is_own(port: Any) -> bool:
    """Whether a Port is an outlet of titer's, not one with a state block."""
    own = port.parent_block()
    if not isinstance(own, UnitOperationData):
        return False
    name = f"{name_in(own)}."
    return any(at == port.local_name for key, at in moments_of(own).ports.items() if key.startswith(name))


def state_blocks(own: Any) -> list[str]:
    """Names of the state blocks of a unit operation's Ports."""
    return [f"{name.removesuffix('_equality')}_state" for name in translated(own)]


def sizes(own: Any) -> Iterator[tuple[Any, float]]:
    """The Vars of a unit operation with their usual sizes: declared, else the largest along time as they stand."""
    here: Moments = moments_of(own)
    declared = {n: s.nominal for n, s in here.plan.plant.scalars.items() if np.isfinite(s.nominal)}
    declared_of = {
        id(here.value(name, t)): size
        for name, size in declared.items()
        if name in here.places and here.places[name].along
        for t in here.block.time
    }
    components = own.component_objects([pyo.Var, DerivativeVar], descend_into=False)
    for component in (c for c in components if not c.is_reference()):  # a Port refers to those of a state block
        groups: dict[Any, list[Any]] = {}  # elements of an array differ in size, times of one element do not
        for index, data in component.items():
            groups.setdefault(index[1:] if isinstance(index, tuple) else None, []).append(data)
        for group in groups.values():
            largest = max(abs(data.value or 0.0) for data in group)
            size = declared_of.get(id(group[0]), largest)
            yield from ((data, size if size > _NOISE else 1.0) for data in group)
