"""What is a learned model made of? Layers: ordinary NumPy on symbols or numbers, with coefficients apart from shape.

A layer knows its shape only. Its coefficients are given when it is called, so that they may be numbers, parameters of
a plant, or decisions; two models of one shape are equal, and share what was traced.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate, pairwise
from operator import mul
from typing import Any

import numpy as np

from titer.flowsheets.symbols.reading import ELEMENTARY
from titer.flowsheets.symbols.symbol import Symbol, symbol_array
from titer.numerics.errors import SpecificationError, unknown


@dataclass(frozen=True)
class Layer(ABC):
    """A function of an array x (inputs,) and coefficients c (count,) with an array of results (outputs,)."""

    inputs: int

    @property
    def outputs(self) -> int:
        """How many results it has."""
        return self.inputs

    @property
    def count(self) -> int:
        """How many coefficients it takes."""
        return 0

    @abstractmethod
    def __call__(self, x: Any, c: Any) -> Any:
        """The results."""


@dataclass(frozen=True)
class Affine(Layer):
    """W x + b: linear models, projections, the weights of a network. Coefficients: W row by row, then b."""

    results: int

    @property
    def outputs(self) -> int:
        return self.results

    @property
    def count(self) -> int:
        return self.results * (self.inputs + 1)

    def __call__(self, x: Any, c: Any) -> Any:
        size = self.results * self.inputs
        return c[:size].reshape(self.results, self.inputs) @ x + c[size:]


@dataclass(frozen=True)
class Scale(Layer):
    """(x - center) / width, each by its own. Coefficients: centers, then widths."""

    @property
    def count(self) -> int:
        return 2 * self.inputs

    def __call__(self, x: Any, c: Any) -> Any:
        return (x - c[: self.inputs]) / c[self.inputs :]


@dataclass(frozen=True)
class Monomials(Layer):
    """Products of powers of the inputs; `powers`: a row of exponents for each result."""

    powers: tuple[tuple[int, ...], ...]

    @property
    def outputs(self) -> int:
        return len(self.powers)

    def __call__(self, x: Any, c: Any) -> Any:
        return stacked([self._product(x, row) for row in self.powers])

    def _product(self, x: Any, exponents: tuple[int, ...]) -> Any:
        factors = [x[i] ** n if n > 1 else x[i] for i, n in enumerate(exponents) if n]
        return reduce(mul, factors) if factors else 1.0


@dataclass(frozen=True)
class Elementwise(Layer):
    """One of NumPy's smooth functions of each input: "tanh", "log", "expm1"."""

    function: str

    def __post_init__(self) -> None:
        if self.function not in ELEMENTARY:
            raise SpecificationError(unknown("Elementwise: function", self.function, ELEMENTARY))

    def __call__(self, x: Any, c: Any) -> Any:
        return getattr(np, self.function)(x)


@dataclass(frozen=True)
class Logistic(Layer):
    """1 / (1 + exp(-x)) of each input, written so that it does not overflow."""

    def __call__(self, x: Any, c: Any) -> Any:
        return 0.5 + 0.5 * np.tanh(0.5 * x)


@dataclass(frozen=True)
class Chosen(Layer):
    """Some of the inputs, by position."""

    positions: tuple[int, ...]

    @property
    def outputs(self) -> int:
        return len(self.positions)

    def __call__(self, x: Any, c: Any) -> Any:
        return stacked([x[i] for i in self.positions])


@dataclass(frozen=True)
class Chain(Layer):
    """Layers one after the other. Coefficients: those of the first, then those of the next."""

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        at = self.inputs
        for layer in self.layers:
            if layer.inputs != at:
                raise SpecificationError(
                    f"Chain: {type(layer).__name__} takes {layer.inputs} inputs, but {at} come to it.\n"
                    "  Put layers together whose numbers of results and inputs agree."
                )
            at = layer.outputs

    @property
    def outputs(self) -> int:
        return self.layers[-1].outputs if self.layers else self.inputs

    @property
    def count(self) -> int:
        return sum(layer.count for layer in self.layers)

    def __call__(self, x: Any, c: Any) -> Any:
        edges = accumulate((layer.count for layer in self.layers), initial=0)
        for layer, (begin, end) in zip(self.layers, pairwise(edges), strict=True):
            x = written_once(layer(x, c[begin:end]))
        return x


def chained(*layers: Layer) -> Layer:
    """Layers one after the other; chains within are opened."""
    flat = [inner for layer in layers for inner in (layer.layers if isinstance(layer, Chain) else (layer,))]
    return flat[0] if len(flat) == 1 else Chain(layers[0].inputs, tuple(flat))


def written_once(entries: Any) -> Any:
    """Entries that many terms use: where expressions are trees, each becomes one that is written once."""
    if entries.dtype != object:
        return entries
    shared = [Symbol(x.reading.once(x.value), x.measure, x.reading) if isinstance(x, Symbol) else x for x in entries]
    return symbol_array(shared)


def stacked(entries: Sequence[Any]) -> Any:
    """An array of numbers, or of symbols where there is one."""
    if all(isinstance(entry, int | float | np.number) for entry in entries):
        return np.array(entries, dtype=float)
    return symbol_array(entries)


__all__ = [
    "Affine",
    "Chain",
    "Chosen",
    "Elementwise",
    "Layer",
    "Logistic",
    "Monomials",
    "Scale",
    "chained",
    "stacked",
    "written_once",
]
