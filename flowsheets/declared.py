"""What do unit operations and their parts share? Declarations, structural fields, changed values, names."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from keyword import iskeyword
from typing import Any, ClassVar

import numpy as np

from titer.flowsheets.declarations import Bounded, Declaration, Expression, Parameter, Port
from titer.flowsheets.names import ArrayName, Label, Name, element
from titer.flowsheets.scalar import Scalar, measure_of, spread
from titer.numerics.errors import DeclarationError, unknown

_SLOTS = ("start", "lower", "upper", "nominal")
_RESERVED = {  # what a unit operation, a part or a view has already
    *("name", "time", "define", "equations", "conserved", "declarations", "derived", "doubts", "fields", "index_sets"),
    *("name_of", "of_kind", "parts", "ports", "scalars", "with_values"),
}


class Declared:
    """What unit operations and their parts share: declarations, structural fields, values; they do not change."""

    declarations: ClassVar[Mapping[str, Declaration | Port]] = {}
    fields: ClassVar[tuple[str, ...]] = ()
    _path: str
    _owner: Declared | None
    _changes: dict[str, dict[str, Any]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.declarations = _declarations_of(cls)
        cls.fields = _fields_of(cls)

    def _fill(self, changes: Mapping[str, Any]) -> None:
        """Set fields and changed values from keywords; complain of what is not declared."""
        self.__dict__.update({key: value for key, value in changes.items() if key in self.fields})
        for key in self.fields:
            if not hasattr(self, key):
                raise DeclarationError(
                    f"{self._who}: field {key!r} has no value.\n"
                    f"  Give {type(self).__name__}(..., {key}=...), or a default where it is declared."
                )
        self._derive()
        valued = [key for key, d in self.declarations.items() if isinstance(d, Bounded | Parameter)]
        mine: dict[str, dict[str, Any]] = {}
        for key, value in changes.items():
            if key in self.fields:
                continue
            if key in valued:
                mine[key] = _change_of(value, self.declarations[key], f"{self._who}: {key}")
            elif key in self.declarations:
                kind = self.declarations[key].kind
                raise DeclarationError(
                    f"{self._who}: {key} is an {kind}, which takes no value.\n  Remove the keyword {key}=."
                )
            else:
                raise DeclarationError(f"{self._who}: {unknown('keyword', key, [*valued, *self.fields])}")
        self.__dict__["_changes"] = mine

    def derived(self) -> Mapping[str, Declaration | Port]:
        """Declarations that depend on the fields: what this object declares besides its class. Optional.

        It is asked again when a part is given to its owner, so that a part may read what the owner declares.
        """
        return {}

    def _derive(self) -> None:
        own = self.derived()
        self.__dict__.pop("declarations", None)
        if own:
            for key, declaration in own.items():
                self._check_derived(key)
                declaration.__set_name__(type(self), key)
            self.__dict__["declarations"] = {**type(self).declarations, **own}
        self._drop_empty()

    def _check_derived(self, key: str) -> None:
        """A derived name stands behind a dot and is not taken; it may declare a variable of the class otherwise."""
        taken = key in _RESERVED or key in self.fields or (hasattr(type(self), key) and key not in self.declarations)
        if not key.isidentifier() or iskeyword(key) or key.startswith("_") or taken:
            why = "means something else here" if taken else "cannot stand behind a dot"
            raise DeclarationError(
                f"{self._who}: {key!r} {why}.\n  Choose another name; letters, digits and underscores."
            )

    def _drop_empty(self) -> None:
        """A variable over a derived index set that is empty for these fields is not declared on this object."""
        kept = {
            key: d
            for key, d in self.declarations.items()
            if all(getattr(self, over) for over in getattr(d, "over", ()) if self._derives(over))
        }
        if len(kept) < len(self.declarations):
            self.__dict__["declarations"] = kept

    def _derives(self, key: str) -> bool:
        return isinstance(getattr(type(self), key, None), property)

    @property
    def _who(self) -> str:
        kind = type(self).__name__
        return f"{self._path} ({kind})" if self._path else kind

    def __setattr__(self, key: str, value: Any) -> None:
        raise DeclarationError(
            f"{self._who}: {key} cannot be set, for unit operations do not change.\n"
            f"  Make another with {type(self).__name__}(..., {key}=...), or use plant.with_values({{...}})."
        )

    def __delattr__(self, key: str) -> None:
        self.__setattr__(key, None)

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_") or key in self.fields:  # a field without a value
            raise AttributeError(key)
        if key in self.declarations:  # declared by `derived`; those of the class are found there
            return self.declarations[key].__get__(self, type(self))
        said = unknown("name", key, [*self.declarations, *self.fields])
        raise AttributeError(f"{self._who}: {said}{self._in_parts(key)}")

    def _in_parts(self, key: str) -> str:
        """Where parts declare what is asked of their owner."""
        found = [f"{path}.{key}" for path, part in _all_parts(self) if key in part.declarations]
        return f"\n  A part has it: {', '.join(found)}." if found else ""

    def index_sets(self, over: str | Sequence[str], what: str = "") -> tuple[tuple[Label, ...], ...]:
        """Labels of the index sets that fields name: an int n gives 0..n-1, a tuple gives its members.

        A property of the class is an index set too: labels derived from fields. Where it is empty, variables over it
        are not declared.
        """
        return tuple(self._labels(key, what) for key in ([over] if isinstance(over, str) else over))

    def _labels(self, key: str, what: str) -> tuple[Label, ...]:
        if key in self.fields:
            return _labels_of(getattr(self, key), f"{self._path}.{key}")
        if self._derives(key):
            return _labels_of(getattr(self, key), f"{self._path}.{key}")
        if self._owner is not None:
            return self._owner._labels(key, what)
        raise DeclarationError(
            f"{what}: over={key!r} names no field of {type(self).__name__}.\n"
            f"  fields: {', '.join(self.fields) or 'none'}\n"
            f"  Declare `{key}: int = ...` or `{key}: tuple[str, ...] = ...`."
        )

    def name_of(self, attribute: str) -> Name:
        """The qualified name of a declared variable."""
        if not self._path:
            raise DeclarationError(
                f"{type(self).__name__}.{attribute}: a part has no name of its own.\n"
                f"  Name it through its owner, for instance column.binding.{attribute}."
            )
        if attribute not in self.declarations:
            sets = " and ".join(getattr(type(self), attribute).over)
            raise DeclarationError(
                f"{self._who}: {attribute} has no elements here, for {sets} is empty.\n"
                f"  It is declared where {sets} has members."
            )
        over = getattr(self.declarations[attribute], "over", ())
        text = f"{self._path}.{attribute}"
        return ArrayName(text, self.index_sets(over, text)) if over else Name(text)

    def parts(self) -> Iterator[tuple[str, Declared]]:
        """Fields that hold parts, by name."""
        for key in self.fields:
            value = getattr(self, key)
            if isinstance(value, Declared):
                yield key, value

    def _own_parts(self) -> None:
        """Hold parts of one's own, which know their path: the same part may be given to several owners."""
        for key, part in list(self.parts()):
            mine = copy.copy(part)
            mine.__dict__.update(_path=f"{self._path}.{key}", _owner=self)
            mine._derive()
            mine._own_parts()
            self.__dict__[key] = mine

    def _scalars(self, prefix: str) -> Iterator[Scalar]:
        for key, declaration in self.declarations.items():
            what = f"{self._path}.{key}"
            if isinstance(declaration, Bounded | Parameter):
                yield from self._expand(key, declaration, prefix)
            elif isinstance(declaration, Expression):
                measure_of(declaration.unit, what)
                self.index_sets(declaration.over, what)
        for key, part in self.parts():
            yield from part._scalars(f"{prefix}{key}.")

    def _expand(self, key: str, declaration: Any, prefix: str) -> Iterator[Scalar]:
        what = f"{self._path}.{key}"
        sets = self.index_sets(declaration.over, what)
        shape = tuple(len(s) for s in sets)
        measure = measure_of(declaration.unit, what)
        given = {slot: getattr(declaration, slot) for slot in _SLOTS} | self._changes.get(key, {})
        words = {"start": "value"} if isinstance(declaration, Parameter) else {}
        values = {}
        for slot, value in given.items():
            said = f"{what}: {words.get(slot, slot)}"
            if isinstance(value, Mapping):
                value = _by_label(value, sets, spread(getattr(declaration, slot), shape, measure, said), said)
            values[slot] = spread(value, shape, measure, said)
        for at in product(*(range(n) for n in shape)):
            labels = [s[i] for s, i in zip(sets, at, strict=True)]
            local, name = element(f"{prefix}{key}", labels), Name(element(what, labels))
            numbers = {slot: float(values[slot][at]) for slot in values}
            yield Scalar(local, name, declaration.kind, measure, doc=declaration.doc, **numbers)


