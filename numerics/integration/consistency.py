"""Which values satisfy the equations at a point? Algebraic variables from their equations, states on the invariants."""

from __future__ import annotations

from functools import lru_cache

import casadi as ca
import numpy as np

from titer.numerics.dae import Array, Dae, parted, sizes_of

_MOST_STEPS = 50
_ROUNDING = 1e-14  # of what an invariant is made of


class InconsistentError(RuntimeError):
    """No consistent point was found; `point` (t, x, z, u) is where the search ended."""

    def __init__(self, message: str, point: tuple[float, Array, Array, Array]):
        super().__init__(message)
        self.point = point


def consistent_algebraics(dae: Dae, t: float, x: Array, z: Array, u: Array, p: Array) -> Array:
    """Algebraic variables that satisfy their equations at a point, from the guess `z`. Raises RuntimeError.

    They are looked for inside their domains, for equations may have other solutions outside, such as beyond the pole
    of a saturation; only where none is found inside, anywhere.
    """
    if not dae.algebraics:
        return z
    lower, upper = (np.array([getattr(v, side) for v in dae.algebraics]) for side in ("lower", "upper"))
    if np.isfinite(lower).any() or np.isfinite(upper).any():
        try:
            return _newton(dae, t, x, z, u, p, (lower, upper))
        except InconsistentError:
            pass
    return _newton(dae, t, x, z, u, p, None)


def _newton(dae: Dae, t: float, x: Array, z: Array, u: Array, p: Array, domain: tuple[Array, Array] | None) -> Array:
    """The algebraic equations solved from the guess `z`, on steps that end inside `domain`. Raises InconsistentError.

    Newton's method, damped by the natural monotonicity test, so that it does not depend on how equations are
    scaled. Source: Deuflhard, Newton Methods for Nonlinear Problems (Springer 2004), section 3.3.
    """
    equations = algebraic_equations(dae.function, dae.sizes)
    rest = np.concatenate([[t], x, u, p])
    floor = 1e-4 * sizes_of(dae.algebraics)
    for _ in range(100):
        value, slope = (np.array(v) for v in equations(z, rest))
        if not (np.isfinite(value).all() and np.isfinite(slope).all()):
            break
        size = np.maximum(np.abs(z), floor)
        try:
            step = -np.linalg.solve(slope, value).ravel()
        except np.linalg.LinAlgError:
            text = "the algebraic equations do not determine the algebraic variables there (is the index 1?)"
            raise InconsistentError(text, (t, x, z, u)) from None
        length = np.abs(step / size).max()
        if length <= 1e-8:  # convergence is quadratic: after this step nothing is left
            return z + step
        share, ended = 1.0, z
        while share > 1e-8:
            ended = z + share * step if domain is None else np.clip(z + share * step, *domain)
            value = np.array(equations(ended, rest)[0])
            left = np.abs(np.linalg.solve(slope, value).ravel() / size).max() if np.isfinite(value).all() else np.inf
            if left <= (1.0 - share / 4.0) * length:
                break
            share /= 2.0
        else:
            if domain is not None:  # held back by a bound
                break
        z = ended
    raise InconsistentError("the algebraic equations have no consistent solution near the guess", (t, x, z, u))


def projected(dae: Dae, t: float, x: Array, z: Array, u: Array, p: Array, sizes: Array) -> tuple[Array, Array]:
    """States moved onto the invariants by the least change, relative to `sizes`, with their algebraic variables.

    Without invariants the states stay. `z` is a guess. Gauss-Newton steps; a state is moved no further than rounding
    where it lies on the invariants already. Raises InconsistentError where there is no consistent point nearby.
    Source: Eich, SIAM J. Numer. Anal. 30 (1993) 1467.
    """
    z = consistent_algebraics(dae, t, x, z, u, p)
    if dae.invariants is None:
        return x, z
    conditions = _conditions(dae.function, dae.invariants, dae.sizes)
    rest = np.concatenate([[t], u, p])
    for _ in range(_MOST_STEPS):
        value, slope = (np.array(v) for v in conditions(x, z, rest))
        if not (np.isfinite(value).all() and np.isfinite(slope).all()):
            break
        step = -sizes * np.linalg.lstsq(slope * sizes, value.ravel(), rcond=1e-12)[0]
        x = x + step
        z = consistent_algebraics(dae, t, x, z, u, p)
        if np.abs(step / sizes).max() <= 1e-9:  # convergence is quadratic: after this step nothing is left
            return x, z
    raise InconsistentError("no states nearby satisfy the invariants", (t, x, z, u))


