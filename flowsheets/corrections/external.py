"""How does a network from elsewhere become a correction? As a CasADi function, or an ONNX file that CasADi reads.

CasADi writes the operations of an ONNX graph out as expressions, so that derivatives are exact; ONNX Runtime is not
needed. Its weights are constants of the model: to learn again means to trace again. Pyomo cannot evaluate it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.corrections.layers import Layer, stacked
from titer.flowsheets.corrections.model import LoweredModel
from titer.flowsheets.symbols.casadi_function import CasadiFunction
from titer.flowsheets.symbols.symbol import FLOATS
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True)
class External(Layer):
    """A CasADi function of one vector (inputs,) with one vector of results; `text`: the function, serialized."""

    results: int
    text: str

    @property
    def outputs(self) -> int:
        return self.results

    def __call__(self, x: Any, c: Any) -> Any:
        given = _function(self.text)(x)
        results = given if self.results > 1 else [given]
        return stacked([float(y) if y.reading is FLOATS else y for y in results])


def lowered_function(function: ca.Function, source: str = "") -> LoweredModel:
    """A CasADi function of one vector of features with one result as a model. Raises SpecificationError."""
    sizes = [function.size_in(i) for i in range(function.n_in())] + [
        function.size_out(i) for i in range(function.n_out())
    ]
    if len(sizes) != 2 or function.n_in() != 1 or 1 not in sizes[0] or sizes[1] != (1, 1):
        shapes = ", ".join(f"{rows} x {columns}" for rows, columns in sizes)
        raise SpecificationError(
            f"lowered_function: {function.name()} must take one vector and give one number, but its shapes are "
            f"{shapes}.\n  Wrap it in a function of one sample."
        )
    layer = External(max(sizes[0]), 1, function.serialize())
    return LoweredModel(layer, np.zeros(0), source=source or f"function {function.name()}")


def lowered_onnx(path: str | Path) -> LoweredModel:
    """A network in an ONNX file as a model: of one vector of features (1, n), with one result.

    Raises SpecificationError for a file that CasADi cannot read or write out.
    """
    try:
        function = ca.GraphBuilder(str(path)).create("onnx", {"symbolic": True})
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise SpecificationError(
            f"lowered_onnx: CasADi cannot write {path} out as expressions: {reason}\n"
            "  Export it for one sample of fixed shape, with smooth operations only."
        ) from None
    return lowered_function(function, f"ONNX {Path(path).name}")


@cache
def _function(text: str) -> CasadiFunction:
    return CasadiFunction(ca.Function.deserialize(text), "1", "1")


__all__ = ["External", "lowered_function", "lowered_onnx"]
