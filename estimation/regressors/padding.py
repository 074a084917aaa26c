"""How do kernel models of different numbers of points share one shape? Points that count nothing fill them up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from titer.flowsheets.corrections.kernels import KernelSum, KernelVariance
from titer.flowsheets.corrections.layers import Chain, Layer, chained
from titer.numerics.errors import SpecificationError

Array = np.ndarray


def padded(layer: Layer, numbers: Array, points: int, source: str) -> tuple[Layer, Array]:
    """The same model over so many points: the first is repeated, with weights of zero.

    Raises SpecificationError where there are more points already, or none at all.
    """
    pieces = list(_pieces(layer, numbers))
    counts = [inner.points for inner, _ in pieces if isinstance(inner, KernelSum | KernelVariance)]
    if not counts or max(counts) > points:
        held = f"has {max(counts)} points" if counts else "is no sum over points"
        raise SpecificationError(
            f"lowered: {source} {held}, which points={points} cannot hold.\n"
            "  Give as many points as the largest model will have; a model without points needs none."
        )
    filled = [_filled(inner, own, points) for inner, own in pieces]
    return chained(*(inner for inner, _ in filled)), np.concatenate([own for _, own in filled])


def _pieces(layer: Layer, numbers: Array) -> Iterator[tuple[Layer, Array]]:
    at = 0
    for inner in layer.layers if isinstance(layer, Chain) else (layer,):
        yield inner, numbers[at : at + inner.count]
        at += inner.count


def _filled(layer: Layer, numbers: Array, points: int) -> tuple[Layer, Array]:
    if not isinstance(layer, KernelSum | KernelVariance):
        return layer, numbers
    n, d, more = layer.points, layer.inputs, points - layer.points
    where, own, rest = np.split(numbers, [n * d, n * d + layer.kernel.count])
    repeated = np.tile(where[:d], more)
    if isinstance(layer, KernelSum):
        weights, offset = np.split(rest, [layer.results * n])
        wide = np.pad(weights.reshape(layer.results, n), ((0, 0), (0, more)))
        tail: list[Any] = [wide.ravel(), offset]
    else:
        tail = [rest, np.zeros(_triangle(points) - _triangle(n))]
    return replace(layer, points=points), np.concatenate([where, repeated, own, *tail])


def _triangle(n: int) -> int:
    """Entries of a lower triangle of n rows."""
    return n * (n + 1) // 2


__all__ = ["padded"]
