"""What may a column not be made of? Parts that do not fit together, and starts that cannot be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from titer.flowsheets.units.columns.binding import Binding, Numbers
from titer.flowsheets.units.columns.exchange import Equilibrium, Kinetic
from titer.flowsheets.units.columns.transport import Transport
from titer.numerics.errors import DeclarationError, unknown

PARTS = ("components", "binding", "transport", "start", "solid")


def check_parts(who: str, given: Mapping[str, Any]) -> None:
    """Whether components, binding, transport and starts (`PARTS`) fit together. Raises DeclarationError."""
    components, binding, transport, start, solid = (given[key] for key in PARTS)
    _check_transport(who, transport)
    _check_binding(who, binding, components)
    for what, values, known in (("start", start, components), ("solid", solid or {}, binding.bound)):
        for key, value in values.items():
            if key not in known:
                raise DeclarationError(f"{who}: {what}: {unknown('component', key, known)}")
            if not 0.0 <= float(value) < math.inf:
                raise DeclarationError(f"{who}: {what}: {key} must not be negative, got {value!r}.")
    for key in binding.indispensable():
        if not start.get(key, 0.0) > 0.0:
            raise DeclarationError(
                f"{who}: start: {type(binding).__name__} needs {key} in the liquid that the column is in equilibrium "
                f"with at first.\n  Give start={{{key!r}: ...}}, above zero."
            )
    if solid is not None:
        _check_solid(who, binding, solid)


def _check_transport(who: str, transport: Any) -> None:
    if not isinstance(transport, Transport):
        raise DeclarationError(f"{who}: transport is a part such as LumpedRate() or GeneralRate(), got {transport!r}.")
    if "shells" in transport.fields and not (isinstance(transport.pores, int) and transport.pores >= 1):
        raise DeclarationError(f"{who}: transport.shells is a number of points, at least 1, got {transport.pores!r}.")
    for key in transport.porosities:
        porosity = float(getattr(Numbers(transport), key))
        if not 0.0 < porosity < 1.0:
            raise DeclarationError(
                f"{who}: transport.{key} = {porosity:g} lies outside its bounds: a porosity is a share of a volume, "
                "between 0 and 1."
            )


def _check_binding(who: str, binding: Any, components: tuple[str, ...]) -> None:
    if not isinstance(binding, Binding):
        raise DeclarationError(f"{who}: binding is a part such as Linear(bound=(...,)), got {binding!r}.")
    law, exchange = type(binding).__name__, binding.exchange
    if not isinstance(exchange, Equilibrium | Kinetic):
        raise DeclarationError(
            f"{who}: binding.exchange is a part such as Equilibrium() or Kinetic(), got {exchange!r}."
        )
    if not exchange.suits(binding):
        raise DeclarationError(
            f"{who}: {law} does not give q = q*(c), which {type(exchange).__name__} needs.\n"
            f"  Write {law}(..., exchange=Kinetic()), or EquilibriumTotals()."
        )
    for key in (*binding.bound, *binding.needs()):
        if key not in components:
            raise DeclarationError(f"{who}: binding: {unknown('component', key, components)}")
    for key in binding.modulators():
        if key in binding.bound:
            raise DeclarationError(
                f"{who}: binding: {key} is what {law} reads from the liquid, and cannot be one of those that bind.\n"
                f"  Leave it out of bound={binding.bound!r}."
            )


def _check_solid(who: str, binding: Binding, solid: Mapping[str, float]) -> None:
    left = binding.room(solid)
    if left <= 0.0:
        raise DeclarationError(
            f"{who}: solid: more is bound than there is capacity for ({1.0 - left:.3g} times the capacity is taken).\n"
            f"  Lower {', '.join(solid)}, or raise the capacity of the binding."
        )
    exchange: Any = binding.exchange
    if not exchange.starts_apart(binding):
        raise DeclarationError(
            f"{who}: solid: in rapid equilibrium what is bound follows from `start`, and cannot be given besides.\n"
            "  Leave it out, or write exchange=EquilibriumTotals(), which shares it out, or Kinetic()."
        )
