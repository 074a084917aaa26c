"""What can a correction read while the equations are traced? `KnownView`: what is known so far, and what comes later.

Functions of the view read states, algebraics, controls and parameters. Features of a learned correction may also be
streams that come in, and named expressions that do not depend on what is corrected: those that are defined later are
traced ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from titer.flowsheets.view import View


class KnownView(View):
    """The view of corrections. `values`: by name, filled as streams are followed; `seen`: named expressions so far."""

    def __init__(self, entries: dict[str, Any], values: Mapping[str, Any], ahead: Callable[[str, Any], Any]):
        super().__init__("v", entries)
        self.__dict__.update(_values=values, _seen={}, _ahead=ahead)


def note(view: View, name: str, value: Any) -> None:
    """Remember the value of a named expression that has just been defined."""
    if isinstance(view, KnownView):
        view.__dict__["_seen"][name] = value


def feature(view: View, name: str, on: str) -> Any:
    """What a name stands for, where the expression `on` is corrected by it. Any view of a flowsheet will do."""
    if name == "time":
        return view.time
    if isinstance(view, KnownView):
        for known in (view.__dict__["_values"], view.__dict__["_seen"]):
            if name in known:
                return known[name]
        return view.__dict__["_ahead"](name, on)
    return view[name]


__all__ = ["KnownView", "feature", "note"]
