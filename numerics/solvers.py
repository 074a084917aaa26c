"""Who solves an `Nlp`, and did it? IPOPT and fatrop, both from CasADi's wheel.

Where every phase is shot only the few free columns are decided (module `single_shooting`). Success is judged from
the numbers: the optimality conditions are recomputed from the problem's own functions.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, NamedTuple

import casadi as ca
import numpy as np

from titer.numerics.chain import Chain, chain
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole
from titer.numerics.interrupts import Interrupts
from titer.numerics.marching import march_of
from titer.numerics.nlp import Array, Nlp
from titer.numerics.optimality import Residuals, optimality
from titer.numerics.program import Program, Scaling
from titer.numerics.sequential import End
from titer.numerics.single_shooting import ENOUGH, NEARLY, Effort, Found, SingleShooting


class Status(Enum):
    """How a solve ended; the value is the message."""

    SOLVED = "solved: optimality conditions hold"
    ACCEPTABLE = "solved to the solver's acceptable level only"
    INFEASIBLE = "the solver converged to a point of local infeasibility"
    ITERATIONS = "the iteration limit was reached"
    TIME = "the time limit was reached"
    INTERRUPTED = "interrupted by the user"
    INVALID_NUMBER = "a function returned a number that is not finite"
    DIVERGED = "the iterates diverge: the problem may be unbounded"
    TOO_FEW_FREEDOMS = "fewer decisions than equations"
    FAILED = "the solver failed"

    @property
    def ok(self) -> bool:
        return self in (Status.SOLVED, Status.ACCEPTABLE)


@dataclass(frozen=True)
class Ipopt:
    """IPOPT 3.14 with MUMPS. `options` go to IPOPT as they are (names without the prefix `ipopt.`).

    `seconds`: of one solve; once they have passed, a start that failed is not tried in another way.
    """

    tolerance: float = 1e-8
    seconds: float = 600.0
    iterations: int = 3000
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_solver(self)


@dataclass(frozen=True)
class Fatrop:
    """fatrop 1.1, for problems whose structure is a chain of stages in time."""

    tolerance: float = 1e-8
    iterations: int = 1000
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_solver(self)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a solve gave, in unscaled numbers: decisions, multipliers of rows and bounds; scaled residuals."""

    status: Status
    w: Array
    row_multipliers: Array
    bound_multipliers: Array
    objective: float
    iterations: int
    seconds: float
    message: str
    stationarity: float
    violation: float
    complementarity: float


class Manner(Enum):
    """What a start is worth; the value says it."""

    NEAR = "a simulated start: feasible, depleted states on their bounds; a large barrier would only push it away"
    FAR = "a start of which nothing is known"
    WARM = "the solution of a neighbour, with its multipliers: a problem whose data have moved a little"


_PATIENCE = 500  # iterations from a near start before a far one is tried
_LITTLE_PATIENCE = 30  # iterations from a neighbour's solution before it is taken for a start like others


