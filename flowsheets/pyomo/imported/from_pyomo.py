"""How does a Pyomo.DAE model become a unit operation? `from_pyomo(model)`: its equations, read on titer's symbols.

    unit = from_pyomo(model, controls=[model.T_j])
    plant = Flowsheet(unit)
    simulate(plant, Recipe(Phase("run", duration=10.0)), inputs=inputs_of(unit))

The model is read as it is before discretization; it is not changed. What becomes what:

    Var over the ContinuousSet, with a DerivativeVar      State; its start is the value at the first point
    fixed at every point, a Param over time, controls=    Control; its start is the value at the first point
    any other Var over time                               Algebraic
    Var without time, Param                               Parameter; Algebraic where a Constraint without time gives it
    Expression over time                                  Expression
    Constraint over time                                  a rate where it is linear in derivatives, else a zero
    Constraint at the first point, x[0] == value          the start of x

Objectives are left out: give `optimize` its terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyomo.environ as pyo

from titer.flowsheets.declarations import Equations
from titer.flowsheets.names import Name
from titer.flowsheets.pyomo.imported.block import source_of
from titer.flowsheets.pyomo.imported.declarations import identifier
from titer.flowsheets.pyomo.imported.model import Model, model_of
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.unit import Unit
from titer.numerics.errors import DeclarationError

Members = Mapping[str, Any]


class PyomoUnit(Unit):
    """A unit operation that was a Pyomo.DAE model."""

    _model: ClassVar[Model]

    def equations(self, v: Any) -> Equations:
        """The model's Constraints, read on the symbols of the view."""
        return self._model.equations(v)

    def __copy__(self) -> PyomoUnit:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> PyomoUnit:
        return self  # it does not change

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise DeclarationError(
            f"{self.name}: a unit operation that was a Pyomo model cannot be pickled, as the model's rules cannot.\n"
            "  Call from_pyomo in each process."
        )


def from_pyomo(
    block: Any,
    time: Any = None,
    name: str | None = None,
    controls: Sequence[Any] = (),
    parameters: Sequence[Any] = (),
    inlets: Mapping[str, Members] | None = None,
    outlets: Mapping[str, Members] | None = None,
    duration: Any = None,
    time_unit: str | None = None,
) -> PyomoUnit:
    """An undiscretized Pyomo.DAE Block or ConcreteModel as a unit operation.

    `time`: its ContinuousSet, found where there is one. Vars over time that are given from outside are `controls`:
    components, or their names. Vars without time that are given although a Constraint without time reads them are
    `parameters`. `inlets` and `outlets`: ports, as {"feed": {"flow": model.F, "c": model.c_in}}, or Pyomo's Port.
    `duration`: the Var or Param that scales a ContinuousSet from 0 to 1; the unit operation then runs in real time, and
    a Phase says how long. `time_unit`: that of the ContinuousSet where units of DerivativeVars do not tell (default s).

    Numbers mean what they mean in Pyomo, units included where they agree. Raises DeclarationError that names what
    cannot be taken over: several ContinuousSets, a discretized model, integers, inequalities over time, kinks, external
    functions, Integral, second derivatives, Disjunct, Complementarity, Piecewise.
    """
    source = source_of(block, time)
    model = model_of(
        source,
        controls=_locals(block, source, [*controls, *_declared_inputs(block)], "controls"),
        parameters=_locals(block, source, parameters, "parameters"),
        inlets=_ports(block, source, inlets or {}, "inlets"),
        outlets=_ports(block, source, outlets or {}, "outlets"),
        duration=None if duration is None else _locals(block, source, [duration], "duration")[0],
        time_unit=time_unit,
    )
    title = "".join(part.capitalize() for part in identifier(model.name).split("_"))
    members = {
        **model.namespace,
        **model.fields,
        "__annotations__": dict.fromkeys(model.fields, "tuple"),
        "__doc__": f"The Pyomo.DAE model {source.name}.",
        "__module__": __name__,
        "time": model.time,
        "_model": model,
    }
    unit: PyomoUnit = type(title, (PyomoUnit,), members)(name or identifier(model.name))
    return unit


def inputs_of(unit: PyomoUnit, time: str | None = None) -> dict[Name, Any]:
    """What the Pyomo model gave its inputs: a number, or a Series, for every control, by qualified name.

    `time`: the unit of time of the Series' index, which must be the flowsheet's (default: the unit operation's own,
    which a Flowsheet of it alone takes over). A Param with a rule is asked in the middle of 200 steps over its
    ContinuousSet, and at its end; other values hold from their point on. Controls without a value are left out, and
    must be given. Raises DeclarationError for a unit that is none of time.
    """
    import pandas as pd

    found: dict[Name, Any] = {}
    ratio = 1.0 if time is None else Measure.of(unit.time).ratio_to(Measure.of(time))
    for local, values in unit._model.inputs.items():
        series = pd.Series(values).dropna()
        if not series.empty:
            same = len(series) == 1 or np.ptp(series.to_numpy()) == 0.0
            series.index = (series.index * ratio).rename(f"time [{time or unit.time}]")
            found[Name(f"{unit.name}.{local}")] = float(series.iloc[0]) if same else series
    return found


def _declared_inputs(block: Any) -> list[Any]:
    """Vars that the Suffix `var_input` names, as pyomo.dae's Simulator has it."""
    suffix = block.component("var_input")
    return list(suffix) if suffix is not None and suffix.ctype is pyo.Suffix else []


def _locals(block: Any, source: Any, components: Sequence[Any], what: str) -> list[str]:
    """Components of the block, or their names, as local names. Raises DeclarationError."""
    found = []
    for component in [components] if isinstance(components, str) else components:
        text = component if isinstance(component, str) else _local(block, component)
        if text not in source.components:
            raise DeclarationError(
                f"from_pyomo: {what}: {component} is no Var, Param or Expression of {source.name}.\n"
                f"  known: {', '.join(source.components)}"
            )
        found.append(text)
    return found


def _local(block: Any, component: Any) -> str:
    whole = component.parent_component() if hasattr(component, "parent_component") else None
    if whole is None:
        return repr(component)
    if whole.is_reference() if hasattr(whole, "is_reference") else False:
        whole = next(iter(whole.values())).parent_component()
    return str(whole.getname(fully_qualified=True, relative_to=block))


def _ports(block: Any, source: Any, ports: Mapping[str, Members], what: str) -> dict[str, dict[str, str]]:
    found = {}
    for key, members in ports.items():
        members = getattr(members, "vars", members)
        if "flow" not in members:
            raise DeclarationError(
                f'from_pyomo: {what}: {key} needs a "flow", got {", ".join(members) or "nothing"}.\n'
                f'  Write {what}={{"{key}": {{"flow": model.F, ...}}}}.'
            )
        found[key] = {v: _locals(block, source, [c], f"{what}: {key}.{v}")[0] for v, c in members.items()}
    return found


__all__ = ["PyomoUnit", "from_pyomo", "inputs_of"]
