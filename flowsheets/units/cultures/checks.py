"""Is a culture declared soundly? Names, units, feeds and kinetics, checked at the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titer.flowsheets.declarations import Bounded, Control, Parameter
from titer.flowsheets.units.cultures.feeds import Feed, Outflow, Piped
from titer.flowsheets.units.cultures.gassing import Gas
from titer.flowsheets.units.cultures.kinetics.kinetics import Kinetics
from titer.numerics.errors import DeclarationError, unknown


def component_unit(unit: Any, component: str, what: str) -> str:
    """The unit of a component's concentration. Raises DeclarationError for a component that is not there."""
    if component not in unit.components:
        mend = "Name it in populations=, substrates= or products= of the culture, or correct it here."
        if component == "O2":
            mend = "Give the culture gas=OxygenTransfer(), which brings it."
        raise DeclarationError(f"{what}: {unknown('component', component, unit.components)}\n  {mend}")
    declared = type(unit).declarations.get(component)
    dissolved = getattr(unit.gas, "dissolved", {})
    if isinstance(declared, Bounded):
        return declared.unit
    return dissolved[component].unit if component in dissolved else str(unit.units.get(component, "g/L"))


def per_amount(amount: str, concentration: str) -> str:
    """A unit per amount of a component: "g/mmol" for "g" and a component in "mmol/L"."""
    below = concentration.removesuffix("/L")
    return "1" if below == amount else f"{amount}/{below}"


def check_names(unit: Any) -> None:
    """The structural fields are of the right kinds and name components that are there. Raises DeclarationError."""
    who = unit._who
    for key in ("populations", "substrates", "products", "carried"):
        given = getattr(unit, key)
        if isinstance(given, str) or not isinstance(given, tuple | list) or not all(isinstance(x, str) for x in given):
            raise DeclarationError(f'{who}: {key} is a tuple of names such as ("X",), got {given!r}.')
    components = unit.components
    for key in components:
        if components.count(key) > 1:
            raise DeclarationError(f"{who}: component {key} is named twice.\n  Give each component a name of its own.")
    if not components:
        raise DeclarationError(f'{who}: no component was given.\n  Write populations=("X",), substrates=("glucose",).')
    for key in (*unit.units, *unit.carried):
        if key not in components:
            raise DeclarationError(f"{who}: {unknown('component', key, components)}")
    for key in components:
        if not component_unit(unit, key, who).endswith("/L"):
            raise DeclarationError(
                f"{who}: {key} is in {component_unit(unit, key, who)!r}; a concentration is an amount per L.\n"
                '  Write units={"glucose": "mmol/L"} or {"Xv": "Gcell/L"}.'
            )
    _check_parts(unit)
    _check_streams(unit)
    _check_mappings(unit)


def check_culture(unit: Any) -> None:
    """The kinetics name what is there, and outlets carry one unit. Raises DeclarationError."""
    who = unit._who
    if isinstance(unit.kinetics, Kinetics):
        unit.kinetics.check()
    elif not callable(unit.kinetics):
        raise DeclarationError(
            f"{who}: kinetics is Kinetics(growth=Growth(...)) or a function of the view, got {unit.kinetics!r}."
        )
    if unit.gas is not None:
        unit.gas.check(unit)
    streams = unit.outflows or any(isinstance(feed, Piped) for feed in unit.feeds.values())
    measures = {component_unit(unit, key, who) for key in unit.carried_components}
    if streams and len(measures) > 1:
        raise DeclarationError(
            f"{who}: its outlets would carry components in {' and '.join(sorted(measures))}.\n"
            "  Name those of one unit that go on to other unit operations, carried=(...)."
        )
    for element, content in unit.contents.items():
        for key in content:
            component_unit(unit, key, f"{who}: contents of {element}")


def _check_parts(unit: Any) -> None:
    """Gas and heat are such parts, and what the heat is made of is there with it. Raises DeclarationError."""
    who = unit._who
    if unit.gas is not None and not isinstance(unit.gas, Gas):
        raise DeclarationError(f"{who}: gas is a part such as OxygenTransfer(), got {unit.gas!r}.")
    for key in getattr(unit.gas, "dissolved", {}):
        if key in unit.units:
            raise DeclarationError(f"{who}: {key} comes with the gas, in {unit.unit_of(key)!r}; leave it out of units.")
    if unit.combustion is not None and unit.heat is None:
        raise DeclarationError(
            f"{who}: combustion is given, but nothing balances heat.\n"
            "  Add heat=Jacket(...), or heat=Thermostat() for the heat that must be removed, Q_j."
        )


def _check_streams(unit: Any) -> None:
    who = unit._who
    for field, kinds, example in (
        ("feeds", Feed | Piped, '{"feed": Feed({"glucose": 400.0})}'),
        ("outflows", Outflow, '{"bleed": Outflow()}'),
    ):
        given = getattr(unit, field)
        if not isinstance(given, Mapping) or not all(isinstance(x, kinds) for x in given.values()):
            raise DeclarationError(f"{who}: {field} is a dict such as {example}, got {given!r}.")
    for key, feed in unit.feeds.items():
        for component in getattr(feed, "composition", {}):
            component_unit(unit, component, f"{who}: feed {key}")
    for key, outflow in unit.outflows.items():
        for component in outflow.retains:
            component_unit(unit, component, f"{who}: outflow {key}")
    levels = [key for key, outflow in unit.outflows.items() if outflow.level]
    if len(levels) > 1:
        raise DeclarationError(f"{who}: {' and '.join(levels)} would both keep the volume; one can.")


def _check_mappings(unit: Any) -> None:
    who = unit._who
    for field, kind, example in (
        ("conditions", Control, '{"pH": Control("1", start=7.0)}'),
        ("parameters", Parameter, '{"mu_max": Parameter("1/h", 0.4)}'),
    ):
        given = getattr(unit, field)
        if not isinstance(given, Mapping) or not all(isinstance(x, kind) for x in given.values()):
            raise DeclarationError(f"{who}: {field} is a dict such as {example}, got {given!r}.")
