"""How do other tools solve the published temperature benchmark, and where do their seconds go?

The problem: A -> B -> C in a batch reactor, first step of second order, the temperature free between bounds,

    x1' = -k1 x1^2                  k1 =   4000 exp(-2500 / T)      x(0) = (1, 0)
    x2' =  k1 x1^2 - k2 x2          k2 = 620000 exp(-5000 / T)      298 K <= T <= 398 K,  t_f = 1

maximize x2(1). Published (Ray; Logsdon and Biegler; Dadebo and McAuley 1995): 0.610775 to 0.610799.

Each peer is written as its own documentation teaches, with `elements` finite elements, a temperature constant
on `pieces` equal pieces, the same start (x at its initial value, T = 335 K) and the same tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

TOLERANCE = 1e-8
GUESS, COLDEST, HOTTEST = 335.0, 298.0, 398.0


@dataclass(frozen=True)
class Timed:
    """The optimum a tool reports, and its seconds.

    They are spent stating the model, transcribing and writing it, creating the solver, and solving; then in
    all.
    """

    objective: float
    model: float
    transcribe: float
    create: float
    solve: float
    total: float


def pyomo_dae(elements: int, pieces: int | None = None, degree: int = 3) -> Timed:
    """Solve by Pyomo.DAE: Radau collocation, then the same IPOPT through the route of titer.flowsheets.pyomo.solver.nl.

    With one piece an element the control is reduced to one collocation point, Pyomo's own way; with fewer
    it is tied to one variable a piece. `transcribe` covers discretization and writing, `create` the reading
    too.
    """
    import pyomo.dae as dae
    import pyomo.environ as pyo

    from titer.flowsheets.pyomo.solver.nl import solve_pyomo

    started = perf_counter()
    pieces = checked(elements, pieces)
    m = pyo.ConcreteModel()
    m.t = dae.ContinuousSet(bounds=(0, 1))
    m.x1 = pyo.Var(m.t, bounds=(0, None), initialize=1.0)
    m.x2 = pyo.Var(m.t, bounds=(0, None), initialize=0.0)
    m.T = pyo.Var(m.t, bounds=(COLDEST, HOTTEST), initialize=GUESS)
    m.dx1 = dae.DerivativeVar(m.x1, wrt=m.t, initialize=0.0)
    m.dx2 = dae.DerivativeVar(m.x2, wrt=m.t, initialize=0.0)
    m.x1[0].fix(1.0)
    m.x2[0].fix(0.0)

    @m.Constraint(m.t)
    def balance_1(m, t):
        if t == 0:
            return pyo.Constraint.Skip
        return m.dx1[t] == -4000 * pyo.exp(-2500 / m.T[t]) * m.x1[t] ** 2

    @m.Constraint(m.t)
    def balance_2(m, t):
        if t == 0:
            return pyo.Constraint.Skip
        made = 4000 * pyo.exp(-2500 / m.T[t]) * m.x1[t] ** 2
        return m.dx2[t] == made - 620000 * pyo.exp(-5000 / m.T[t]) * m.x2[t]

    m.yield_of_B = pyo.Objective(expr=m.x2[1], sense=pyo.maximize)
    modelled = perf_counter()

    collocation = pyo.TransformationFactory("dae.collocation")
    collocation.apply_to(m, wrt=m.t, nfe=elements, ncp=degree, scheme="LAGRANGE-RADAU")
    if pieces == elements:
        collocation.reduce_collocation_points(m, var=m.T, ncp=1, contset=m.t)
    else:
        m.level = pyo.Var(range(pieces), bounds=(COLDEST, HOTTEST), initialize=GUESS)

        @m.Constraint(m.t)
        def held(m, t):
            # A point on a boundary ends the piece before it; rounding guards the boundary itself.
            return pyo.Constraint.Skip if t == 0 else m.T[t] == m.level[int(np.ceil(round(t * pieces, 9))) - 1]

    transcribed = perf_counter()
    outcome = solve_pyomo(m, tolerance=TOLERANCE)
    done = perf_counter()
    if not outcome.success:
        raise RuntimeError(f"Pyomo.DAE with {elements} elements: {outcome.status}.")
    seconds = outcome.seconds
    return Timed(
        objective=outcome.objective,
        model=modelled - started,
        transcribe=transcribed - modelled + seconds["write"],
        create=seconds["read"] + seconds["create"],
        solve=seconds["solve"],
        total=done - started,
    )


def gekko(
    elements: int,
    pieces: int | None = None,
    nodes: int = 4,
    hold: bool | None = None,
    free_start: bool = True,
) -> Timed:
    """Solve by GEKKO: its dynamic mode (IMODE 6), its IPOPT, on this machine.

    GEKKO collocates on Lobatto-like points, `nodes - 1` an element: at four nodes as many unknowns as Radau
    of degree three. An input that it interpolates (MV_TYPE 1; here at one piece an element) is consistent: at
    200 elements the reported optimum agrees with an exact simulation of its profile to 1e-6. The profile is
    piecewise linear, so its optimum differs a little: 0.61055 against 0.61045 at 20 pieces, 0.61079 at 100.

    A held input (`hold`; here where there are fewer pieces than elements) keeps its old value at the inner
    nodes of an element and takes the new one at the end, whatever the nodes, so that each jump is smeared
    over an element: first order in its length, 0.61074 with 100 elements and 0.61053 with 400 for the
    0.61045 of 20 pieces. `free_start=False` keeps the first value at the guess as GEKKO does by default,
    which then holds over the first element: with three nodes, held, its defaults, 0.61049 at 200 elements
    instead of 0.61080.

    GEKKO writes, reads and creates in one step: all but the time that its solver reports counts as
    `transcribe`.
    """
    from gekko import GEKKO

    started = perf_counter()
    pieces = checked(elements, pieces)
    hold = pieces < elements if hold is None else hold
    m = GEKKO(remote=False)
    m.time = np.linspace(0, 1, elements + 1)
    T = m.MV(value=GUESS, lb=COLDEST, ub=HOTTEST, fixed_initial=not free_start)
    T.STATUS = 1
    T.DCOST = 0
    T.MV_STEP_HOR = elements // pieces
    x1 = m.Var(value=1.0, lb=0)
    x2 = m.Var(value=0.0, lb=0)
    k1 = m.Intermediate(4000 * m.exp(-2500 / T))
    k2 = m.Intermediate(620000 * m.exp(-5000 / T))
    m.Equation(x1.dt() == -k1 * x1**2)
    m.Equation(x2.dt() == k1 * x1**2 - k2 * x2)
    at_end = m.Param(value=np.r_[np.zeros(elements), 1.0])
    m.Maximize(x2 * at_end)
    m.options.IMODE = 6
    m.options.NODES = nodes
    m.options.SOLVER = 3
    m.options.MV_TYPE = 0 if hold else 1
    m.options.OTOL = m.options.RTOL = TOLERANCE
    modelled = perf_counter()
    try:
        m.solve(disp=False)  # raises where the solver fails
        done = perf_counter()
        solving = float(m.options.SOLVETIME)
        return Timed(
            objective=float(x2.value[-1]),
            model=modelled - started,
            transcribe=done - modelled - solving,
            create=0.0,
            solve=solving,
            total=done - started,
        )
    finally:
        m.cleanup()


def casadi_by_hand(elements: int, pieces: int | None = None, degree: int = 3) -> Timed:
    """Solve by a collocation written for this one problem, as a specialist would: a yardstick."""
    import casadi

    started = perf_counter()
    pieces = checked(elements, pieces)
    x, T = casadi.SX.sym("x", 2), casadi.SX.sym("T")
    r1 = 4000 * casadi.exp(-2500 / T) * x[0] ** 2
    rate = casadi.Function("rate", [x, T], [casadi.vertcat(-r1, r1 - 620000 * casadi.exp(-5000 / T) * x[1])])
    modelled = perf_counter()

    slopes, _, _ = casadi.collocation_coeff(casadi.collocation_points(degree, "radau"))
    first, inner = casadi.MX.sym("first", 2), casadi.MX.sym("inner", 2, degree)
    level = casadi.MX.sym("level")
    defect = casadi.horzcat(first, inner) @ slopes - rate.map(degree)(inner, casadi.repmat(level, 1, degree)) / elements
    element = casadi.Function("element", [first, inner, level], [casadi.vec(defect)]).expand()

    levels = casadi.MX.sym("levels", 1, pieces)
    points = casadi.MX.sym("points", 2, degree * elements)
    ends = points[:, degree - 1 :: degree]  # Radau's last point ends the element: continuity costs no equation
    starts = casadi.horzcat(casadi.DM([1, 0]), ends[:, :-1])
    each = casadi.vec(casadi.repmat(levels, elements // pieces, 1)).T
    defects = element.map(elements)(starts, points, each)
    transcribed = perf_counter()

    w = casadi.veccat(levels, points)
    nlp: dict[str, Any] = {"x": w, "f": -ends[1, -1], "g": casadi.vec(defects)}
    options: dict[str, Any] = {
        "ipopt.print_level": 0,
        "ipopt.sb": "yes",
        "print_time": False,
        "ipopt.tol": TOLERANCE,
    }
    solver = casadi.nlpsol("by_hand", "ipopt", nlp, options)
    created = perf_counter()
    states = np.tile([1.0, 0.0], degree * elements)
    result = solver(
        x0=np.r_[np.full(pieces, GUESS), states],
        lbx=np.r_[np.full(pieces, COLDEST), np.zeros(states.size)],
        ubx=np.r_[np.full(pieces, HOTTEST), np.full(states.size, np.inf)],
        lbg=0,
        ubg=0,
    )
    done = perf_counter()
    if not solver.stats()["success"]:
        raise RuntimeError(f"CasADi by hand with {elements} elements: {solver.stats()['return_status']}.")
    return Timed(
        objective=-float(result["f"]),
        model=modelled - started,
        transcribe=transcribed - modelled,
        create=created - transcribed,
        solve=done - created,
        total=done - started,
    )


def checked(elements: int, pieces: int | None) -> int:
    """Return the number of pieces, which defaults to one an element."""
    pieces = elements if pieces is None else pieces
    if elements % pieces:
        raise ValueError(f"{elements} elements do not divide into {pieces} pieces. Take a multiple of {pieces}.")
    return pieces