class Engine:
    """A solver built once for an `Nlp`; `solve` may be called with other data, bounds, scaling and starts."""

    def __init__(self, nlp: Nlp, solver: Ipopt | Fatrop):
        began = time.perf_counter()
        self.nlp, self.solver = nlp, solver
        self.program = Program(nlp)
        self._chain: Chain | None = None
        self.shot: SingleShooting | None = None
        self._solvers: dict[Manner, ca.Function] = {}
        march = march_of(nlp) if isinstance(solver, Ipopt) else None
        if march is not None:
            self.shot = SingleShooting(march)
        elif isinstance(solver, Fatrop):
            self._chain = chain(nlp)
            self._stage_program = Program(self._chain.nlp)
            self._solvers = {Manner.NEAR: _fatrop(self._stage_program, self._chain, solver)}
        else:
            self._solvers = {Manner.NEAR: _ipopt(self.program, solver, Manner.NEAR)}
        self.seconds = time.perf_counter() - began

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker process builds its own: cheaper than sending compiled functions, and always possible.
        return Engine, (self.nlp, self.solver)

    def ready(self, *manners: Manner) -> None:
        """Build now what solves in these manners, so that no solve has to."""
        for manner in manners:
            if isinstance(self.solver, Ipopt) and manner not in self._solvers:
                self._solvers[manner] = _ipopt(self.program, self.solver, manner)

    @property
    def decided(self) -> Array:
        """Which columns the solver decides (columns,) bool: all, or where every phase is shot the few free ones."""
        found = np.full(self.nlp.columns, self.shot is None)
        if self.shot is not None:
            found[self.shot.march.free] = True
        return found

    def limited(self, limits: Mapping[str, tuple[float, float]]) -> Engine:
        """The same engine, nothing rebuilt, with other bounds (lower, upper) on the rows of these names."""
        return self._bounded(lambda nlp: nlp.limited(limits))

    def loosened(self, by: Mapping[str, tuple[float, float]]) -> Engine:
        """The same engine, nothing rebuilt, with the bounds of rows moved out, as `Nlp.loosened` does."""
        return self._bounded(lambda nlp: nlp.loosened(by))

    def _bounded(self, change: Callable[[Nlp], Nlp]) -> Engine:
        other = copy.copy(self)
        other.nlp = change(self.nlp)
        other.program = self.program.of(other.nlp)
        if self._chain is not None:
            other._chain = replace(self._chain, nlp=change(self._chain.nlp))
        return other

    def scaling(self, w: Array, sizes: Array, data: Array | None = None) -> Scaling:
        """Factors such that the largest scaled derivative of each kind of row, and of the objective, is 1."""
        program, nlp = self.program, self.nlp
        if self.shot is not None:
            return self.shot.scaling(w, sizes, nlp.data if data is None else data)
        unit = Scaling(sizes, np.ones(nlp.rows))
        p = program.parameters(unit, data)
        x = w / sizes
        factors = np.ones(nlp.rows)
        if nlp.rows:
            jacobian = program.jacobian(x, p)[1]
            largest = np.zeros(nlp.rows)
            entries = np.abs(np.nan_to_num(np.array(jacobian.nonzeros()), posinf=0.0, neginf=0.0))
            np.maximum.at(largest, np.array(jacobian.sparsity().row(), dtype=int), entries)
            first = 0
            for batch in nlp.batches:  # copies of one row share a factor, so that scaling is smooth in time
                count = batch.rows * batch.copies
                if count:
                    each = largest[first : first + count].reshape(batch.copies, batch.rows).max(axis=0)
                    factors[first : first + count] = np.tile(each, batch.copies)
                first += count
            factors = 1.0 / np.clip(np.where(factors > 0.0, factors, 1.0), 1e-8, 1e8)
        slope = np.abs(np.nan_to_num(np.array(program.gradient(x, p)[1]).ravel())).max(initial=0.0)
        return Scaling(sizes, factors, 1.0 / float(np.clip(slope, 1e-6, 1e8)) if slope > 0.0 else 1.0)

    def solve(
        self,
        w: Array,
        scaling: Scaling,
        lower: Array,
        upper: Array,
        data: Array | None = None,
        multipliers: tuple[Array, Array] | None = None,
        manner: Manner = Manner.NEAR,
    ) -> Outcome:
        """Solve from the decisions `w`; bounds are those of the columns (row bounds are the problem's)."""
        began = time.perf_counter()
        task = _Task(w, scaling, lower, upper, data)
        interrupts = Interrupts()
        if self.shot is not None:
            with interrupts:
                return self._marched(task, self.shot, began)
        try:
            with interrupts:
                answer = self._answer(task, multipliers, manner)
        except (RuntimeError, KeyboardInterrupt) as error:  # the solver threw: the start is what is left
            if isinstance(error, KeyboardInterrupt) and not interrupts.seen:
                raise
            failed = {"return_status": (str(error).strip() or "stopped").splitlines()[-1], "success": False}
            none = (np.zeros(self.nlp.rows), np.zeros(self.nlp.columns))
            answer = _Answer(failed, np.clip(w, lower, upper) / scaling.columns, *none)
        if interrupts.seen:
            answer.stats["return_status"] = "User_Requested_Stop"
            answer.stats["success"] = False
        return self._judge(answer, task, time.perf_counter() - began)

    def _marched(self, task: _Task, shot: SingleShooting, began: float) -> Outcome:
        assert isinstance(self.solver, Ipopt)
        w, scaling, lower, upper, data = task
        least, most = (bounds[shot.march.kept] for bounds in self.nlp.row_bounds())
        effort = Effort(lower, upper, least, most, self.solver.tolerance, self.solver.seconds, self.solver.iterations)
        found = shot.solve(w, scaling, effort, self.nlp.data if data is None else data)
        status = _status_of(found)
        answer = _Answer(
            {"return_status": status.name, "iter_count": found.iterations},
            found.w / scaling.columns,
            found.row_multipliers,
            found.bound_multipliers,
        )
        outcome = self._outcome(answer, task, found.objective, found.residuals, time.perf_counter() - began)
        return replace(outcome, status=status, message=found.end.value)

    def _answer(self, task: _Task, multipliers: tuple[Array, Array] | None, manner: Manner) -> _Answer:
        return self._lean(task, multipliers, manner) if self._chain is None else self._staged(task, self._chain)

    def _lean(self, task: _Task, multipliers: tuple[Array, Array] | None, manner: Manner) -> _Answer:
        w, scaling, lower, upper, data = task
        sizes = scaling.columns
        row_lower, row_upper = self.nlp.row_bounds()
        arguments = {
            "x0": ca.DM(w / sizes),
            "p": self.program.parameters(scaling, data),
            "lbx": ca.DM(lower / sizes),
            "ubx": ca.DM(upper / sizes),
            "lbg": ca.DM(row_lower * scaling.rows),
            "ubg": ca.DM(row_upper * scaling.rows),
        }
        if multipliers is not None:
            arguments["lam_g0"] = ca.DM(multipliers[0] / scaling.rows * scaling.objective)
            arguments["lam_x0"] = ca.DM(multipliers[1] * sizes * scaling.objective)
        self.ready(manner)
        function = self._solvers[manner]
        result = function(**arguments)
        return _Answer(function.stats(), *(np.array(result[key]).ravel() for key in ("x", "lam_g", "lam_x")))

    def _staged(self, task: _Task, link: Chain) -> _Answer:
        w, scaling, lower, upper, data = task
        staged, behind = link.nlp, link.columns
        sizes = scaling.columns[behind]
        factors = link.row_values(scaling.rows, 1.0 / scaling.columns)[staged.rows_order]
        row_lower, row_upper = staged.row_bounds()
        function = self._solvers[Manner.NEAR]
        result = function(
            x0=ca.DM(w[behind] / sizes),
            p=self._stage_program.parameters(Scaling(sizes, factors, scaling.objective), data),
            lbx=ca.DM(np.where(link.first, lower[behind], -np.inf) / sizes),
            ubx=ca.DM(np.where(link.first, upper[behind], np.inf) / sizes),
            lbg=ca.DM(row_lower * factors),
            ubg=ca.DM(row_upper * factors),
        )
        x = np.empty(self.nlp.columns)
        x[behind[link.first]] = np.array(result["x"]).ravel()[link.first]
        row_multipliers = np.empty(staged.rows)
        row_multipliers[staged.rows_order] = np.array(result["lam_g"]).ravel()
        bound_multipliers = np.zeros(self.nlp.columns)
        np.add.at(bound_multipliers, behind, np.array(result["lam_x"]).ravel())
        return _Answer(function.stats(), x, row_multipliers[: self.nlp.rows], bound_multipliers)

    def _judge(self, answer: _Answer, task: _Task, seconds: float) -> Outcome:
        scaling = task.scaling
        p = self.program.parameters(scaling, task.data)
        residuals = optimality(self.program, *answer[1:], p, scaling, task.lower, task.upper)
        return self._outcome(answer, task, float(self.program.values(answer.x, p)[0]), residuals, seconds)

    def _outcome(self, answer: _Answer, task: _Task, objective: float, residuals: Residuals, seconds: float) -> Outcome:
        stats, x, row_multipliers, bound_multipliers = answer
        scaling = task.scaling
        status = _status(stats, self.solver)
        if status.ok and not residuals.hold(self.solver.tolerance):
            status = Status.FAILED  # the flag says solved, the numbers do not
        return Outcome(
            status=status,
            w=x * scaling.columns,
            row_multipliers=row_multipliers * scaling.rows / scaling.objective,
            bound_multipliers=bound_multipliers / scaling.columns / scaling.objective,
            objective=objective / scaling.objective,
            iterations=int(stats.get("iter_count", -1)),
            seconds=seconds,
            message=str(stats.get("return_status", stats.get("unified_return_status", ""))),
            stationarity=residuals.stationarity,
            violation=residuals.violation,
            complementarity=residuals.complementarity,
        )


