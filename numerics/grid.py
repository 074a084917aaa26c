"""Where on a phase are the finite elements? Ends of control pieces and samples first, then short steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from titer.numerics.collocation import Points
from titer.numerics.errors import SpecificationError

Array = np.ndarray


@dataclass(frozen=True)
class Grid:
    """Finite elements of a transcription.

    `elements`: how many per phase, for all phases or by phase name (there also as the list of their ends, fractions
    from 0 to 1); None lets the simulated start decide (between 8 and 60), and refines until a replay agrees. Elements
    end wherever a control piece or a sample does, so there can be more. An element resolves what changes on its own
    length: give a piece at least as many elements as its length has time constants of the fastest state that it
    excites. `degree`: of the collocation polynomials, 1 to 9. `points`: `Points.RADAU` or `Points.LEGENDRE`.
    """

    elements: int | Mapping[str, int | Sequence[float] | Array] | None = None
    degree: int = 3
    points: Points = Points.RADAU

    def __post_init__(self) -> None:
        counts = self.elements.values() if isinstance(self.elements, Mapping) else [self.elements]
        for count in counts:
            if isinstance(count, Sequence | np.ndarray) and not isinstance(count, str):
                _check_ends(count)
            elif count is not None and not is_whole(count, 1):
                raise SpecificationError(f"Grid: elements must be a whole number of at least 1, got {count!r}.")
        if not is_whole(self.degree, 1, 9):
            raise SpecificationError(f"Grid: degree must be a whole number from 1 to 9, got {self.degree!r}.")
        if not isinstance(self.points, Points):
            raise SpecificationError(
                f"Grid: points must be Points.RADAU or Points.LEGENDRE (titer.numerics), got {self.points!r}."
            )

    def asked(self, phase: str) -> int | Array | None:
        """What is asked for in a phase: a number of elements, their ends, or None where the simulation decides."""
        wanted = self.elements.get(phase) if isinstance(self.elements, Mapping) else self.elements
        if wanted is None or isinstance(wanted, int | np.integer):
            return None if wanted is None else int(wanted)
        return np.asarray(wanted, dtype=float)


def _check_ends(ends: Sequence[float] | Array) -> None:
    values = np.asarray(ends, dtype=float)
    if (
        values.ndim != 1
        or len(values) < 2
        or values[0] != 0.0
        or values[-1] != 1.0
        or not (np.diff(values) > 0.0).all()
    ):
        raise SpecificationError(f"Grid: the ends of elements are rising fractions from 0 to 1, got {list(ends)!r}.")


def mesh(required: Sequence[float] | Array, elements: int, density: tuple[Array, Array] | None = None) -> Array:
    """Element ends on [0, 1]: every required end, and inside them ends that equidistribute a density.

    `required`: ends that must be there (0 and 1 are added). `density`: (positions, values >= 0), uniform
    where None. Returns at least `elements + 1` increasing ends from 0 to 1.
    """
    ends = merge_ends(required)
    positions, cumulative = _cumulative(density)
    mass = np.diff(np.interp(ends, positions, cumulative))
    counts = np.ones(len(mass), dtype=int)
    while counts.sum() < elements:  # the interval with the most mass an element gets the next one
        counts[np.argmax(mass / counts)] += 1
    pieces = []
    for a, b, n in zip(ends[:-1], ends[1:], counts, strict=True):
        first, last = np.interp([a, b], positions, cumulative)
        levels = np.linspace(first, last, n + 1)[1:-1]
        pieces.append(np.concatenate([[a], np.interp(levels, cumulative, positions)]))
    return np.concatenate([*pieces, [1.0]])


def merge_ends(required: Sequence[float] | Array, tolerance: float = 1e-9) -> Array:
    """Sorted distinct ends on [0, 1], with 0 and 1; ends closer than the tolerance are one."""
    ends = np.unique(np.concatenate([[0.0, 1.0], np.asarray(required, dtype=float)]))
    ends = ends[(ends >= 0.0) & (ends <= 1.0)]
    keep = np.concatenate([[True], np.diff(ends) > tolerance])
    ends = ends[keep]
    ends[-1] = 1.0
    return ends


def step_density(tau: Array, values: Array, degree: int) -> tuple[tuple[Array, Array], int]:
    """Where a trajectory asks for short steps, and how many elements it asks for.

    An element's interpolation error grows as (width * density)^(degree + 1), the density being the
    (degree + 1)-th root of the scaled derivative of that order. It is estimated here from second differences
    (de Boor's equidistribution), with a floor of a fifth of the mean, so that no element grows without limit.
    `tau` (n,) in [0, 1], `values` (variables, n). Returns ((positions, density), elements).
    """
    tau, index = np.unique(tau, return_index=True)
    values = values[:, index]
    if len(tau) < 5 or not values.size:
        return (np.array([0.0, 1.0]), np.ones(2)), 8
    span = np.ptp(values, axis=1)
    scaled = values[span > 1e-9 * (1.0 + np.abs(values).max(axis=1))]
    if not len(scaled):
        return (np.array([0.0, 1.0]), np.ones(2)), 8
    scaled = scaled / np.ptp(scaled, axis=1, keepdims=True)
    curvature = np.abs(np.gradient(np.gradient(scaled, tau, axis=1), tau, axis=1)).max(axis=0)
    density = np.sqrt(curvature)
    kernel = np.ones(5) / 5.0
    density = np.convolve(np.pad(density, 2, mode="edge"), kernel, mode="valid")
    total = float(np.trapezoid(density, tau))
    density = density + 0.2 * max(total, 1e-12)
    elements = int(np.clip(np.ceil(total * 12.0 / (degree + 1)), 8, 60))
    return (tau, density), elements


def is_whole(value: object, least: int, most: int | None = None) -> bool:
    """Whether a value is a whole number within limits (True and False are none)."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        return False
    return least <= int(value) and (most is None or int(value) <= most)


def _cumulative(density: tuple[Array, Array] | None) -> tuple[Array, Array]:
    if density is None:
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    positions, values = density
    steps = np.diff(positions) * 0.5 * (values[1:] + values[:-1])
    cumulative = np.concatenate([[0.0], np.cumsum(np.maximum(steps, 1e-15))])
    return positions, cumulative / cumulative[-1]
