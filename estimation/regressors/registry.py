"""Which estimator becomes which layers? A table by class name, so that no library is imported that is not in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.corrections.layers import Affine, Layer
from titer.numerics.errors import SpecificationError

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Lowered:
    """A fitted estimator or transformer as layers with numbers.

    `variance`: for each result a layer with its numbers and its range, where the estimator says how sure it is.
    """

    layer: Layer
    numbers: Array
    variance: Variance | None = None


@dataclass(frozen=True, eq=False)
class Variance:
    """The predictive variance in the squared unit of one result, before it is scaled to each of them.

    `scales` (results,): factors of each result's variance; `ends`: at the data and far from them, None without end.
    """

    layer: Layer
    numbers: Array
    scales: Array
    ends: tuple[float, float] | None


Converter = Callable[[Any], Lowered]

CONVERTERS: dict[str, Converter] = {}


def lowers(*names: str) -> Callable[[Converter], Converter]:
    """Register how estimators of a class are lowered: `@lowers("sklearn.Ridge")`, package and class.

    The function takes the fitted estimator and gives its layers; subclasses are lowered alike.
    """

    def register(converter: Converter) -> Converter:
        CONVERTERS.update(dict.fromkeys(names, converter))
        return converter

    return register


def converter_of(estimator: Any) -> Converter | None:
    """The converter of an estimator's class, or of the nearest class that it is made from."""
    for kind in type(estimator).__mro__:
        found = CONVERTERS.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}")
        if found is not None:
            return found
    return None


def affine(weights: Any, offset: Any) -> Lowered:
    """W x + b from weights (results, inputs) or (inputs,) and an offset for each result, or one for all."""
    rows = np.atleast_2d(np.asarray(weights, dtype=float))
    added = np.broadcast_to(np.ravel(np.asarray(offset, dtype=float)), (len(rows),))
    return Lowered(Affine(rows.shape[1], len(rows)), np.concatenate([rows.ravel(), added]))


def refuse(estimator: Any, why: str, instead: str) -> SpecificationError:
    """The error for an estimator that cannot be lowered: why, and what would do."""
    return SpecificationError(f"lowered: {type(estimator).__name__} {why}.\n  {instead}")


__all__ = ["CONVERTERS", "Converter", "Lowered", "Variance", "affine", "converter_of", "lowers", "refuse"]
