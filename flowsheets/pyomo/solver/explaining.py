"""Why was a Pyomo model not solved? In the names of its components: the least that must give, or what is not finite.

Limits get slacks and their sum, relative to their sizes, is least; equations give only where limits alone do not
suffice. Then, as another way out, the constraints are kept and the bounds of variables give.
Method: L1 elastic relaxation (Chinneck, Feasibility and Infeasibility in Optimization, Springer 2008, chapter 6).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.pyomo.solver.results import missed_rows, undefined_in
from titer.flowsheets.pyomo.solver.writing import ProvenInfeasibleError, Written, written
from titer.numerics.ampl.solving import Answer, pushed, solve
from titer.numerics.ampl.stub import Stub
from titer.numerics.ampl.undefined import nonfinite_at
from titer.numerics.explaining.elastic import SMALL, Relaxed, Slack
from titer.numerics.explaining.explanation import Explanation, Verdict
from titer.numerics.nlp import Array
from titer.numerics.solvers import Outcome, Status

_LISTED = 4
_PULL = 1e-3  # strength, relative to the strongest, from which a limit is said to stand in the way
_OPTIONS = {"tol": 1e-7, "max_iter": 500, "max_wall_time": 60.0}


def explain(model: Any, results: Any = None) -> Explanation:
    """Why a solve of a model ended as it did; printed, it is a short report. The model is not changed.

    `results`: what the solve returned, where there is one. The model's values are where the search begins.
    `relaxation`: the least change of constraints that makes the model feasible; `alternative`: the least change of
    bounds of variables that does, with all constraints kept.

    Raises SpecificationError for a model that cannot be read.
    """
    try:
        program = written(model)
    except ProvenInfeasibleError as error:
        return Explanation(Verdict.MODEL_INFEASIBLE, f"{error}")
    ended = "" if results is None else str(results.solver.termination_condition)
    if ended == "optimal":
        return Explanation(Verdict.SOLVED, f"{model.name} is solved.", tuple(_holding(program)))
    if ended == "unbounded":
        said = str(results.solver.message).replace("\\x3a", ":")
        return Explanation(Verdict.UNBOUNDED, said, ("Give what runs away a bound, or a cost.",))
    stub = replace(program.stub, start=pushed(program.stub))
    if nonfinite_at(stub, program.column_names(), program.row_names(), stub.start) is not None:
        return Explanation(Verdict.NOT_FINITE, undefined_in(program, stub.start))
    return _of_limits(program, stub)


def _of_limits(program: Written, stub: Stub) -> Explanation:
    missed = tuple((name, amount, "") for name, amount in missed_rows(program, program.stub.start))
    every = list(_of_rows(program, stub))
    limits = [(i, slack) for i, slack in every if stub.row_lower[i] < stub.row_upper[i]]
    slacks, answer = limits, _relaxed(stub, limits, rows=True) if limits else None
    if answer is None and len(every) > len(limits):
        slacks, answer = every, _relaxed(stub, every, rows=True)
    if answer is None:
        headline = f"{program.model.name} was not solved, and no values were found from here that nearly meet it"
        return Explanation(Verdict.UNEXPLAINED, headline, (), missed)
    found = _changes(program, stub, slacks, answer)
    if found.none:
        return Explanation(
            Verdict.BAD_START,
            f"{program.model.name} is feasible, but was not solved from its start",
            ("`relaxation.w` holds values of its variables, in the order of the .nl file, that meet it.",),
            missed,
            found,
        )
    others = _in_the_way(program, stub, slacks, answer)
    first = next(c for c in program.info.constraints if c.name == found.changes[0][0].text)
    equations = {c.name for c in program.info.constraints if c.equality}
    together = f" together with {' and '.join(others[:2])}" if others else ""
    lines = ["the least change of constraints that makes it feasible:", *_lines(found, equations)]
    lines += [f"in its way: {other}" for other in others[:_LISTED]]
    alternative = _of_bounds(program, stub, answer.x[: len(stub.start)])
    if alternative is not None and not alternative.none:
        lines += ["or, with all constraints kept:", *_lines(alternative, set())]
    headline = (
        f"{program.model.name}: no values of its variables meet {_side(first, found.changes[0][0].upper)}{together}"
    )
    return Explanation(Verdict.MODEL_INFEASIBLE, headline, tuple(lines), missed, found, alternative)


def _of_rows(program: Written, stub: Stub) -> Iterator[tuple[int, Slack]]:
    """A slack for each finite side of each row, in the row's scaled size."""
    jacobian = stub.functions.jacobian()(stub.start, 0, 0)[1] if len(stub.row_lower) else ca.DM(0, len(stub.start))
    terms = np.abs(np.array(jacobian.nonzeros()) * stub.start[np.array(jacobian.sparsity().get_col(), dtype=int)])
    sizes = np.zeros(len(stub.row_lower))
    np.maximum.at(sizes, np.array(jacobian.sparsity().row(), dtype=int), terms)
    for i, constraint in enumerate(program.info.constraints):
        size = max([sizes[i], *(abs(b) for b in (stub.row_lower[i], stub.row_upper[i]) if np.isfinite(b))]) or 1.0
        for upper, bound in ((False, stub.row_lower[i]), (True, stub.row_upper[i])):
            if np.isfinite(bound):
                own = constraint.ub if upper else constraint.lb
                yield i, Slack(constraint.name, upper, float(own), float(size))