def _all_parts(declared: Declared, prefix: str = "") -> Iterator[tuple[str, Declared]]:
    """Parts and their parts, by path below their owner."""
    for key, part in declared.parts():
        yield f"{prefix}{key}", part
        yield from _all_parts(part, f"{prefix}{key}.")


def _declarations_of(cls: type[Declared]) -> dict[str, Declaration | Port]:
    """Declarations of a class and its bases, in order; what a class sets to something else is gone."""
    found: dict[str, Declaration | Port] = {}
    for base in reversed(cls.__mro__):
        for key, value in vars(base).items():
            if isinstance(value, Declaration | Port):
                found[key] = value
                if value.attribute != key:
                    raise DeclarationError(
                        f"{base.__name__}: {key} and {value.attribute} are one {type(value).__name__}.\n"
                        f"  Declare a new one for {key}."
                    )
            elif key in found:
                del found[key]
    _refuse_reserved(cls, found)
    return found


def _fields_of(cls: type[Declared]) -> tuple[str, ...]:
    """Structural fields: annotated names that are no declarations and not private."""
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        annotated = vars(base).get("__annotations__", {})
        names |= {key: None for key, kind in annotated.items() if "ClassVar" not in str(kind)}
    own = {*cls.declarations, "name", "time"}
    fields = [key for key in names if key not in own and not key.startswith("_")]
    _refuse_reserved(cls, fields)
    return tuple(fields)


