"""What flows between unit operations to Pyomo? A `Port` per inlet and outlet of an active one, an `Arc` per stream.

phase.tank.feed                      Port; its members are phase.tank.feed_flow[tau], phase.tank.feed_c[tau, species]
phase.vessel_out_to_tank_feed        Arc, a connection of the flowsheet or a route of the phase

`TransformationFactory("network.expand_arcs")` turns Arcs into constraints, best after a discretization: its constraints
remember the model they were made in, so between the two a model must not be cloned.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
from pyomo.network import Arc, Port

from titer.flowsheets.declarations import Inlet, Outlet
from titer.flowsheets.names import element
from titer.flowsheets.pyomo.moments import Moments, moments_of
from titer.flowsheets.pyomo.naming import added
from titer.flowsheets.pyomo.reading import converted
from titer.flowsheets.unit import Unit


def add_ports(own: Any, unit: Unit) -> None:
    """The Ports of an active unit operation, on the components that its inlets and outlets are already."""
    here = moments_of(own)
    for kind in (Inlet, Outlet):
        for key, declared in unit.ports(kind):
            port = added(own, key, Port())
            here.ports[f"{unit.name}.{key}"] = port.local_name
            for variable, (_, over) in declared.variables.items():
                sets = unit.index_sets(over)
                if all(sets):
                    local = element(f"{key}.{variable}", tuple(labels[0] for labels in sets))
                    port.add(_member(own, here, f"{unit.name}.{local}"), variable)


def add_arcs(block: Any) -> None:
    """The Arcs of a phase: every inlet to which something flows, behind its source."""
    here = moments_of(block)
    for target, (source, outlet) in here.plan.streams.sources.items():
        origin = f"{source.name}.{outlet}"
        arc = Arc(source=here.port(origin), destination=here.port(target))
        added(block, f"{origin}_to_{target}", arc)


def _member(own: Any, here: Moments, name: str) -> Any:
    """What stands in a Port: of an inlet whose source counts in another unit, what comes in, in that unit."""
    component, source = here.component(name), here.source_of(name)
    if source is None:
        return component
    measures, attribute = here.plan.measures, component.local_name
    declared, wanted = measures[name], measures[source]
    if declared.same(wanted):
        return component
    carried = pyo.Expression(
        component.index_set(), rule=lambda own, *index: converted(getattr(own, attribute)[index], declared, wanted)
    )
    return added(own, f"{attribute}_as_sent", carried)


__all__ = ["add_arcs", "add_ports"]
