"""Who solves an AMPL problem, and did it? The IPOPT inside CasADi; an outcome in AMPL's numbers and words.

Success is judged from the numbers: the optimality conditions are recomputed from the problem's own functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from time import perf_counter
from typing import Any, NamedTuple

import casadi as ca
import numpy as np

from titer.numerics.ampl.options import refused
from titer.numerics.ampl.printed import printed
from titer.numerics.ampl.stub import Stub
from titer.numerics.interrupts import Interrupts
from titer.numerics.nlp import Array

FEASIBLE = 1e-6  # largest violation of a row or bound, relative to its own size where that exceeds one
OPTIMAL = 1e-4  # largest stationarity and complementarity residual, relative to the largest multiplier above one
_RUNAWAY = 1e10  # size of a column from which it is said to run away


class End(Enum):
    """How a solve ended: AMPL's number, and the words that Pyomo's readers look for."""

    OPTIMAL = (0, "Optimal Solution Found")
    ACCEPTABLE = (1, "Solved To Acceptable Level.")
    FEASIBLE = (2, "Found feasible point for square problem.")
    INFEASIBLE = (200, "Converged to a locally infeasible point. Problem may be infeasible.")
    UNBOUNDED = (300, "Iterates diverging; problem might be unbounded.")
    ITERATIONS = (400, "Maximum Number of Iterations Exceeded.")
    CPU_TIME = (401, "Maximum CPU Time Exceeded.")
    WALL_TIME = (402, "Maximum Wallclock Time Exceeded.")
    TINY_STEP = (500, "Search Direction becomes Too Small.")
    RESTORATION = (501, "Restoration Phase Failed.")
    FAILED = (502, "Unknown Error")
    INTERRUPTED = (503, "Stopped by the user.")
    TOO_FEW_FREEDOMS = (504, "Too few degrees of freedom: more equations than free variables.")
    NOT_FINITE = (505, "A function or derivative is not finite.")
    BAD_OPTION = (506, "Invalid option.")

    @property
    def code(self) -> int:
        return self.value[0]

    @property
    def message(self) -> str:
        return self.value[1]

    @property
    def ok(self) -> bool:
        return self.code < 100


_ENDS = {
    "Solve_Succeeded": End.OPTIMAL,
    "Solved_To_Acceptable_Level": End.ACCEPTABLE,
    "Feasible_Point_Found": End.FEASIBLE,
    "Infeasible_Problem_Detected": End.INFEASIBLE,
    "Diverging_Iterates": End.UNBOUNDED,
    "Maximum_Iterations_Exceeded": End.ITERATIONS,
    "Maximum_CpuTime_Exceeded": End.CPU_TIME,
    "Maximum_WallTime_Exceeded": End.WALL_TIME,
    "Search_Direction_Becomes_Too_Small": End.TINY_STEP,
    "Restoration_Failed": End.RESTORATION,
    "User_Requested_Stop": End.INTERRUPTED,
    "Not_Enough_Degrees_Of_Freedom": End.TOO_FEW_FREEDOMS,
    "Invalid_Number_Detected": End.NOT_FINITE,
    "Invalid_Option": End.BAD_OPTION,
}


class Residuals(NamedTuple):
    """Largest residuals of the optimality conditions, relative as FEASIBLE and OPTIMAL say."""

    violation: float
    stationarity: float
    complementarity: float

    def hold(self, tolerance: float = 1e-8) -> bool:
        """Whether a solve to `tolerance` may be called a success."""
        loose = 100.0 * tolerance
        return self.violation <= max(FEASIBLE, loose) and max(self[1:]) <= max(OPTIMAL, loose)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a solve gave: columns (n,), multipliers of rows (m,) and bounds (n,) of the minimized Lagrangian.

    `status` is IPOPT's word, `end` the verdict. `seconds` are those of creating the solver and of solving.
    """

    end: End
    status: str
    x: Array
    rows: Array
    bounds: Array
    objective: float
    iterations: int
    residuals: Residuals
    seconds: Mapping[str, float]

    @property
    def finite(self) -> bool:
        """Whether the columns are numbers."""
        return bool(np.isfinite(self.x).all())


