"""What is a variable called? By its qualified name, which is a string: `reactor.T`, `column.c[3,product]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from titer.numerics.errors import SpecificationError, unknown

Label = int | str


class Name(str):
    """The qualified name of a scalar variable; equal to the plain string."""

    __slots__ = ()


class ArrayName(Name):
    """The qualified name of a variable over sets; index it by labels to get the name of an element.

    `column.c[3, "product"]` is `Name("column.c[3,product]")`; iteration and `elements` run over all of them.
    """

    sets: tuple[tuple[Label, ...], ...]

    def __new__(cls, text: str, sets: Sequence[Sequence[Label]]) -> ArrayName:
        name = super().__new__(cls, text)
        name.sets = tuple(tuple(s) for s in sets)
        return name

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.sets

    def __getitem__(self, index: Any) -> Name:  # type: ignore[override]
        labels = index if isinstance(index, tuple) else (index,)
        if len(labels) != len(self.sets):
            first = ", ".join(repr(labels[0]) for labels in self.sets)
            raise SpecificationError(
                f"{self}: expected {len(self.sets)} indices, got {len(labels)}.\n"
                f"  Write {self}[{first}], or the name alone for all its elements."
            )
        chosen = [_member(self, label, allowed) for label, allowed in zip(labels, self.sets, strict=True)]
        return Name(element(self, chosen))

    @property
    def elements(self) -> tuple[Name, ...]:
        """Names of all elements, last index fastest."""
        return tuple(Name(element(self, labels)) for labels in product(*self.sets))

    def __iter__(self) -> Iterator[Name]:  # type: ignore[override]
        return iter(self.elements)


def element(base: str, labels: Sequence[Label]) -> str:
    """The name of one element of an array variable."""
    return f"{base}[{','.join(str(label) for label in labels)}]" if labels else str(base)


def elements_of(name: str) -> tuple[str, ...]:
    """The scalars that a name stands for."""
    return name.elements if isinstance(name, ArrayName) else (name,)


def _member(name: str, label: Any, allowed: tuple[Label, ...]) -> Label:
    """The member of a set that an index means; numbers may count from the end."""
    if label in allowed:
        return allowed[allowed.index(label)]
    if not isinstance(allowed[-1], int):
        raise SpecificationError(unknown(f"{name}: index", label, allowed))
    if isinstance(label, int | np.integer) and -len(allowed) <= label < 0:
        return allowed[label]
    raise SpecificationError(
        f"{name}: index {label!r} is outside {allowed[0]} to {allowed[-1]}.\n"
        f"  Give a number in that range (-1 is the last); the name alone stands for all elements."
    )
