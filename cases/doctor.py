"""Is this installation healthy? Versions, solvers that load, and a small optimum that must come out right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from titer.cases.record import versions

# Denbigh's parallel reactions with five pieces: each piece is linear, so its end is a formula, and the best
# five rates were found from the formulas alone. The continuous optimum (Ray) is 0.57353.
BEST_OF_FIVE = 0.5683866684
BEST_RATES = (0.813366, 0.959532, 1.194402, 1.660228, 3.233320)


@dataclass(frozen=True)
class Finding:
    """What was examined, whether it is in order, and a line about it."""

    name: str
    ok: bool
    text: str


def examine() -> Iterator[Finding]:
    """Examine the installation, one finding after the other."""
    for package, version in versions().items():
        yield Finding(package, version != "not installed", version)
    for solver, attempt in SOLVERS.items():
        yield _attempted(solver, attempt)
    yield _attempted("self-test", self_test)


def self_test() -> str:
    """Optimize two parallel reactions in five pieces through titer's own interface; compare with formulas."""
    from titer.control import optimize
    from titer.flowsheets import (
        AtEnd,
        Control,
        Equations,
        Flowsheet,
        Parameter,
        Phase,
        PiecewiseConstant,
        Recipe,
        State,
        Unit,
    )
    from titer.numerics import Grid

    class ParallelReactions(Unit):
        """A -> B at the rate k c_A beside A -> C at the rate a k^2 c_A; k is chosen (W. H. Ray, 1981)."""

        time = "s"
        c_A = State("mol/L", start=1.0, lower=0.0)
        c_B = State("mol/L", start=0.0, lower=0.0)
        k = Control("1/s", start=1.0, lower=0.0, upper=5.0)
        a = Parameter("s", 0.5)

        def equations(self, v: Any) -> Equations:
            return Equations(rate={"c_A": -(v.k + v.a * v.k**2) * v.c_A, "c_B": v.k * v.c_A})

    reactor = ParallelReactions("reactor")
    plan = optimize(
        Flowsheet(reactor, time="s"),
        Recipe(Phase("react", duration=1.0)),
        free={reactor.k: PiecewiseConstant(5)},
        maximize=AtEnd(lambda v: v.reactor.c_B),
        grid=Grid(elements=20, degree=3),
    )
    if not plan.status.ok or abs(plan.objective - BEST_OF_FIVE) > 1e-6:
        raise ArithmeticError(f"expected {BEST_OF_FIVE:.7f}, got {plan.objective:.7f} ({plan.status})")
    return f"a small optimum comes out right: {plan.objective:.6f}"


def _nlp(solver: str, options: dict[str, Any]) -> str:
    """Minimize (x - 1)^2 + y^2 on x + y = 3: the answer is (2, 1)."""
    import casadi as ca

    x = ca.SX.sym("x", 2)
    problem = {"x": x, "f": (x[0] - 1) ** 2 + x[1] ** 2, "g": x[0] + x[1]}
    answer = ca.nlpsol("smallest", solver, problem, {"print_time": False} | options)(x0=[0, 0], lbg=3, ubg=3)["x"]
    return _compared(float(ca.norm_inf(answer - ca.DM([2, 1]))), 1e-6)


def _integration(solver: str) -> str:
    """Integrate x' = -x over one unit of time: the answer is exp(-1)."""
    import casadi as ca

    x = ca.SX.sym("x")
    tolerances = {"reltol": 1e-10, "abstol": 1e-12}
    end = ca.integrator("smallest", solver, {"x": x, "ode": -x}, 0.0, 1.0, tolerances)(x0=1.0)["xf"]
    return _compared(abs(float(end - ca.exp(-1))), 1e-8)


def _compared(error: float, tolerance: float) -> str:
    if not error <= tolerance:
        raise ArithmeticError(f"loads, but is wrong by {error:.2g} in a problem with a known answer")
    return "loads and solves"


def _attempted(name: str, attempt: Callable[[], str]) -> Finding:
    start = time.perf_counter()
    try:
        text = attempt()
    except Exception as error:  # whatever is broken here is the finding
        return Finding(name, False, f"{type(error).__name__}: {error}")
    return Finding(name, True, f"{text}, {time.perf_counter() - start:.2f} s")


IPOPT = {"ipopt": {"print_level": 0, "sb": "yes"}}
# Without stages fatrop sees one stage of two states and one equation.
FATROP = {
    "structure_detection": "manual",
    **{"N": 0, "nx": [2], "nu": [0], "ng": [1], "equality": [False]},
    "fatrop": {"print_level": 0},
}
SOLVERS: dict[str, Callable[[], str]] = {
    "ipopt": lambda: _nlp("ipopt", IPOPT),
    "fatrop": lambda: _nlp("fatrop", FATROP),
    "idas": lambda: _integration("idas"),
    "cvodes": lambda: _integration("cvodes"),
}
