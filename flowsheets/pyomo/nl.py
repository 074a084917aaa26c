"""How does a Pyomo model reach the IPOPT inside CasADi? Through the text of an `.nl` file.

Pyomo writes the file, CasADi reads it, IPOPT solves it in this process (no executable), and the values
return to the model's Vars by the writer's own list of columns.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import casadi
import numpy as np
import pyomo.environ as pyo
from pyomo.common.collections import ComponentMap
from pyomo.common.errors import InfeasibleConstraintException
from pyomo.repn.plugins.nl_writer import NLWriter, NLWriterInfo

from titer.numerics.errors import SolveError, SpecificationError

FEASIBLE = 1e-6  # largest violation of a row or bound, relative to its own size where that exceeds one
OPTIMAL = 1e-4  # largest stationarity and complementarity residual, relative to the largest multiplier above one


@dataclass(frozen=True)
class NlOutcome:
    """What came of a solve: a verdict from the numbers, the solver's word, and the multipliers.

    `duals[constraint]` follows Pyomo: the change of the objective, as the user wrote it, per unit of the
    constraint's active right-hand side. `seconds` has the keys write, read, create and solve. `violation`,
    `stationarity` and `complementarity` are recomputed from the solution, relative as the two constants say.
    """

    success: bool
    status: str
    objective: float
    iterations: int
    violation: float
    stationarity: float
    complementarity: float
    seconds: Mapping[str, float]
    duals: Mapping[Any, float]


def solve_pyomo(
    model: Any,
    tolerance: float = 1e-8,
    iterations: int = 3000,
    seconds: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> NlOutcome:
    """Solve a continuous Pyomo model by the IPOPT inside CasADi and load the solution into its Vars.

    `options` are CasADi's for `nlpsol` (`{"ipopt.mu_strategy": "adaptive"}`, `{"expand": False}`). A Var
    without a value starts at 0, whatever its bounds: initialize where a function is undefined there. A
    `scaling_factor` suffix is honoured. A Var that no active constraint or objective reads keeps its value.
    The last iterate is loaded also when the solve fails, unless it is not finite.

    Raises SpecificationError for integer variables, several objectives, no free variable, a constraint that
    fixed variables violate, and functions that CasADi's reader lacks.
    """
    clock = Stopwatch()
    with tempfile.TemporaryDirectory(prefix="titer-") as folder:
        path = Path(folder) / "model.nl"
        info = write(model, path)
        clock.lap("write")
        nlp = read(path)
    clock.lap("read")
    x, g = casadi.vcat(nlp.x), casadi.vcat(nlp.g)
    f = nlp.f if nlp.f.numel() else casadi.MX(0)  # a model without objective arrives as 0x0
    solver = casadi.nlpsol(
        "nl", "ipopt", {"x": x, "f": f, "g": g}, solver_options(tolerance, iterations, seconds, options or {})
    )
    clock.lap("create")
    result = solver(x0=nlp.x_init, lbx=nlp.x_lb, ubx=nlp.x_ub, lbg=nlp.g_lb, ubg=nlp.g_ub)
    clock.lap("solve")

    violation, stationarity, complementarity = judge(solver, nlp, result)
    success = violation <= FEASIBLE and max(stationarity, complementarity) <= OPTIMAL
    objective = objective_of(info, result)
    load(info, result)
    if success:
        confirm(info, objective)
    stats = solver.stats()
    return NlOutcome(
        success=success,
        status=stats["return_status"],
        objective=objective,
        iterations=stats["iter_count"],
        violation=violation,
        stationarity=stationarity,
        complementarity=complementarity,
        seconds=clock.seconds,
        duals=duals(info, result),
    )


def write(model: Any, path: Path) -> NLWriterInfo:
    """Write the model, refuse what CasADi would misread, and return the order of rows and columns."""
    try:
        with path.open("w") as stream, silent_suffixes(model):
            # Presolve would drop rows, and their duals with them.
            info = NLWriter().write(model, stream, linear_presolve=False)
    except InfeasibleConstraintException as error:
        raise SpecificationError(f"{model.name}: {error} Free one of its variables, or drop it.") from error
    discrete = [v.name for v in info.variables if not v.is_continuous()]
    if discrete:
        raise SpecificationError(
            f"{model.name}: IPOPT solves continuous problems, and there are discrete variables:"
            f" {', '.join(discrete)}.\n"
            "  Fix them, or relax them by TransformationFactory('core.relax_integer_vars')."
        )
    if len(info.objectives) > 1:  # the reader would take the last one
        names = ", ".join(o.name for o in info.objectives)
        raise SpecificationError(f"{model.name}: one active objective is expected; found {names}. Deactivate others.")
    if not info.variables:
        raise SpecificationError(f"{model.name}: no active constraint or objective reads a free Var. Unfix one.")
    if info.external_function_libraries:
        raise SpecificationError(f"{model.name}: compiled external functions cannot be read by CasADi.")
    return info


def read(path: Path) -> casadi.NlpBuilder:
    """Read the file into CasADi's symbols."""
    nlp = casadi.NlpBuilder()
    try:
        nlp.import_nl(str(path))
    except RuntimeError as error:
        raise SpecificationError(
            f"CasADi cannot read a function of this model: {str(error).splitlines()[-1].strip()}\n"
            "  Expr_if, asinh, acosh and atanh are not read. Write a smooth form, or log and sqrt."
        ) from error
    return nlp