def _of_bounds(program: Written, stub: Stub, x: Array) -> Relaxed | None:
    """The least change of variables' bounds with which all rows hold."""
    columns = program.sizes[0]
    slacks = []
    for j, variable in enumerate(program.info.variables):
        size = max([abs(x[j]), *(abs(b) for b in (stub.lower[j], stub.upper[j]) if np.isfinite(b))]) or 1.0
        for upper, bound in ((False, stub.lower[j]), (True, stub.upper[j])):
            if np.isfinite(bound):
                slacks.append((j, Slack(variable.name, upper, float(bound / columns[j]), float(size))))
    answer = _relaxed(replace(stub, start=x), slacks, rows=False) if slacks else None
    return None if answer is None else _changes(program, stub, slacks, answer, rows=False)


def _relaxed(stub: Stub, slacks: Sequence[tuple[int, Slack]], rows: bool) -> Answer | None:
    """The answer of the elastic problem, columns first, then slacks; None where it was not solved."""
    n, m, count = len(stub.start), len(stub.row_lower), len(slacks)
    sizes = np.array([slack.size for _, slack in slacks])
    signs = np.array([-1.0 if slack.upper else 1.0 for _, slack in slacks])
    places = [i for i, _ in slacks]
    relax = ca.DM.triplet(places, list(range(count)), ca.DM(signs), m if rows else n, count)
    x, s = ca.SX.sym("x", n), ca.SX.sym("s", count)  # slacks are in units of their sizes
    value, g = stub.functions(x)[1] if rows else x, stub.functions(x)[1]
    elastic = value + relax @ (ca.DM(sizes) * s)
    here = np.array(stub.functions(stub.start)[1]).ravel() if rows else stub.start
    bounds = (stub.row_lower, stub.row_upper) if rows else (stub.lower, stub.upper)
    needed = [max(0.0, here[i] - bounds[1][i] if k.upper else bounds[0][i] - here[i]) / k.size for i, k in slacks]
    free = np.full(n, np.inf)
    problem = Stub(
        x=ca.vertcat(x, s),
        f=ca.sum1(s),
        g=elastic if rows else ca.vertcat(g, elastic),
        lower=np.r_[stub.lower if rows else -free, np.zeros(count)],
        upper=np.r_[stub.upper if rows else free, np.full(count, np.inf)],
        row_lower=stub.row_lower if rows else np.r_[stub.row_lower, stub.lower],
        row_upper=stub.row_upper if rows else np.r_[stub.row_upper, stub.upper],
        start=np.r_[stub.start, np.array(needed) + 1e-2],
    )
    for manner in ({}, {"mu_strategy": "adaptive"}):
        answer = solve(problem, {**_OPTIONS, **manner})
        if answer.end.ok:
            return answer
    return None


