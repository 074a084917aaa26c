"""How does Pyomo solve by titer's IPOPT? `SolverFactory("titer.ipopt")`, registered when this module is imported.

It is used like Pyomo's own `ipopt`, but needs no executable: the model is written, read by CasADi and solved in this
process. Duals and bound multipliers return to the model's Suffixes in Pyomo's signs.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import casadi as ca
import numpy as np
from pyomo.common.collections import Bunch
from pyomo.contrib.solver.common.util import NoOptimalSolutionError
from pyomo.core.base.suffix import active_export_suffix_generator, active_import_suffix_generator
from pyomo.core.staleflag import StaleFlagManager
from pyomo.opt import SolverFactory
from pyomo.opt.base.solvers import OptSolver

from titer.flowsheets.pyomo.solver.nl import confirm, load
from titer.flowsheets.pyomo.solver.results import end_of, proven_infeasible, results_of, undefined_in, with_solution
from titer.flowsheets.pyomo.solver.writing import ProvenInfeasibleError, Written, written
from titer.numerics.ampl.options import ipopt_options
from titer.numerics.ampl.solving import Answer, End, solve
from titer.numerics.ampl.version import ipopt_version
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.nlp import Array

logger = logging.getLogger("pyomo.core")
NAME = "titer.ipopt"
_WARM = {
    "warm_start_init_point": "yes",
    "warm_start_bound_push": 1e-6,
    "warm_start_mult_bound_push": 1e-6,
    "mu_init": 1e-6,
}  # as Pyomo's own warm-start example sets them


@SolverFactory.register(NAME, doc="IPOPT from CasADi's wheel, in this process (titer)")
class TiterIpopt(OptSolver):
    """Pyomo's interface to the IPOPT inside CasADi. `options` are IPOPT's, by its names; they stay from solve to solve.

    A Var without a value starts at 0, as in Pyomo's own. A `scaling_factor` Suffix is honoured always. Models with
    integer variables, several objectives, or functions that CasADi does not read are refused by name.
    """

    def __init__(self, **given: Any) -> None:
        OptSolver.__init__(self, **{**given, "type": NAME, "name": given.get("name", NAME)})
        self._capabilities = Bunch(
            linear=True, integer=False, quadratic_objective=True, quadratic_constraint=True, sos1=False, sos2=False
        )

    def available(self, exception_flag: bool = True) -> bool:
        """Whether CasADi's wheel holds IPOPT; it always does."""
        return bool(ca.has_nlpsol("ipopt"))

    def license_is_valid(self) -> bool:
        """IPOPT and MUMPS are free."""
        return True

    def warm_start_capable(self) -> bool:
        """`solve(warmstart=True)` starts from the multipliers of the Suffixes as well."""
        return True

    def _get_version(self) -> tuple[int, ...]:
        return ipopt_version()

    def has_linear_solver(self, linear_solver: str) -> bool:
        """Whether IPOPT can use this linear solver here."""
        x = ca.SX.sym("x")
        options = {"ipopt.linear_solver": linear_solver, "ipopt.print_level": 0, "ipopt.sb": "yes", "print_time": False}
        try:
            ipopt_options({"linear_solver": linear_solver})
            solver = ca.nlpsol("probe", "ipopt", {"x": x, "f": (x - 2) ** 2}, options)
            solver(x0=0)
        except (RuntimeError, SpecificationError):
            return False
        return bool(solver.stats()["success"])

    def solve(
        self,
        model: Any,
        tee: bool = False,
        load_solutions: bool = True,
        options: Mapping[str, Any] | None = None,
        timelimit: float | None = None,
        warmstart: bool = False,
        logfile: str | None = None,
        keepfiles: bool = False,
        symbolic_solver_labels: bool = False,
        raise_exception_on_nonoptimal_result: bool = False,
        suffixes: Sequence[str] = (),
        options_string: str = "",
        solver_options: Mapping[str, Any] | None = None,
        report_timing: bool = False,
    ) -> Any:
        """Solve a model and return Pyomo's SolverResults.

        `tee` prints IPOPT's log, `logfile` writes it, `timelimit` is in seconds of wall time, `options` are added to
        `self.options` for this solve. With `warmstart` multipliers are read from the Suffixes ipopt_zL_in (or _out),
        ipopt_zU_in (or _out) and dual. `keepfiles` leaves the .nl file and logs where. Names of components are in all
        messages; `symbolic_solver_labels` changes nothing.

        Raises SpecificationError for what cannot be solved and for an option that IPOPT does not know; SolveError for
        a function that is not finite and where IPOPT fails (with load_solutions=False these are results);
        NoOptimalSolutionError where asked to.
        """
        began = perf_counter()
        chosen = {**self.options, **self._options_string_to_dict(options_string), **(options or {})}
        chosen = ipopt_options({**chosen, **(solver_options or {})})
        try:
            program = written(model, _kept(model) if keepfiles else None)
        except ProvenInfeasibleError as error:
            results = proven_infeasible(model, str(error), perf_counter() - began)
            return _handed(results, load_solutions, raise_exception_on_nonoptimal_result)
        _talk(chosen, tee, logfile, timelimit)
        if warmstart:
            chosen = _WARM | chosen
        answer = solve(program.stub, chosen, _multipliers(program) if warmstart else None)
        if answer.end is End.BAD_OPTION:
            raise _bad_option(chosen)
        said = undefined_in(program, answer.x) if answer.end is End.NOT_FINITE else ""

        started = perf_counter()
        results = results_of(program, answer, said)
        imported = dict.fromkeys([*(name for name, _ in active_import_suffix_generator(model)), *suffixes])
        if end_of(answer.end).loads and answer.finite:
            if load_solutions:
                StaleFlagManager.mark_all_as_stale(delayed=True)
                load(program, answer.x)
                _load_suffixes(program, answer)
                if answer.end.ok:
                    confirm(program, program.objective(answer.objective))
            else:
                with_solution(results, program, answer, list(imported))
        results.solver.time = results.solver.wallclock_time = perf_counter() - began
        results.timing_info = {**program.seconds, **answer.seconds, "load": perf_counter() - started}
        if report_timing:
            for part, seconds in results.timing_info.items():
                logger.info("%8.3f seconds required to %s", seconds, part)
        return _handed(results, load_solutions, raise_exception_on_nonoptimal_result)