class _Task(NamedTuple):
    """One solve, unscaled: start, bounds, data."""

    w: Array
    scaling: Scaling
    lower: Array
    upper: Array
    data: Array | None


class _Answer(NamedTuple):
    """What a solver returned, scaled: its statistics, columns, multipliers of rows and of bounds."""

    stats: dict[str, Any]
    x: Array
    row_multipliers: Array
    bound_multipliers: Array


def _ipopt(program: Program, solver: Ipopt, manner: Manner) -> ca.Function:
    patience = {Manner.NEAR: _PATIENCE, Manner.WARM: _LITTLE_PATIENCE}.get(manner, solver.iterations)
    iterations = min(solver.iterations, patience)
    options: dict[str, Any] = {
        "tol": solver.tolerance,
        "max_iter": iterations,
        "max_wall_time": solver.seconds,
        "print_level": 0,
        "sb": "yes",
        "nlp_scaling_method": "none",
        "bound_relax_factor": 0.0,
        "diverging_iterates_tol": 1e12,  # in sizes: what is so far out runs away
        "neg_curv_test_tol": 1e-8,  # curvature is tested along the step: far fewer factorizations than by inertia
        "linear_solver": "mumps",
        "mumps_scaling": 8,  # the default choice can run MUMPS out of workspace again and again
    }
    pushes = ("bound_push", "bound_frac", "slack_bound_push", "slack_bound_frac")
    if manner is Manner.NEAR:
        options |= {"mu_strategy": "monotone", "mu_init": 1e-4, **dict.fromkeys(pushes, 1e-5)}
    elif manner is Manner.FAR:
        options |= {"mu_strategy": "adaptive"}
    else:
        options |= {"warm_start_init_point": "yes", "mu_strategy": "monotone", "mu_init": 1e-8}
        options |= dict.fromkeys(("warm_start_bound_push", "warm_start_bound_frac"), 1e-8)
        options |= dict.fromkeys(("warm_start_slack_bound_push", "warm_start_slack_bound_frac"), 1e-8)
        options |= {"warm_start_mult_bound_push": 1e-8}
    options |= dict(solver.options)
    x, p = program.arguments
    f, g = program.values(x, p)
    settings: dict[str, Any] = {
        "print_time": False,
        "show_eval_warnings": False,  # a line for every trial step that leaves where the model is defined
        "calc_lam_p": False,
        "error_on_fail": False,
        "grad_f": program.gradient,
        "jac_g": program.jacobian,
        "ipopt": options,
    }
    if options.get("hessian_approximation") != "limited-memory":
        settings["hess_lag"] = program.hessian
    return ca.nlpsol("titer", "ipopt", {"x": x, "p": p, "f": f, "g": g}, settings)