def solve(
    stub: Stub,
    options: Mapping[str, Any],
    multipliers: tuple[Array, Array] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Answer:
    """Solve by IPOPT, with its options by their names; silent unless `print_level` says otherwise.

    `multipliers`: of bounds and rows, as `Answer` has them; IPOPT reads them where `warm_start_init_point` is yes.
    `settings`: CasADi's own for `nlpsol`. Raises SpecificationError for options that IPOPT does not know.

    Curvature is tested along the step and MUMPS scales by itself (as in `titer.numerics.solvers`): collocated models
    take a third of the iterations, in a twentieth of the time. Options that are given go before.

    The file holds scalar operations only, so expanding them costs nothing: a solver for 3000 variables is created
    and run three times faster.
    """
    began = perf_counter()
    quiet = {"print_level": 0, "sb": "yes", "neg_curv_test_tol": 1e-8, "mumps_scaling": 8}
    chosen = {f"ipopt.{key}": value for key, value in (quiet | dict(options)).items()}
    casadi = {"print_time": False, "expand": True, "show_eval_warnings": False} | chosen | dict(settings or {})
    with printed() as said:
        try:
            solver = ca.nlpsol("nl", "ipopt", {"x": stub.x, "f": stub.f, "g": stub.g}, casadi)
        except (RuntimeError, NotImplementedError) as error:
            raise refused(str(error), said.getvalue()) from error
    created = perf_counter()
    result, interrupted = _run(solver, stub, multipliers)
    status = "User_Requested_Stop" if interrupted else str(solver.stats()["return_status"])
    seconds = {"create": created - began, "solve": perf_counter() - created}
    residuals = judge(solver, stub, result)
    return Answer(
        end=_end(status, result, residuals, float(options.get("tol", 1e-8))),
        status=status,
        x=_flat(result["x"]),
        rows=_flat(result["lam_g"]),
        bounds=_flat(result["lam_x"]),
        objective=float(result["f"]),
        iterations=int(solver.stats().get("iter_count", 0)),
        residuals=residuals,
        seconds=seconds,
    )


def judge(solver: ca.Function, stub: Stub, result: Mapping[str, ca.DM]) -> Residuals:
    """Recompute feasibility, stationarity and complementarity; infinite where a number is not finite."""
    x, lam_x, lam_g = (_flat(result[k]) for k in ("x", "lam_x", "lam_g"))
    gradient, jacobian, g = np.zeros(len(x)), ca.DM(0, len(x)), np.zeros(0)
    try:
        gradient = _flat(solver.get_function("nlp_grad_f")(x, [])[-1])
        if len(lam_g):
            jacobian = solver.get_function("nlp_jac_g")(x, [])[-1]
            g = _flat(solver.get_function("nlp_g")(x, []))
    except RuntimeError:
        return Residuals(np.inf, np.inf, np.inf)
    value, multiplier = np.concatenate([x, g]), np.concatenate([lam_x, lam_g])
    lower, upper = np.r_[stub.lower, stub.row_lower], np.r_[stub.upper, stub.row_upper]
    slope = gradient + lam_x + (_flat(jacobian.T @ ca.DM(lam_g)) if len(lam_g) else 0.0)
    if not (np.isfinite(value).all() and np.isfinite(multiplier).all() and np.isfinite(slope).all()):
        return Residuals(np.inf, np.inf, np.inf)
    size = np.maximum(1.0, np.where(lower == upper, np.abs(lower), np.abs(value)))
    violation = np.max(np.maximum(lower - value, value - upper) / size, initial=0.0)
    weight = max(1.0, float(np.max(np.abs(multiplier), initial=0.0)))
    movable = stub.lower != stub.upper  # IPOPT takes pinned variables out, without a multiplier
    # A multiplier may be nonzero only as far as its bound is touched; the smaller of the two is the residual.
    slack = np.minimum(np.maximum(multiplier, 0), np.abs(upper - value))
    slack = np.maximum(slack, np.minimum(np.maximum(-multiplier, 0), np.abs(value - lower)))
    return Residuals(
        float(violation),
        float(np.max(np.abs(slope[movable]), initial=0.0)) / weight,
        float(np.max(slack, initial=0.0)) / weight,
    )


def pushed(stub: Stub) -> Array:
    """The start as IPOPT moves it, by default, from the bounds into the inside (n,)."""
    width = np.where(np.isfinite(stub.upper) & np.isfinite(stub.lower), stub.upper - stub.lower, np.inf)
    low, up = (np.where(np.isfinite(bound), bound, 0.0) for bound in (stub.lower, stub.upper))
    low = low + np.minimum(1e-2 * np.maximum(1.0, np.abs(low)), 1e-2 * width)
    up = up - np.minimum(1e-2 * np.maximum(1.0, np.abs(up)), 1e-2 * width)
    low = np.where(np.isfinite(stub.lower), low, -np.inf)
    up = np.where(np.isfinite(stub.upper), up, np.inf)
    return np.clip(stub.start, low, up)


def runaways(stub: Stub, x: Array) -> list[int]:
    """Columns that have left all sizes, the farthest first."""
    far = np.flatnonzero(np.abs(x) > max(_RUNAWAY, 1e-3 * float(np.max(np.abs(x), initial=0.0))))
    return sorted(far.tolist(), key=lambda i: -abs(x[i]))


def _run(solver: ca.Function, stub: Stub, multipliers: tuple[Array, Array] | None) -> tuple[Mapping[str, ca.DM], bool]:
    """The solver's result, and whether the user interrupted it."""
    start = {"x0": stub.start, "lbx": stub.lower, "ubx": stub.upper, "lbg": stub.row_lower, "ubg": stub.row_upper}
    if multipliers is not None:
        start |= {"lam_x0": multipliers[0], "lam_g0": multipliers[1]}
    interrupts = Interrupts()
    try:
        with interrupts:
            return solver(**start), interrupts.seen
    except KeyboardInterrupt:
        if not interrupts.seen:
            raise
    nothing = {"lam_x": ca.DM.zeros(len(stub.start)), "lam_g": ca.DM.zeros(len(stub.row_lower))}
    return {"x": ca.DM(stub.start), "f": ca.DM(np.nan), **nothing}, True


def _end(status: str, result: Mapping[str, ca.DM], residuals: Residuals, tolerance: float) -> End:
    end = _ENDS.get(status, End.FAILED)
    if end.ok and not residuals.hold(tolerance):
        return (
            End.FAILED if np.isfinite(residuals).all() else End.NOT_FINITE
        )  # the flag says solved, the numbers do not
    return end


def _flat(values: Any) -> Array:
    return np.array(values, dtype=float).ravel()
