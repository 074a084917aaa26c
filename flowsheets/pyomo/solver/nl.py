"""How does a Pyomo model reach the IPOPT inside CasADi? Through the text of an `.nl` file.

Pyomo writes the file, CasADi reads it, IPOPT solves it in this process (no executable), and the values
return to the model's Vars by the writer's own list of columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.collections import ComponentMap

from titer.flowsheets.pyomo.solver.writing import Written, written
from titer.numerics.ampl.solving import FEASIBLE, solve
from titer.numerics.errors import SolveError
from titer.numerics.nlp import Array


@dataclass(frozen=True)
class NlOutcome:
    """What came of a solve: a verdict from the numbers, the solver's word, and the multipliers.

    `duals[constraint]` follows Pyomo: the change of the objective, as the user wrote it, per unit of the
    constraint's active right-hand side. `seconds` has the keys write, read, create, solve and load. `violation`,
    `stationarity` and `complementarity` are recomputed from the solution, relative to numbers above one.
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
    program = written(model)
    limits = {"tol": tolerance, "max_iter": iterations}
    if seconds is not None:
        limits["max_wall_time"] = float(seconds)
    answer = solve(program.stub, limits, settings=options)
    began = perf_counter()
    success = answer.residuals.hold()
    objective = program.objective(answer.objective)
    load(program, answer.x)
    if success:
        confirm(program, objective)
    return NlOutcome(
        success=success,
        status=answer.status,
        objective=objective,
        iterations=answer.iterations,
        **answer.residuals._asdict(),
        seconds={**program.seconds, **answer.seconds, "load": perf_counter() - began},
        duals=ComponentMap(zip(program.info.constraints, program.duals(answer.rows).tolist(), strict=True)),
    )


def load(program: Written, x: Array) -> None:
    """Set the Vars to the solution, unless it is not finite."""
    values = program.values(x)
    if np.isfinite(values).all():
        for variable, value in zip(program.info.variables, values.tolist(), strict=True):
            variable.set_value(value, skip_validation=True)


def confirm(program: Written, objective: float) -> None:
    """Check that Pyomo evaluates the same objective: the reader's change of sign is not documented."""
    if not program.info.objectives:
        return
    declared = program.info.objectives[0]
    own = float(pyo.value(declared))
    if abs(objective - own) > FEASIBLE * max(1.0, abs(own)):
        raise SolveError(
            f"{declared.name}: Pyomo evaluates it to {own:.9g}, CasADi to {objective:.9g}.\n"
            "  The .nl file was not read as written; report this with the versions of casadi and pyomo."
        )