def _refuse_reserved(cls: type, names: Any) -> None:
    for key in names:
        if key in _RESERVED or key.startswith("_"):
            raise DeclarationError(
                f"{cls.__name__}: {key!r} means something else here, or is private.\n"
                "  Choose another name for the variable or field."
            )


def _labels_of(value: Any, what: str) -> tuple[Label, ...]:
    """The labels that a field's value stands for."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value > 0:
        return tuple(range(int(value)))
    if isinstance(value, tuple | list) and value and len(set(map(str, value))) == len(value):
        texts = [x for x in value if isinstance(x, str) and x and not set(x) & set("[],. \n")]
        numbers = [x for x in value if isinstance(x, int) and not isinstance(x, bool)]
        if len(value) in (len(texts), len(numbers)):
            return tuple(value)
    raise DeclarationError(
        f"{what}: an index set is a positive int or a tuple of different labels, got {value!r}.\n"
        '  Write 40, or ("product", "impurity"); labels have no blanks, dots, commas or brackets.'
    )


def _by_label(given: Mapping[Any, Any], sets: Sequence[Sequence[Label]], declared: np.ndarray, what: str) -> list[Any]:
    """Values by label, {"product": 1.0}, in order; a label that is not named keeps what is declared, else 0."""
    if len(sets) != 1:
        raise DeclarationError(f"{what}: values by label are for one index set, here are {len(sets)}; give an array.")
    for label in given:
        if label not in sets[0]:
            raise DeclarationError(f"{what}: {unknown('label', label, sets[0])}")
    kept = np.nan_to_num(declared)
    return [given.get(label, float(kept[i])) for i, label in enumerate(sets[0])]


def _change_of(value: Any, declaration: Declaration | Port, what: str) -> dict[str, Any]:
    """A keyword's value as entries: a number is the start of a variable, the value of a parameter."""
    if isinstance(value, Declaration):
        raise DeclarationError(
            f"{what}: expected a value or a dict of {', '.join(_SLOTS)}, got a new declaration.\n"
            "  Declare it in a class of your own to change its unit or kind."
        )
    entries = value if isinstance(value, Mapping) else {"start": value}
    known = ("value", *_SLOTS) if isinstance(declaration, Parameter) else _SLOTS
    if isinstance(declaration, Bounded | Parameter) and declaration.over and not set(entries) & set(known):
        entries = {"start": entries}  # by label
    for slot in entries:
        if slot not in known:
            raise DeclarationError(f"{what}: {unknown('entry', slot, known)}")
    return {"start" if slot == "value" else slot: entry for slot, entry in entries.items()}
