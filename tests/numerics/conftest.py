"""Small models with known answers, and the few lines that pose and solve them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import casadi as ca
import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

from titer.numerics.dae import Dae, Variable
from titer.numerics.nlp import Block, Columns, Decide, Fix, Labels, Nlp, Tie, Wire, join
from titer.numerics.program import Program, Scaling
from titer.numerics.segment import Profile, Segment
from titer.numerics.solvers import Engine, Fatrop, Ipopt, Outcome

Equations = Callable[..., Sequence[Any]]


def make_dae(
    rate: Equations,
    zero: Equations | None = None,
    output: Equations | None = None,
    nz: int = 0,
    nu: int = 0,
    npar: int = 0,
    variables: Mapping[str, Variable] | None = None,
) -> Dae:
    """A model from functions of (t, x, z, u, p); variables are called x0, z0, u0, p0 and so on."""
    t, x = ca.SX.sym("t"), ca.SX.sym("x", 9)
    z, u, p = ca.SX.sym("z", nz), ca.SX.sym("u", nu), ca.SX.sym("p", npar)
    nx = len(rate(t, x, z, u, p))
    x = ca.SX.sym("x", nx)

    def column(equations: Equations | None) -> ca.SX:
        return ca.vertcat(ca.SX(0, 1), *(equations(t, x, z, u, p) if equations else ()))

    def named(letter: str, count: int) -> tuple[Variable, ...]:
        return tuple((variables or {}).get(f"{letter}{i}", Variable(f"{letter}{i}")) for i in range(count))

    f, g, h = column(rate), column(zero), column(output)
    function = ca.Function("model", [t, x, z, u, p], [f, g, h])
    groups = (named("x", nx), named("z", nz), named("u", nu), named("p", npar), named("y", h.numel()))
    return Dae("model", "h", function, *groups, equations=tuple(f"equation {i}" for i in range(nz)))


def point_function(dae: Dae, expression: Equations) -> ca.Function:
    """A function of a point (t, x, z, u, p) of the model."""
    arguments = [ca.SX.sym(f"a{i}", n) for i, n in enumerate((1, *dae.sizes))]
    return ca.Function("at_point", arguments, [expression(*arguments)])


def fixed(block: Block, start: Sequence[float] | None = None, **values: Sequence[float]) -> list[Fix]:
    """Numbers in the slots start, clock, duration and parameters (those given); clock is 0."""
    slots = {"clock": [0.0], **values} | ({} if start is None else {"start": start})
    return [Fix(block.slot(name), np.array(numbers, dtype=float)) for name, numbers in slots.items()]


def decide(wire: Wire, name: str, lower: float, upper: float, phase: str = "") -> Decide:
    """Decisions between two bounds."""
    n = wire.cells.size
    labels = Labels.of([name] * n, phase)
    return Decide(wire, Columns(labels, np.full(n, lower), np.full(n, upper), np.zeros(n, dtype=bool)))


def objective(*wires: Wire, minimize: Callable[[ca.SX], Any]) -> Tie:
    """A term to minimize, of the wires' values one after another."""
    v = ca.SX.sym("v", sum(w.cells.size for w in wires))
    f = ca.Function("objective", [v], [ca.SX(0, 1), minimize(v)])
    return Tie(f, wires, np.zeros(0), np.zeros(0), Labels.of([]), 1.0)


def equality(*wires: Wire, rows: Callable[[ca.SX], Sequence[Any]], name: str = "tie") -> Tie:
    """Expressions of the wires' values that are zero."""
    v = ca.SX.sym("v", sum(w.cells.size for w in wires))
    g = ca.vertcat(*rows(v))
    n = g.numel()
    return Tie(ca.Function("tie", [v], [g, ca.SX(0.0)]), wires, np.zeros(n), np.zeros(n), Labels.of([name] * n))


@dataclass(frozen=True)
class Solved:
    """A problem, its engine and what came out."""

    nlp: Nlp
    engine: Engine
    scaling: Scaling
    start: np.ndarray
    outcome: Outcome

    def values(self, wire: Wire) -> np.ndarray:
        return self.nlp.values(wire, self.outcome.w)


def solve(
    blocks: Sequence[Block],
    links: Sequence[Any],
    solver: Ipopt | Fatrop | None = None,
    guess: Mapping[str, float] | None = None,
) -> Solved:
    """Join and solve from a constant guess by column name (0.5 where none is given)."""
    nlp = join(blocks, links)
    names = np.concatenate([group.texts for group in nlp.labels])
    w = np.array([(guess or {}).get(name, 0.5) for name in names])
    engine = Engine(nlp, solver or Ipopt())
    scaling = engine.scaling(w, np.maximum(np.abs(w), 1.0))
    return Solved(nlp, engine, scaling, w, engine.solve(w, scaling, nlp.lower, nlp.upper))


def newton(nlp: Nlp, w: np.ndarray) -> np.ndarray:
    """The root of a square problem's rows."""
    program = Program(nlp)
    p = program.parameters(Scaling(np.ones(nlp.columns), np.ones(nlp.rows)))
    for _ in range(50):
        g, jacobian = program.jacobian(w, p)
        step = spsolve(jacobian.sparse(), np.array(g).ravel())
        w = w - step
        if np.abs(step).max() < 1e-14 * (1.0 + np.abs(w).max()):
            return w
    assert np.abs(step).max() < 1e-12 * (1.0 + np.abs(w).max())
    return w


def ray() -> Dae:
    """A -> B -> C of the published temperature benchmark: x1' = -k1 x1^2, x2' = k1 x1^2 - k2 x2."""

    def rate(t: Any, x: Any, z: Any, u: Any, p: Any) -> Sequence[Any]:
        k1, k2 = 4000.0 * ca.exp(-2500.0 / u[0]), 620000.0 * ca.exp(-5000.0 / u[0])
        return [-k1 * x[0] ** 2, k1 * x[0] ** 2 - k2 * x[1]]

    variables = {"x0": Variable("x0", start=1.0), "x1": Variable("x1", start=0.0), "u0": Variable("T")}
    return make_dae(rate, nu=1, variables=variables)


def ray_with_rates() -> Dae:
    """The same reactor with its two rates as algebraic variables, implicitly given."""

    def rate(t: Any, x: Any, z: Any, u: Any, p: Any) -> Sequence[Any]:
        return [-z[0], z[0] - z[1]]

    def zero(t: Any, x: Any, z: Any, u: Any, p: Any) -> Sequence[Any]:
        k1, k2 = 4000.0 * ca.exp(-2500.0 / u[0]), 620000.0 * ca.exp(-5000.0 / u[0])
        return [z[0] * (1.0 + z[0] ** 2) - k1 * x[0] ** 2 * (1.0 + z[0] ** 2), z[1] - k2 * x[1]]

    variables = {"x0": Variable("x0", start=1.0), "x1": Variable("x1", start=0.0), "u0": Variable("T")}
    return make_dae(rate, zero, nz=2, nu=1, variables=variables)


@pytest.fixture
def tools() -> SimpleNamespace:
    """What tests pose problems with."""
    return SimpleNamespace(
        make_dae=make_dae,
        point_function=point_function,
        fixed=fixed,
        decide=decide,
        objective=objective,
        equality=equality,
        solve=solve,
        newton=newton,
        ray=ray,
        ray_with_rates=ray_with_rates,
        Profile=Profile,
        Segment=Segment,
    )
