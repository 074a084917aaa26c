"""How does a sphere become points? Even polynomials in the radius: three or four points suffice for a bead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.numerics.spatial.polynomials import differentiation, radau_of_sphere

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Sphere:
    """Points of a sphere of radius 1: `radii` (n,), the surface last; `weights` (n,) of the mean over its volume.

    Diffusion with flux j through the surface (per area, inwards): weights c' = -stiffness c + 3 j at the surface.
    """

    radii: Array
    weights: Array
    stiffness: Array


def sphere(count: int) -> Sphere:
    """Galerkin with polynomials of degree count - 1 in r^2 on Gauss-Radau points; one point is a well-mixed bead.

    stiffness[i, j] is 3 times the integral of l_i' l_j' r^2 dr, exactly. Source: Villadsen and Michelsen, Solution of
    Differential Equation Models by Polynomial Approximation (Prentice-Hall 1978), chapter 3.
    """
    s, weights = radau_of_sphere(count)
    slope = differentiation(s)  # in s = r^2: dl/dr = 2 r dl/ds
    return Sphere(np.sqrt(s), weights, slope.T @ ((4.0 * s * weights)[:, None] * slope))
