"""What do equations, terms and conditions see? Views: `v.T` in equations, `v.reactor.T` on a flowsheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from titer.flowsheets.declared import Declared
from titer.flowsheets.names import ArrayName, Label, elements_of
from titer.flowsheets.symbols.symbol import Symbol, symbol_array
from titer.numerics.errors import NotActiveError, SpecificationError, unknown

Sets = tuple[tuple[Label, ...], ...]


class View:
    """Named values behind attributes; what is not there is named, with what is.

    `absent`: names that are known but have no value here, with the reason. `sets`: the index sets of arrays.
    """

    _error_of_absent: ClassVar[type[SpecificationError]] = SpecificationError

    def __init__(
        self,
        what: str,
        entries: dict[str, Any],
        absent: Mapping[str, str] | None = None,
        sets: Mapping[str, Sets] | None = None,
    ):
        self.__dict__.update(_what=what, _entries=entries, _absent=absent or {}, _sets=sets or {})

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        what, entries, absent = (self.__dict__[k] for k in ("_what", "_entries", "_absent"))
        if key in entries:
            return entries[key]
        if key in absent:
            raise self._error_of_absent(f"{what}.{key}: {absent[key]}")
        raise SpecificationError(unknown(f"{what}: variable", key, entries))

    def __setattr__(self, key: str, value: Any) -> None:
        raise SpecificationError(
            f"{self.__dict__['_what']}.{key}: a view is read only.\n"
            f"  Use a plain variable {key} = ..., or v.define({key!r}, ...) for a declared expression."
        )

    def __getitem__(self, name: str) -> Any:
        """By qualified name below this view: `v["reactor.c[3,product]"]`."""
        if not isinstance(name, str):
            raise SpecificationError(
                f'{self.__dict__["_what"]}[{name!r}]: expected a name such as reactor.T or "reactor.T".'
            )
        path, bracket, inside = name.partition("[")
        *owners, last = path.split(".")
        view: Any = self
        for key in owners:
            view = getattr(view, key)
        value = getattr(view, last)
        if not bracket:
            return value
        sets: Sets | None = view._sets.get(last) if isinstance(view, View) else None
        labels = inside.removesuffix("]").split(",")
        texts = [[str(label) for label in allowed] for allowed in sets or ()]
        if len(labels) != len(texts) or any(x not in t for x, t in zip(labels, texts, strict=True)):
            raise SpecificationError(f"{self.__dict__['_what']}: {path} has no element {bracket}{inside}.")
        return value[tuple(t.index(x) for x, t in zip(labels, texts, strict=True))]

    def __dir__(self) -> list[str]:
        return list(self.__dict__["_entries"])


class RestingView(View):
    """A unit operation, or a part of one, that is idle: reading what it lacks raises NotActiveError."""

    _error_of_absent = NotActiveError


class UnitView(View):
    """What `equations` see of a unit operation or a part: variables, fields, parts, time, and `define`."""

    def __init__(
        self,
        what: str,
        entries: dict[str, Any],
        define: Callable[[str, Any], Any],
        absent: Mapping[str, str] | None = None,
        sets: Mapping[str, Sets] | None = None,
    ):
        super().__init__(what, entries, absent, sets)
        self.__dict__["define"] = define


class TracedView(View):
    """A unit operation or a part whose equations have run: `define` gives what they defined.

    So `conserved` may call the functions that `equations` called.
    """

    def define(self, key: str, value: Any) -> Any:
        """The expression of that name, as the equations defined it."""
        return getattr(self, key)


def traced_entries(view: View) -> dict[str, Any]:
    """What a view holds, with the views of parts as `TracedView`."""
    return {
        key: TracedView(value.__dict__["_what"], traced_entries(value), sets=value.__dict__["_sets"])
        if isinstance(value, UnitView)
        else value
        for key, value in view.__dict__["_entries"].items()
    }


def gather(declared: Declared, local: str, over: str | tuple[str, ...], values: Mapping[str, Symbol]) -> Any:
    """A variable from its scalars: a symbol, or an array. `local`: its path below the unit operation."""
    if not over:
        return values[local]
    sets = declared.index_sets(over)
    names = elements_of(ArrayName(local, sets))
    return symbol_array([values[str(name)] for name in names], tuple(len(s) for s in sets))


def sets_of(declared: Declared) -> dict[str, Sets]:
    """The index sets of the array variables of a unit operation or a part, by attribute."""
    over = {key: getattr(d, "over", ()) for key, d in declared.declarations.items()}
    return {key: declared.index_sets(names) for key, names in over.items() if names}