def _changes(
    program: Written, stub: Stub, slacks: Sequence[tuple[int, Slack]], answer: Answer, rows: bool = True
) -> Relaxed:
    """The slacks that are used, the largest first, in the user's units."""
    n = len(stub.start)
    factors = program.sizes[1] if rows else program.sizes[0]
    shares = answer.x[n:]
    used = [
        k for k in np.argsort(-shares, kind="stable") if shares[k] > 1e-3 * shares.sum() and shares[k] > 1e-2 * SMALL
    ]
    changes = tuple((slacks[k][1], float(shares[k] * slacks[k][1].size / factors[slacks[k][0]])) for k in used)
    outcome = Outcome(
        Status.SOLVED, answer.x, answer.rows, answer.bounds, answer.objective, answer.iterations,
        sum(answer.seconds.values()), answer.status, answer.residuals.stationarity, answer.residuals.violation,
        answer.residuals.complementarity,
    )  # fmt: skip
    return Relaxed(changes, float(shares.sum()), program.values(answer.x[:n]), outcome)


def _in_the_way(program: Written, stub: Stub, slacks: Sequence[tuple[int, Slack]], answer: Answer) -> list[str]:
    """Constraints and bounds that pull at the relaxed optimum without giving, the strongest first."""
    n = len(stub.start)
    shares = answer.x[n:]
    gives = {i for (i, _), share in zip(slacks, shares, strict=True) if share > 1e-3 * shares.sum()}
    sizes = {i: slack.size for i, slack in slacks}
    found = [
        (abs(pull) * sizes.get(i, 1.0), _side(program.info.constraints[i], pull > 0.0))
        for i, pull in enumerate(answer.rows)
        if i not in gives and pull != 0.0
    ]
    found += [
        (abs(pull) * max(1.0, abs(answer.x[j])), _side(program.info.variables[j], pull > 0.0))
        for j, pull in enumerate(answer.bounds[:n])
        if pull != 0.0
    ]
    strongest = max((strength for strength, _ in found), default=0.0)
    kept = [pair for pair in found if pair[0] > _PULL * max(strongest, 1e-3)]
    return [text for _, text in sorted(kept, key=lambda pair: -pair[0])]


def _holding(program: Written) -> Iterator[str]:
    """Limits and bounds that the model's values touch."""
    stub = program.stub
    values = np.array(stub.functions(stub.start)[1]).ravel()
    both = (
        (program.info.constraints, values, stub.row_lower, stub.row_upper),
        (program.info.variables, stub.start, stub.lower, stub.upper),
    )
    for components, here, lower, upper in both:
        for i, component in enumerate(components):
            for bound, is_upper in ((lower[i], False), (upper[i], True)):
                if lower[i] < upper[i] and np.isfinite(bound) and abs(here[i] - bound) <= 1e-6 * max(1.0, abs(bound)):
                    yield f"held by {_side(component, is_upper)}"


def _side(component: Any, upper: bool) -> str:
    if component.lb is not None and component.lb == component.ub:
        return f"{component.name} (equal to {component.ub:.6g})"
    bound = component.ub if upper else component.lb
    return component.name if bound is None else f"{component.name} (at {'most' if upper else 'least'} {bound:.6g})"


def _lines(found: Relaxed, equations: set[str]) -> list[str]:
    lines = []
    for slack, amount in found.changes[:_LISTED]:
        to = slack.bound + amount if slack.upper else slack.bound - amount
        side = "right-hand side" if slack.text in equations else f"{'upper' if slack.upper else 'lower'} limit"
        lines.append(f"  {slack.text}: {side} from {slack.bound:.6g} to {to:.6g} (by {amount:.3g})")
    return lines