def judge(solver: casadi.Function, nlp: casadi.NlpBuilder, result: Mapping[str, casadi.DM]) -> tuple[float, ...]:
    """Recompute feasibility, stationarity and complementarity; infinite where a number is not finite."""
    x, g, lam_x, lam_g = (np.asarray(result[k]).ravel() for k in ("x", "g", "lam_x", "lam_g"))
    gradient = solver.get_function("nlp_grad_f")(result["x"], [])[-1]
    jacobian = solver.get_function("nlp_jac_g")(result["x"], [])[-1]
    value = np.concatenate([x, np.asarray(solver.get_function("nlp_g")(result["x"], [])).ravel() if g.size else g])
    multiplier = np.concatenate([lam_x, lam_g])
    lower, upper = np.r_[nlp.x_lb, nlp.g_lb], np.r_[nlp.x_ub, nlp.g_ub]
    slope = np.asarray(gradient).ravel() + (np.asarray(jacobian.T @ result["lam_g"]).ravel() if g.size else 0) + lam_x
    if not (np.isfinite(value).all() and np.isfinite(multiplier).all() and np.isfinite(slope).all()):
        return np.inf, np.inf, np.inf
    size = np.maximum(1.0, np.where(lower == upper, np.abs(lower), np.abs(value)))
    violation = np.max(np.maximum(lower - value, value - upper) / size, initial=0.0)
    weight = max(1.0, float(np.max(np.abs(multiplier), initial=0.0)))
    movable = np.asarray(nlp.x_lb) != np.asarray(nlp.x_ub)  # IPOPT takes pinned variables out, without a multiplier
    # A multiplier may be nonzero only as far as its bound is touched; the smaller of the two is the residual.
    slack = np.minimum(np.maximum(multiplier, 0), np.abs(upper - value))
    slack = np.maximum(slack, np.minimum(np.maximum(-multiplier, 0), np.abs(value - lower)))
    return (
        float(violation),
        float(np.max(np.abs(slope[movable]), initial=0.0)) / weight,
        float(np.max(slack, initial=0.0)) / weight,
    )


def load(info: NLWriterInfo, result: Mapping[str, casadi.DM]) -> None:
    """Set the Vars to the solution, unless it is not finite."""
    values = np.asarray(result["x"]).ravel()
    if info.scaling:
        values = values / info.scaling.variables
    if np.isfinite(values).all():
        for variable, value in zip(info.variables, values.tolist(), strict=True):
            variable.set_value(value, skip_validation=True)


def objective_of(info: NLWriterInfo, result: Mapping[str, casadi.DM]) -> float:
    """Return the objective in the user's sense and scale."""
    return sense(info) * float(result["f"]) / (info.scaling.objectives[0] if info.scaling and info.objectives else 1.0)


def confirm(info: NLWriterInfo, objective: float) -> None:
    """Check that Pyomo evaluates the same objective: the reader's change of sign is not documented."""
    if not info.objectives:
        return
    own = float(pyo.value(info.objectives[0]))
    if abs(objective - own) > FEASIBLE * max(1.0, abs(own)):
        raise SolveError(
            f"{info.objectives[0].name}: Pyomo evaluates it to {own:.9g}, CasADi to {objective:.9g}.\n"
            "  The .nl file was not read as written; report this with the versions of casadi and pyomo."
        )


def duals(info: NLWriterInfo, result: Mapping[str, casadi.DM]) -> ComponentMap:
    """Turn the multipliers of a minimized f + lam g into changes of the objective per right-hand side."""
    values = -sense(info) * np.asarray(result["lam_g"]).ravel()
    if info.scaling:
        values *= np.asarray(info.scaling.constraints) / (info.scaling.objectives[0] if info.objectives else 1.0)
    return ComponentMap(zip(info.constraints, values.tolist(), strict=True))


def sense(info: NLWriterInfo) -> int:
    """Return -1 for a maximization, which CasADi's reader turns into a minimization without saying so."""
    return -1 if info.objectives and info.objectives[0].sense == pyo.maximize else 1


def solver_options(
    tolerance: float, iterations: int, seconds: float | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Collect a quiet IPOPT's options; the caller's come last and win.

    The file holds scalar operations only, so expanding them costs nothing: a solver for 3000 variables is
    created and run three times faster.
    """
    time = {} if seconds is None else {"ipopt.max_wall_time": float(seconds)}
    quiet = {"ipopt.print_level": 0, "ipopt.sb": "yes", "print_time": False, "expand": True}
    return quiet | {"ipopt.tol": tolerance, "ipopt.max_iter": iterations} | time | dict(options)


@contextmanager
def silent_suffixes(model: Any) -> Iterator[None]:
    """Keep suffixes out of the file, where CasADi refuses them; the writer itself applies scaling factors."""
    exported = [
        suffix
        for suffix in model.component_objects(pyo.Suffix, active=True)
        if suffix.export_enabled() and suffix.local_name != "scaling_factor"
    ]
    for suffix in exported:
        suffix.deactivate()
    try:
        yield
    finally:
        for suffix in exported:
            suffix.activate()


class Stopwatch:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        now = perf_counter()
        self.seconds[name], self._last = now - self._last, now