def _talk(chosen: dict[str, Any], tee: bool, logfile: str | None, timelimit: float | None) -> None:
    """Options that make IPOPT speak, write, and stop in time."""
    if not tee:
        chosen["print_level"] = 0
    else:
        chosen.setdefault("print_level", 5)
    if logfile is not None:
        chosen["output_file"] = str(logfile)
        chosen.setdefault("file_print_level", 5)
    if timelimit is not None:
        chosen["max_wall_time"] = float(timelimit)
    if chosen.get("nlp_scaling_method") == "user-scaling":
        chosen["nlp_scaling_method"] = "none"  # the user's factors are in the problem already


def _bad_option(chosen: Mapping[str, Any]) -> SpecificationError:
    solver = chosen.get("linear_solver", "mumps")
    return SpecificationError(
        f"{NAME}: IPOPT cannot use linear_solver={solver!r}.\n  CasADi's wheel holds 'mumps' and 'spral', not HSL."
    )


def _kept(model: Any) -> Path:
    path = Path(tempfile.mkdtemp(prefix="titer-")) / "model.nl"
    logger.warning("The problem file of %s is kept in %s", model.name, path)
    return path


def _multipliers(program: Written) -> tuple[Array, Array]:
    """Multipliers of bounds and rows from the model's Suffixes, as IPOPT has them; 0 where there are none."""
    found = dict(active_export_suffix_generator(program.model))
    found = {**dict(active_import_suffix_generator(program.model)), **found}
    columns, factors, factor = program.sizes

    def read(names: Sequence[str], components: Sequence[Any]) -> Array:
        suffix: Mapping[Any, Any] = next((found[name] for name in names if name in found and len(found[name])), {})
        return np.array([float(suffix.get(c) or 0.0) for c in components])

    lower = program.sense * read(("ipopt_zL_in", "ipopt_zL_out"), program.info.variables)
    upper = -program.sense * read(("ipopt_zU_in", "ipopt_zU_out"), program.info.variables)
    rows = -program.sense * read(("dual",), program.info.constraints)
    return (upper - lower) * factor / columns, rows * factor / factors


def _load_suffixes(program: Written, answer: Answer) -> None:
    """Duals and bound multipliers into the model's import Suffixes; what else is imported becomes empty."""
    lower, upper = program.bound_duals(answer.bounds)
    variables, constraints = program.info.variables, program.info.constraints
    given = {
        "dual": lambda: zip(constraints, program.duals(answer.rows).tolist(), strict=True),
        "rc": lambda: zip(variables, (lower + upper).tolist(), strict=True),
        "ipopt_zL_out": lambda: zip(variables, lower.tolist(), strict=True),
        "ipopt_zU_out": lambda: zip(variables, upper.tolist(), strict=True),
    }
    for name, suffix in active_import_suffix_generator(program.model):
        if name in given:
            suffix.clear()
            suffix.update(given[name]())


def _handed(results: Any, load_solutions: bool, raises: bool) -> Any:
    """The results, with the warning that Pyomo gives where a solution is loaded that is not optimal."""
    if results.solver.status != "ok":
        if raises:
            raise NoOptimalSolutionError(str(results.solver.message))
        if load_solutions and results.solver.status == "error":  # Pyomo's words, which its own algorithms look for
            raise SolveError(f"{_said(results)}\n  Cannot load a SolverResults object with bad status: error", results)
        if load_solutions:
            logger.warning(
                "Loading a SolverResults object with a warning status into model.name=%r;\n"
                "  - termination condition: %s\n  - message from solver: %s",
                str(results.problem.name), results.solver.termination_condition, results.solver.message,
            )  # fmt: skip
    return results


def _said(results: Any) -> str:
    return str(results.solver.message).replace("\\x3a", ":")
