"""What is the index of a DAE, and how is it reduced? Equations are differentiated until all is determined.

An equation 0 = g that holds states without an algebraic variable left to determine is differentiated along the
solution, dg/dt + dg/dx f + dg/dz z', until algebraic variables appear. The equation itself becomes an *invariant*: true
at a consistent start, kept by projection. All states and names stay; derivatives of algebraic variables that are needed
become algebraic variables, called "der(name)".

Sources: Pantelides, SIAM J. Sci. Stat. Comput. 9 (1988) 213; Mattsson & Soederlind, SIAM J. Sci. Comput. 14 (1993) 677.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import casadi as ca
import numpy as np

from titer.numerics.dae import Array, Dae, Variable, sizes_of
from titer.numerics.errors import FlowsheetError
from titer.numerics.structure import complaints, listed, matching, reached, structure

_HIGHEST = 8  # index up to which equations are differentiated
_SINGULAR = 1e-12  # a singular value below this fraction of the largest is none
_TAKES_PART = 0.1  # entries of a null vector from this fraction of its largest count


@dataclass(frozen=True)
class Index:
    """The structural index of a DAE, and why it is what it is.

    `index`: 0 for an ODE, 1 where the algebraic equations determine the algebraic variables, above that the number of
    differentiations that lead to an ODE. `differentiated`: equations with how many times. `inputs`: those that would
    have to be differentiated as well. `constrained`: states that the equations hold. `text`: all that in words.
    """

    index: int
    differentiated: dict[str, int]
    inputs: tuple[str, ...]
    constrained: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Singular:
    """Equations that depend on each other at a point, and variables that they leave undetermined there."""

    equations: tuple[str, ...]
    variables: tuple[str, ...]

    @property
    def text(self) -> str:
        who = f"{listed(self.equations)} {'depend' if len(self.equations) > 1 else 'depends'}"
        how = "on each other there" if len(self.equations) > 1 else "on no algebraic variable there"
        return f"{who} {how}, and {'leave' if len(self.equations) > 1 else 'leaves'} {listed(self.variables)} open"


def index_of(dae: Dae) -> Index:
    """The structural index of a DAE. Raises FlowsheetError where no number of differentiations determines it all."""
    work = _differentiated(dae)
    times = {dae.equations[i]: len(levels) - 1 for i, levels in enumerate(work.equations) if len(levels) > 1}
    index = 1 + max(times.values(), default=0) if dae.algebraics else 0
    inputs = tuple(v.name for v in dae.inputs if v.name in work.inputs)
    held = _read_by([level for i, levels in enumerate(work.equations) for level in levels[:-1]], work.x)
    constrained = tuple(dae.states[k].name for k in held)
    return Index(index, times, inputs, constrained, _explained(dae, work, index))


def reduced(dae: Dae) -> Dae:
    """The same model with index 1 (or itself, where it has that): more algebraic variables, and invariants.

    Raises FlowsheetError where an input would have to be differentiated, or differentiating leads to no end.
    """
    work = _differentiated(dae)
    if not any(len(levels) > 1 for levels in work.equations):
        return dae
    if work.inputs:
        raise FlowsheetError(_refused(dae, work))
    kept, invariants = _chosen(work)
    extra = [symbol for levels in work.unknowns for symbol in levels[1:]]
    z = ca.vertcat(*(levels[0] for levels in work.unknowns), *extra)
    point = [work.t, work.x, z, work.u, work.p]
    rows = [work.equations[i][k] for i, k in kept]
    return replace(
        dae,
        function=ca.Function("plant", point, [work.rate, ca.vertcat(*rows), work.output]),
        algebraics=(*dae.algebraics, *_derivatives(dae, work)),
        equations=tuple(_derived(dae.equations[i], k) for i, k in kept),
        invariants=ca.Function("invariants", point, [ca.vertcat(*(work.equations[i][k] for i, k in invariants))]),
        invariant_names=tuple(_derived(dae.equations[i], k) for i, k in invariants),
    )


def numerically_singular(dae: Dae, t: float, x: Array, z: Array, u: Array, p: Array) -> Singular | None:
    """Whether the algebraic equations fail to determine the algebraic variables at a point, and which of them.

    dg/dz is judged in sizes of the variables, rows scaled to 1. None where it is regular, or not finite.
    """
    if not dae.algebraics:
        return None
    slope = np.array(_slope_of(dae)(t, x, z, u, p)) * np.maximum(sizes_of(dae.algebraics), np.abs(z))
    if not np.isfinite(slope).all():
        return None
    rows = np.abs(slope).max(axis=1)
    left, values, right = np.linalg.svd(slope / np.where(rows > 0.0, rows, 1.0)[:, None])
    if values[-1] > _SINGULAR * max(values[0], 1e-300):
        return None
    equations, variables = dae.equations, [v.name for v in dae.algebraics]
    return Singular(
        tuple(equations[i] for i in _largest(left[:, -1])), tuple(variables[j] for j in _largest(right[-1]))
    )


def _slope_of(dae: Dae) -> ca.Function:
    symbols = [ca.SX.sym("a", n) for n in (1, *dae.sizes)]
    return ca.Function("slope", symbols, [ca.densify(ca.jacobian(dae.function(*symbols)[1], symbols[2]))])


def _largest(vector: Array) -> list[int]:
    size = np.abs(vector)
    return [int(i) for i in np.argsort(-size) if size[i] >= _TAKES_PART * size.max()]


@dataclass(frozen=True, eq=False)
class _Work:
    """Equations and algebraic variables, each with its derivatives so far, on the symbols they are written in."""

    t: ca.SX
    x: ca.SX
    u: ca.SX
    p: ca.SX
    rate: ca.SX
    output: ca.SX
    equations: list[list[ca.SX]]  # one list an equation: itself, its first derivative, ...
    unknowns: list[list[ca.SX]]  # one list an algebraic variable: itself, its first derivative, ...
    inputs: set[str] = field(default_factory=set)  # those that would have to be differentiated
    steps: dict[int, tuple[set[int], set[int]]] = field(default_factory=dict)  # by the equation it began with

    def pattern(self, depth: int = 0) -> Array:
        """Which equations contain which variables, `depth` below their highest derivatives; False where none is."""
        found = np.zeros((len(self.equations), len(self.unknowns)), dtype=bool)
        rows = [i for i, levels in enumerate(self.equations) if len(levels) > depth]
        columns = [j for j, levels in enumerate(self.unknowns) if len(levels) > depth]
        latest = ca.vertcat(ca.SX(0, 1), *(self.equations[i][-1 - depth] for i in rows))
        highest = ca.vertcat(ca.SX(0, 1), *(self.unknowns[j][-1 - depth] for j in columns))
        found[np.ix_(rows, columns)] = _dense(ca.jacobian_sparsity(latest, highest))
        return found

    def differentiate(self, rows: Iterable[int], columns: Iterable[int], names: Sequence[str]) -> None:
        """Differentiate equations along the solution; the variables they end in gain a derivative first."""
        for j in columns:
            levels = self.unknowns[j]
            levels.append(ca.SX.sym(_derived(names[j], len(levels))))
        known = [(symbol, after) for levels in self.unknowns for symbol, after in pairwise(levels)]
        point = ca.vertcat(self.t, self.x, *(symbol for symbol, _ in known))
        slope = ca.vertcat(1.0, self.rate, *(after for _, after in known))
        for i in rows:
            self.equations[i].append(ca.jtimes(self.equations[i][-1], point, slope))


def _differentiated(dae: Dae) -> _Work:
    """Pantelides' algorithm on the algebraic equations, the rates of the states being known."""
    t, x, z, u, p = (ca.SX.sym(letter, n) for letter, n in zip("txzup", (1, *dae.sizes), strict=True))
    rate, zero, output = dae.function(t, x, z, u, p)
    equations, unknowns = [[e] for e in ca.vertsplit(zero)], [[s] for s in ca.vertsplit(z)]
    work = _Work(t, x, u, p, rate, output, equations, unknowns)
    names = [v.name for v in dae.algebraics]
    variable_of = matching(work.pattern())
    if (variable_of < 0).any():
        _check_solvable(dae, work)
    while (variable_of < 0).any():
        first = int(np.flatnonzero(variable_of < 0)[0])
        rows, columns = reached(work.pattern(), variable_of, [first])
        if max(len(work.equations[i]) for i in rows) >= _HIGHEST:
            raise FlowsheetError(
                f"the index is above {_HIGHEST}: {listed([dae.equations[i] for i in rows])} would be differentiated "
                f"more than {_HIGHEST - 1} times.\n"
                f"  Look for a variable that should depend on another and does not."
            )
        for i in rows:
            work.inputs.update(dae.inputs[k].name for k in _read_by([work.equations[i][-1]], u))
        work.differentiate(rows, columns, names)
        seen = next((step for step in work.steps.values() if step[0] & set(rows)), None)
        seen = seen or work.steps.setdefault(first, (set(), set()))
        seen[0].update(rows)
        seen[1].update(columns)
        variable_of = matching(work.pattern())
    return work


