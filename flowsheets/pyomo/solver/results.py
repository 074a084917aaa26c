"""What does Pyomo want to know of a solve? Its SolverResults: status, termination, bounds, a solution to load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pyomo.core.base.symbol_map import SymbolMap
from pyomo.opt import ProblemSense, SolutionStatus, SolverResults, SolverStatus, TerminationCondition
from pyomo.opt.results.solution import Solution

from titer.flowsheets.pyomo.solver.writing import Written
from titer.numerics.ampl.solving import Answer, End, runaways
from titer.numerics.ampl.undefined import undefined

_MISSED = 1e-6  # relative violation from which a row is named


class PyomoEnd(NamedTuple):
    """How Pyomo calls an end, and whether the last iterate is worth loading."""

    status: SolverStatus
    termination: TerminationCondition
    solution: SolutionStatus
    loads: bool


_OPTIMAL = PyomoEnd(SolverStatus.ok, TerminationCondition.optimal, SolutionStatus.optimal, True)
_ERROR = PyomoEnd(SolverStatus.error, TerminationCondition.internalSolverError, SolutionStatus.error, False)
_TIME = PyomoEnd(SolverStatus.warning, TerminationCondition.maxTimeLimit, SolutionStatus.stoppedByLimit, True)
_ENDS = {
    End.OPTIMAL: _OPTIMAL,
    End.ACCEPTABLE: _OPTIMAL,
    End.FEASIBLE: _OPTIMAL,
    End.INFEASIBLE: PyomoEnd(SolverStatus.warning, TerminationCondition.infeasible, SolutionStatus.infeasible, True),
    End.UNBOUNDED: PyomoEnd(SolverStatus.warning, TerminationCondition.unbounded, SolutionStatus.unbounded, False),
    End.ITERATIONS: PyomoEnd(
        SolverStatus.warning, TerminationCondition.maxIterations, SolutionStatus.stoppedByLimit, True
    ),
    End.CPU_TIME: _TIME,
    End.WALL_TIME: _TIME,
    End.INTERRUPTED: PyomoEnd(
        SolverStatus.aborted, TerminationCondition.userInterrupt, SolutionStatus.stoppedByLimit, True
    ),
    End.TOO_FEW_FREEDOMS: PyomoEnd(SolverStatus.warning, TerminationCondition.other, SolutionStatus.unknown, False),
    End.NOT_FINITE: PyomoEnd(SolverStatus.error, TerminationCondition.error, SolutionStatus.error, False),
}


def end_of(end: End) -> PyomoEnd:
    """How Pyomo calls an end."""
    return _ENDS.get(end, _ERROR)


def results_of(program: Written, answer: Answer, undefined: str = "") -> SolverResults:
    """Pyomo's results, without a solution; `undefined`: where a number was not finite at the start."""
    end = end_of(answer.end)
    results = _about(program)
    value = program.objective(answer.objective)
    if answer.end.ok and program.info.objectives:
        if program.sense > 0:
            results.problem.upper_bound = value
        else:
            results.problem.lower_bound = value
    solver = results.solver
    solver.status, solver.termination_condition = end.status, end.termination
    solver.id, solver.error_rc = answer.end.code, 0
    solver.message = _plain(undefined or _message(program, answer))
    solver.statistics.black_box.number_of_iterations = answer.iterations
    return results


def proven_infeasible(model: Any, said: str, seconds: float) -> SolverResults:
    """Results for a model whose infeasibility needs no solve."""
    results = SolverResults()
    results.problem.name = model.name
    results.solver.status = SolverStatus.warning
    results.solver.termination_condition = TerminationCondition.infeasible
    results.solver.message = _plain(said)
    results.solver.id, results.solver.time = End.INFEASIBLE.code, seconds
    return results


