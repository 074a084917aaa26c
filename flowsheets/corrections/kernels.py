"""How alike are two points? Kernels that solvers can differentiate, and the models that are sums of them.

Kernels whose derivative jumps at the data (Laplacian, exponential, Matern with nu = 1/2) are not here. Source:
Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), ch. 4 and algorithm 2.1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.corrections.layers import Layer, stacked, written_once

_TINY = 1e-24  # a squared distance that is nothing: it keeps the derivative of a root finite at the data


@dataclass(frozen=True)
class Kernel(ABC):
    """A function k(x, y) of two points (inputs,) and coefficients c (count,)."""

    inputs: int

    @property
    def count(self) -> int:
        """How many coefficients it takes."""
        return 0

    @abstractmethod
    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        """How alike they are."""

    def variance(self, x: Any, c: Any) -> Any:
        """k(x, x), with the noise that only a point with itself has."""
        return self(x, x, c)


@dataclass(frozen=True)
class Gaussian(Kernel):
    """exp(-sum(((x - y) / l)^2) / 2). Coefficients: a length l for each input."""

    @property
    def count(self) -> int:
        return self.inputs

    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        return np.exp(-0.5 * _squared(x, y, c))

    def variance(self, x: Any, c: Any) -> Any:
        return 1.0


@dataclass(frozen=True)
class Matern32(Gaussian):
    """(1 + a) exp(-a), a = sqrt(3) d / l, once differentiable. Coefficients: a length for each input."""

    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        a = np.sqrt(3.0 * _squared(x, y, c) + _TINY)
        return (1.0 + a) * np.exp(-a)


@dataclass(frozen=True)
class Matern52(Gaussian):
    """(1 + a + a^2/3) exp(-a), a = sqrt(5) d / l, twice differentiable. Coefficients: a length for each input."""

    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        a = np.sqrt(5.0 * _squared(x, y, c) + _TINY)
        return (1.0 + a + a**2 / 3.0) * np.exp(-a)


@dataclass(frozen=True)
class RationalQuadratic(Kernel):
    """(1 + d^2 / (2 a l^2))^(-a). Coefficients: the length l, then a."""

    @property
    def count(self) -> int:
        return 2

    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        difference = x - y
        return np.exp(-c[1] * np.log1p((difference @ difference) / (2.0 * c[1] * c[0] ** 2)))

    def variance(self, x: Any, c: Any) -> Any:
        return 1.0


@dataclass(frozen=True)
class Dot(Kernel):
    """a x.y + b. Coefficients: a, b."""

    @property
    def count(self) -> int:
        return 2

    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        return c[0] * (x @ y) + c[1]


@dataclass(frozen=True)
class DotPower(Dot):
    """(a x.y + b)^degree. Coefficients: a, b."""

    degree: int

    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        return (c[0] * (x @ y) + c[1]) ** self.degree


@dataclass(frozen=True)
class DotTanh(Dot):
    """tanh(a x.y + b). Coefficients: a, b."""

    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        return np.tanh(c[0] * (x @ y) + c[1])


@dataclass(frozen=True)
class Constant(Kernel):
    """The same for all points. Coefficient: how much."""

    @property
    def count(self) -> int:
        return 1

    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        return c[0]


@dataclass(frozen=True)
class White(Constant):
    """Noise: nothing between two points, c at a point itself."""

    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        return 0.0

    def variance(self, x: Any, c: Any) -> Any:
        return c[0]


@dataclass(frozen=True)
class _Pair(Kernel):
    first: Kernel
    second: Kernel

    @property
    def count(self) -> int:
        return self.first.count + self.second.count

    def _parts(self, c: Any) -> tuple[Any, Any]:
        return c[: self.first.count], c[self.first.count :]


@dataclass(frozen=True)
class Total(_Pair):
    """The sum of two kernels. Coefficients: those of the first, then those of the second."""

    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        a, b = self._parts(c)
        return self.first(x, y, a) + self.second(x, y, b)

    def variance(self, x: Any, c: Any) -> Any:
        a, b = self._parts(c)
        return self.first.variance(x, a) + self.second.variance(x, b)


@dataclass(frozen=True)
class Times(_Pair):
    """The product of two kernels. Coefficients: those of the first, then those of the second."""

    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        a, b = self._parts(c)
        return self.first(x, y, a) * self.second(x, y, b)

    def variance(self, x: Any, c: Any) -> Any:
        a, b = self._parts(c)
        return self.first.variance(x, a) * self.second.variance(x, b)


@dataclass(frozen=True)
class Raised(Kernel):
    """A kernel to a power. Coefficients: its own."""

    kernel: Kernel
    exponent: float

    @property
    def count(self) -> int:
        return self.kernel.count

    def __call__(self, x: Any, y: Any, c: Any) -> Any:
        return self.kernel(x, y, c) ** self.exponent

    def variance(self, x: Any, c: Any) -> Any:
        return self.kernel.variance(x, c) ** self.exponent


@dataclass(frozen=True)
class KernelSum(Layer):
    """sum_i a_i k(x, x_i) + b over a fixed number of points.

    Coefficients: points row by row, those of the kernel, a row of weights a for each result, then b.
    """

    kernel: Kernel
    points: int
    results: int = 1

    @property
    def outputs(self) -> int:
        return self.results

    @property
    def count(self) -> int:
        return self.points * self.inputs + self.kernel.count + self.results * (self.points + 1)

    def __call__(self, x: Any, c: Any) -> Any:
        row, rest = _row(self.kernel, self.points, x, c)
        size = self.results * self.points
        return rest[:size].reshape(self.results, self.points) @ row + rest[size:]


@dataclass(frozen=True)
class KernelVariance(Layer):
    """The predictive variance of a Gaussian process, k(x, x) - |M k|^2 with M = L^-1.

    Coefficients: points row by row, those of the kernel, then the lower triangle of M row by row.
    """

    kernel: Kernel
    points: int

    @property
    def outputs(self) -> int:
        return 1

    @property
    def count(self) -> int:
        n = self.points
        return n * self.inputs + self.kernel.count + n * (n + 1) // 2

    def __call__(self, x: Any, c: Any) -> Any:
        begin = self.points * self.inputs
        own = c[begin : begin + self.kernel.count]
        row, rest = _row(self.kernel, self.points, x, c)
        explained: Any = 0.0
        at = 0
        for i in range(self.points):
            explained = explained + (rest[at : at + i + 1] @ row[: i + 1]) ** 2
            at += i + 1
        return stacked([self.kernel.variance(x, own) - explained])


def _row(kernel: Kernel, count: int, x: Any, c: Any) -> tuple[Any, Any]:
    """k(x, x_i) of all points, and the coefficients behind those of points and kernel."""
    size = count * kernel.inputs
    points, own = c[:size].reshape(count, kernel.inputs), c[size : size + kernel.count]
    return written_once(stacked([kernel(x, point, own) for point in points])), c[size + kernel.count :]


def _squared(x: Any, y: Any, lengths: Any) -> Any:
    scaled = (x - y) / lengths
    return scaled @ scaled


__all__ = [
    "Constant",
    "Dot",
    "DotPower",
    "DotTanh",
    "Gaussian",
    "Kernel",
    "KernelSum",
    "KernelVariance",
    "Matern32",
    "Matern52",
    "Raised",
    "RationalQuadratic",
    "Times",
    "Total",
    "White",
]