def _check_solvable(dae: Dae, work: _Work) -> None:
    """Differentiation ends only where rates and equations together determine states and algebraics, by structure."""
    zero, z = ca.vertcat(*(levels[0] for levels in work.equations)), ca.vertcat(*(s[0] for s in work.unknowns))
    both = ca.jacobian_sparsity(ca.vertcat(work.rate, zero), ca.vertcat(work.x, z))
    pattern = _dense(both)
    nx = len(dae.states)
    pattern[:nx, :nx] |= np.eye(nx, dtype=bool)  # a rate is that of its state
    if structure(pattern).regular:
        return
    said = complaints(work.pattern(), dae.equations, [v.name for v in dae.algebraics])
    raise FlowsheetError(
        f"the model is singular: {said[0]}.\n"
        + "".join(f"  {one[0].upper()}{one[1:]}.\n" for one in said[1:4])
        + "  Remove an equation that repeats another, and give each algebraic variable one that contains it."
    )


def _chosen(work: _Work) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Equations (which, how often differentiated) that determine the unknowns, and those left over: the invariants.

    Below the highest derivatives there are more equations than unknowns. Those are kept whose dependence on their
    unknown does not change along the solution, where there is a choice.
    """
    kept = [(i, len(levels) - 1) for i, levels in enumerate(work.equations)]
    invariants: list[tuple[int, int]] = []
    for depth in range(1, max(len(levels) for levels in work.equations)):
        rows = [i for i, levels in enumerate(work.equations) if len(levels) > depth]
        columns = [j for j, levels in enumerate(work.unknowns) if len(levels) > depth]
        used = {rows[k] for k in _assigned(work, depth, rows, columns)}
        for i in rows:
            (kept if i in used else invariants).append((i, len(work.equations[i]) - 1 - depth))
    return sorted(kept), sorted(invariants)


def _assigned(work: _Work, depth: int, rows: Sequence[int], columns: Sequence[int]) -> list[int]:
    """Positions in `rows` of equations that determine the variables `columns`, `depth` below the highest ones."""
    if not columns:
        return []
    unknowns = ca.vertcat(*(work.unknowns[j][-1 - depth] for j in columns))
    slope = ca.jacobian(ca.vertcat(*(work.equations[i][-1 - depth] for i in rows)), unknowns)
    cost = np.full(slope.shape, 1e6)
    for i, j in zip(*slope.sparsity().get_triplet(), strict=True):
        cost[i, j] = 0.0 if slope[i, j].is_constant() else 1.0
    from scipy.optimize import linear_sum_assignment

    return [int(i) for i in linear_sum_assignment(cost.T)[1]]


def _derivatives(dae: Dae, work: _Work) -> list[Variable]:
    """Derivatives of algebraic variables, as variables: nothing is known of them but their unit."""
    found: list[Variable] = []
    for v, levels in zip(dae.algebraics, work.unknowns, strict=True):
        for k in range(1, len(levels)):
            found.append(Variable(_derived(v.name, k), (v.unit or "1") + f"/{dae.time}" * k))
    return found


def _explained(dae: Dae, work: _Work, index: int) -> str:
    if index < 2:
        return f"index {index}: " + (
            "the algebraic equations determine the algebraic variables" if index else "there is no algebraic equation"
        )
    names = [v.name for v in dae.algebraics]
    variable_of = matching(work.pattern())
    said = []
    for first, (rows, columns) in work.steps.items():
        equations = [dae.equations[i] for i in sorted(rows)]
        held = [dae.states[k].name for k in _read_by([work.equations[i][0] for i in rows], work.x)]
        determined = listed([names[variable_of[i]] for i in sorted(rows) if variable_of[i] not in columns])
        if not columns:
            which = {2: "second ", 3: "third "}.get(len(work.equations[first]) - 1, "")
            if len(work.equations[first]) > 4:
                which = f"{len(work.equations[first]) - 1}th "
            said.append(
                f"{equations[0]} holds {listed(held)} without containing an algebraic variable; "
                f"its {which}time derivative determines {determined}"
            )
        else:
            said.append(
                f"{listed(equations)} hold {listed(held)}, for they contain only {listed([names[j] for j in columns])} "
                f"of the algebraic variables; their time derivatives determine {determined}"
            )
    return f"index {index}: " + "; ".join(said)


def _refused(dae: Dae, work: _Work) -> str:
    name = sorted(work.inputs)[0]
    k = [v.name for v in dae.inputs].index(name)
    where = next(
        dae.equations[i]
        for i, levels in enumerate(work.equations)
        if any(k in _read_by([level], work.u) for level in levels[:-1])
    )
    others = f" (so do {', '.join(sorted(work.inputs)[1:])})" if len(work.inputs) > 1 else ""
    return (
        f"{where} contains the input {name} and must be differentiated to reduce the index, "
        f"but the derivative of {name} is not known{others}.\n"
        f"  Declare {name} as a State whose rate is another Control, its derivative; "
        f"or as a Parameter, where it is constant."
    )


def _derived(name: str, times: int) -> str:
    return "der(" * times + name + ")" * times


def _read_by(expressions: Sequence[ca.SX], symbols: ca.SX) -> list[int]:
    """Positions of the symbols that expressions read."""
    if not expressions:
        return []
    return sorted(set(ca.jacobian_sparsity(ca.vertcat(*expressions), symbols).get_col()))


def _dense(sparsity: ca.Sparsity) -> Array:
    found = np.zeros(sparsity.shape, dtype=bool)
    rows, columns = sparsity.get_triplet()
    found[rows, columns] = True
    return found


__all__ = ["Index", "Singular", "index_of", "numerically_singular", "reduced"]