def off_invariants(dae: Dae, t: Array, x: Array, z: Array, u: Array, p: Array, sizes: Array) -> Array:
    """Which of some points (times (points,), rows (variables, points)) miss an invariant by more than rounding."""
    if dae.invariants is None:
        return np.zeros(len(t), dtype=bool)
    rest = np.vstack([t[None, :], u, np.repeat(p[:, None], len(t), axis=1)])
    conditions = _conditions(dae.function, dae.invariants, dae.sizes)
    value, slope = (np.array(v) for v in conditions.map(len(t))(x, z, rest))
    size = np.abs(slope).reshape(len(value), len(t), len(x)) @ sizes
    return np.asarray(~(np.abs(value) <= _ROUNDING * size).all(axis=0))


def residuals(dae: Dae, t: float, x: Array, z: Array, u: Array, p: Array) -> dict[str, float]:
    """The invariants by name, at a point: zero where it is consistent."""
    if dae.invariants is None:
        return {}
    values = np.array(dae.invariants(t, x, z, u, p)).ravel()
    return dict(zip(dae.invariant_names, values.tolist(), strict=True))


@lru_cache(maxsize=64)
def _conditions(function: ca.Function, invariants: ca.Function, numbers: tuple[int, int, int, int]) -> ca.Function:
    """(x, z, (t, u, p)) -> (invariants, their derivatives in x with z following its equations)."""
    nx, nz, nu, npar = numbers
    x, z, rest = ca.SX.sym("x", nx), ca.SX.sym("z", nz), ca.SX.sym("rest", 1 + nu + npar)
    t, u, p = parted(rest, [1, nu, npar])
    zero, value = function(t, x, z, u, p)[1], invariants(t, x, z, u, p)
    slope, through = ca.jacobian(value, x), ca.jacobian(value, z)
    if not through.nnz():
        return ca.Function("conditions", [x, z, rest], [value, slope])
    both = ca.Function("both", [x, z, rest], [slope, through, ca.jacobian(zero, z), ca.jacobian(zero, x), value])
    a, b, c = ca.MX.sym("x", nx), ca.MX.sym("z", nz), ca.MX.sym("rest", 1 + nu + npar)
    direct, through, zero_z, zero_x, value = both(a, b, c)
    follows = ca.solve(ca.densify(zero_z), ca.densify(zero_x), "lapackqr")
    return ca.Function("conditions", [a, b, c], [value, direct - ca.densify(through) @ follows])


@lru_cache(maxsize=64)
def algebraic_equations(function: ca.Function, numbers: tuple[int, int, int, int]) -> ca.Function:
    """(z, (t, x, u, p)) -> (equations, their derivatives in z)."""
    nx, nz, nu, npar = numbers
    z, rest = ca.SX.sym("z", nz), ca.SX.sym("rest", 1 + nx + nu + npar)
    t, x, u, p = parted(rest, [1, nx, nu, npar])
    zero = function(t, x, z, u, p)[1]
    return ca.Function("algebraic", [z, rest], [zero, ca.jacobian(zero, z)])


@lru_cache(maxsize=64)
def newton_step(function: ca.Function, numbers: tuple[int, int, int, int]) -> ca.Function:
    """(z, (t, x, u, p)) -> z after a step of Newton's method."""
    nx, nz, nu, npar = numbers
    z, rest = ca.MX.sym("z", nz), ca.MX.sym("rest", 1 + nx + nu + npar)
    value, slope = algebraic_equations(function, numbers)(z, rest)
    return ca.Function("newton", [z, rest], [z - ca.solve(slope, value, "qr")])
