"""What is a part made of other parts, which are named? `Group`; and how does a part know the culture it stands in?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titer.flowsheets.unit import Part, Unit
from titer.numerics.errors import DeclarationError


class Group(Part):
    """A part that holds named parts besides its own fields: `culture.kinetics.growth.glucose.K`."""

    def __init__(self, parts: Mapping[str, Part], **changes: Any):
        own = (*type(self).fields, *type(self).declarations)
        for key in parts:
            if not key.isidentifier() or key.startswith("_") or key in own:
                raise DeclarationError(
                    f"{type(self).__name__}: a part cannot be called {key!r}; "
                    f"{'it means something else here' if key in own else 'a name stands behind a dot'}."
                )
        self.__dict__["fields"] = (*type(self).fields, *parts)
        super().__init__(**changes, **parts)


def unit_of(part: Part) -> Any:
    """The unit operation that a part belongs to, None as long as it belongs to none."""
    owner: Any = part._owner
    while owner is not None and not isinstance(owner, Unit):
        owner = owner._owner
    return owner


def concentration_of(part: Part, component: str) -> str:
    """The unit of a component's concentration. Raises DeclarationError for a component that the culture lacks."""
    unit = unit_of(part)
    return "g/L" if unit is None else unit.unit_of(component, part._path)


def per_time(part: Part) -> str:
    """The unit of a specific rate of growth."""
    unit = unit_of(part)
    return f"1/{unit.time if unit is not None else 'h'}"


def ratio(part: Part, made: str, of: str) -> str:
    """The unit of an amount of one component by an amount of another, such as "g/mmol"; "1" for equal ones."""
    above, below = (concentration_of(part, key).removesuffix("/L") for key in (made, of))
    return "1" if above == below else f"{above}/{below}"