def _fatrop(program: Program, link: Chain, solver: Fatrop) -> ca.Function:
    x, p = program.arguments
    f, g = program.values(x, p)
    settings: dict[str, Any] = {
        "print_time": False,
        "show_eval_warnings": False,
        "calc_lam_p": False,
        "error_on_fail": False,
        "structure_detection": "manual",
        "N": link.stages - 1,
        "nx": link.nx,
        "nu": link.nu,
        "ng": link.ng,
        "equality": link.equality,
        "fatrop": {
            "print_level": 0,
            "tolerance": solver.tolerance,
            "max_iter": solver.iterations,
            "mu_init": 1e-1,
        }
        | dict(solver.options),
    }
    return ca.nlpsol("titer", "fatrop", {"x": x, "p": p, "f": f, "g": g}, settings)


def _status(stats: dict, solver: Ipopt | Fatrop) -> Status:
    text = str(stats.get("return_status", ""))
    if text == "User_Requested_Stop":
        return Status.INTERRUPTED
    if isinstance(solver, Fatrop):
        if stats.get("success"):
            return Status.SOLVED
        return Status.ITERATIONS if stats.get("iter_count", 0) >= solver.iterations else Status.FAILED
    return {
        "Solve_Succeeded": Status.SOLVED,
        "Solved_To_Acceptable_Level": Status.ACCEPTABLE,
        "Feasible_Point_Found": Status.SOLVED,
        "Infeasible_Problem_Detected": Status.INFEASIBLE,
        "Maximum_Iterations_Exceeded": Status.ITERATIONS,
        "Maximum_CpuTime_Exceeded": Status.TIME,
        "Maximum_WallTime_Exceeded": Status.TIME,
        "Invalid_Number_Detected": Status.INVALID_NUMBER,
        "Diverging_Iterates": Status.DIVERGED,
        "Not_Enough_Degrees_Of_Freedom": Status.TOO_FEW_FREEDOMS,
    }.get(text, Status.FAILED)


def _status_of(found: Found) -> Status:
    """How a reduced solve ended, by its numbers first."""
    worst = max(found.residuals)
    if found.end in (End.TIME, End.INTERRUPTED):
        return Status.TIME if found.end is End.TIME else Status.INTERRUPTED
    if worst <= NEARLY:
        return Status.SOLVED if worst <= ENOUGH else Status.ACCEPTABLE
    infeasible = found.residuals.violation > NEARLY
    ended = {End.ITERATIONS: Status.ITERATIONS, End.NOT_FINITE: Status.INVALID_NUMBER}
    return ended.get(found.end, Status.INFEASIBLE if infeasible else Status.FAILED)


def _check_solver(solver: Ipopt | Fatrop) -> None:
    name = type(solver).__name__
    for field_name in ("tolerance", "seconds"):
        value = getattr(solver, field_name, 1.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0.0:
            raise SpecificationError(f"{name}: {field_name} must be a positive number, got {value!r}.")
    if not is_whole(solver.iterations, 1):
        raise SpecificationError(f"{name}: iterations must be a whole number of at least 1, got {solver.iterations!r}.")
    if str(solver.options.get("linear_solver", "")).startswith("pardiso"):
        raise SpecificationError(f"{name}: linear_solver 'pardiso' of CasADi's wheel crashes the process; use 'mumps'.")