def with_solution(results: SolverResults, program: Written, answer: Answer, suffixes: Sequence[str]) -> None:
    """Put the solution into the results, for `model.solutions.load_from(results)`."""
    solution, symbols = Solution(), SymbolMap()
    solution.status = end_of(answer.end).solution
    solution.message = results.solver.message
    lower, upper = program.bound_duals(answer.bounds)
    more = {"ipopt_zL_out": lower, "ipopt_zU_out": upper, "rc": lower + upper}
    more = {name: values for name, values in more.items() if name in suffixes}
    for i, (variable, value) in enumerate(zip(program.info.variables, program.values(answer.x).tolist(), strict=True)):
        symbols.addSymbol(variable, f"v{i}")
        solution.variable[f"v{i}"] = {"Value": value, **{name: float(each[i]) for name, each in more.items()}}
    duals = program.duals(answer.rows).tolist()
    for i, constraint in enumerate(program.info.constraints):
        symbols.addSymbol(constraint, f"c{i}")
        if "dual" in suffixes:
            solution.constraint[f"c{i}"] = {"Dual": duals[i]}
    if program.info.objectives:
        objective = program.info.objectives[0]
        symbols.addSymbol(objective, "o0")
        solution.objective["o0"] = {"Value": program.objective(answer.objective)}
    results.solution.insert(solution)
    solution.symbol_map = symbols
    results._smap, results._smap_id = symbols, id(symbols)


def missed_rows(program: Written, x: np.ndarray, most: int = 3) -> list[tuple[str, float]]:
    """Constraints that are violated most at scaled columns, relative to their sizes, with their violations."""
    if not program.info.constraints:
        return []
    values = np.array(program.stub.functions(x)[1]).ravel()
    stub = program.stub
    beyond = np.maximum(0.0, np.maximum(stub.row_lower - values, values - stub.row_upper))
    beyond = np.where(np.isfinite(values), beyond, np.inf)
    finite = np.where(np.isfinite(stub.row_lower), np.abs(stub.row_lower), 0.0)
    finite = np.maximum(finite, np.where(np.isfinite(stub.row_upper), np.abs(stub.row_upper), 0.0))
    share = beyond / np.maximum(1.0, finite)
    own = beyond / program.sizes[1]
    order = [i for i in np.argsort(-share, kind="stable")[:most] if share[i] > _MISSED]
    return [(program.info.constraints[i].name, float(own[i])) for i in order]


def undefined_in(program: Written, x: np.ndarray) -> str:
    """What is not finite, at the start or at scaled columns, and which variables in it were never given a value."""
    said, found, at_start = undefined(program.stub, program.column_names(), program.row_names(), x)
    read = {name for name, _ in found.values} if found is not None else set()
    empty = [v.name for v in program.info.variables if v.value is None and v.name in read]
    hint = ""
    if empty:
        hint = f"Uninitialized, so started at 0: {', '.join(empty)}. Give each a value, or bounds that exclude 0."
    elif at_start:
        hint = "Initialize the variables where the functions are defined, or bound them there."
    return f"{program.model.name}: {said} {hint}".strip()


def _about(program: Written) -> SolverResults:
    results, info = SolverResults(), program.info
    results.problem.name = program.model.name
    results.problem.number_of_variables = len(info.variables)
    results.problem.number_of_constraints = len(info.constraints)
    results.problem.number_of_objectives = len(info.objectives)
    results.problem.sense = ProblemSense.maximize if program.sense < 0 else ProblemSense.minimize
    return results


def _message(program: Written, answer: Answer) -> str:
    """IPOPT's words, with the components that matter."""
    said = f"Ipopt (titer): {answer.end.message}"
    if answer.end is End.UNBOUNDED:
        away = [program.info.variables[i].name for i in runaways(program.stub, answer.x)[:3]]
        return f"{said} Running away: {', '.join(away)}." if away else said
    if answer.end is End.TOO_FEW_FREEDOMS:
        return f"{said} {len(program.info.constraints)} constraints, {len(program.info.variables)} variables."
    if answer.end is End.FAILED:
        said = f"{said} ({answer.status})"
    if answer.end.ok or not answer.finite:
        return said
    missed = [f"{name} by {amount:.3g}" for name, amount in missed_rows(program, answer.x)]
    hint = " titer.flowsheets.pyomo.explain(model) says what must give." if answer.end is End.INFEASIBLE else ""
    return f"{said} Missed: {', '.join(missed)}.{hint}" if missed else said


def _plain(text: str) -> str:
    """One line, without the colon that would break Pyomo's printed results."""
    return " ".join(text.split()).replace(":", "\\x3a")
