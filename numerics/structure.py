"""What determines what in a system of equations? The Dulmage-Mendelsohn decomposition, and what is wrong in words.

Only the pattern counts: which variable stands in which equation. A part with more equations than variables is
overdetermined, one with more variables underdetermined; the rest is square, and falls into blocks that can be solved
one after another. Sources: Dulmage & Mendelsohn, Canadian J. Math. 10 (1958) 517; Pothen & Fan, ACM Trans. Math.
Softw. 16 (1990) 303.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from titer.numerics.dae import Array

Part = tuple[tuple[int, ...], tuple[int, ...]]  # equations and variables, by position


@dataclass(frozen=True)
class Structure:
    """The parts of a system, each as (equations, variables) by position.

    `over` has more equations than variables, `under` more variables than equations. `blocks` are the irreducible
    square blocks of what lies between, in an order of solution: a block contains variables of its own and of the
    parts before it (and of `over`). `regular`: all is square, and a solution exists for almost all coefficients.
    """

    over: Part
    under: Part
    blocks: tuple[Part, ...]
    regular: bool


def structure(pattern: Array) -> Structure:
    """Decompose a boolean pattern (equations, variables)."""
    pattern = _checked(pattern)
    variable_of = matching(pattern)
    equation_of = _inverse(variable_of, pattern.shape[1])
    over = reached(pattern, variable_of, np.flatnonzero(variable_of < 0).tolist())
    under_variables, under_equations = reached(pattern.T, equation_of, np.flatnonzero(equation_of < 0).tolist())
    kept = sorted(set(range(len(variable_of))) - set(over[0]) - set(under_equations))
    blocks = _blocks(pattern, variable_of, kept)
    regular = not any((*over, under_equations, under_variables))
    return Structure(over, (under_equations, under_variables), blocks, regular)


def complaints(pattern: Array, equations: Sequence[str], variables: Sequence[str]) -> list[str]:
    """What is wrong with a system: a sentence for each part that has too many or too few equations.

    `pattern` (equations, variables) is boolean; `equations` and `variables` are their names.
    """
    pattern = _checked(pattern)
    if pattern.shape != (len(equations), len(variables)):
        raise ValueError(f"complaints: a pattern {pattern.shape} for {len(equations)} names and {len(variables)} names")
    found = structure(pattern)
    said: list[str] = []
    for rows, columns in _components(pattern, found.over):
        said.append(_too_many([equations[i] for i in rows], [variables[j] for j in columns]))
    for rows, columns in _components(pattern, found.under):
        names = [variables[j] for j in columns]
        said.append(_too_few([equations[i] for i in rows], names))
    return said


def matching(pattern: Array) -> Array:
    """The variable assigned to each equation (equations,), -1 where none is left: as many as can be."""
    if not pattern.size:
        return np.full(len(pattern), -1)
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    return np.asarray(maximum_bipartite_matching(csr_array(pattern.astype(np.int8)), perm_type="column"), dtype=int)


def reached(pattern: Array, variable_of: Array, equations: Iterable[int]) -> Part:
    """What alternating paths reach from `equations`: any variable of an equation, any equation of a variable assigned.

    From equations without a variable, that is the part in which there are too many equations; from a single one, the
    smallest such part.
    """
    equation_of = _inverse(variable_of, pattern.shape[1])
    rows, columns = set(equations), set[int]()
    waiting = list(rows)
    while waiting:
        for j in np.flatnonzero(pattern[waiting.pop()]).tolist():
            columns.add(j)
            i = int(equation_of[j])
            if i >= 0 and i not in rows:
                rows.add(i)
                waiting.append(i)
    return tuple(sorted(rows)), tuple(sorted(columns))


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names in a row, the first few of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _checked(pattern: Array) -> Array:
    pattern = np.asarray(pattern, dtype=bool)
    if pattern.ndim != 2:
        raise ValueError(f"structure: expected a pattern (equations, variables), got shape {pattern.shape}")
    return pattern


def _inverse(variable_of: Array, count: int) -> Array:
    equation_of = np.full(count, -1)
    rows = np.flatnonzero(variable_of >= 0)
    equation_of[variable_of[rows]] = rows
    return equation_of


def _blocks(pattern: Array, variable_of: Array, rows: Sequence[int]) -> tuple[Part, ...]:
    """Irreducible square blocks among `rows` and their variables, each behind those whose variables it needs."""
    if not rows:
        return ()
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    # equation i needs the variable that equation k determines
    needs = pattern[np.ix_(np.asarray(rows), variable_of[rows])]
    count, label = connected_components(csr_array(needs.astype(np.int8)), directed=True, connection="strong")
    between = [set[int]() for _ in range(count)]
    for i, k in zip(*np.nonzero(needs), strict=True):
        if label[i] != label[k]:
            between[label[i]].add(int(label[k]))
    blocks: list[Part] = []
    for block in _ordered(between):
        members = np.asarray(rows)[label == block]
        blocks.append((tuple(members.tolist()), tuple(sorted(variable_of[members].tolist()))))
    return tuple(blocks)


def _ordered(before: Sequence[set[int]]) -> list[int]:
    """Every node behind those it needs. The graph has no circle."""
    waiting = [len(needed) for needed in before]
    after: list[list[int]] = [[] for _ in before]
    for node, needed in enumerate(before):
        for other in needed:
            after[other].append(node)
    ready = [node for node, count in enumerate(waiting) if not count]
    for node in ready:  # grows while it is read
        for other in after[node]:
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    return ready


def _components(pattern: Array, part: Part) -> list[Part]:
    """The pieces of a part that share no variable."""
    rows, columns = part
    n = len(rows)
    if not n + len(columns):
        return []
    graph = np.zeros((n + len(columns), n + len(columns)), dtype=np.int8)
    graph[:n, n:] = pattern[np.ix_(rows, columns)]
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count, label = connected_components(csr_array(graph), directed=False)
    return [
        (
            tuple(i for i, at in zip(rows, label[:n], strict=True) if at == k),
            tuple(j for j, at in zip(columns, label[n:], strict=True) if at == k),
        )
        for k in range(count)
    ]


def _too_many(equations: Sequence[str], variables: Sequence[str]) -> str:
    if not variables:
        return f"{equations[0]} contains no variable that it could determine"
    if len(variables) == 1:
        times = {2: "twice", 3: "three times"}.get(len(equations), f"{len(equations)} times")
        return f"{variables[0]} is fixed {times}: by {' and by '.join(equations)}"
    fixed = (
        f"{len(equations)} equations ({listed(equations)}) fix only {len(variables)} variables ({listed(variables)})"
    )
    excess = len(equations) - len(variables)
    nameless = [name for name in equations if _called(name) not in variables]
    guess = f", perhaps {listed(nameless)}" if len(nameless) == excess else ""
    return f"{fixed}: {_number(excess)} too many{guess}"


def _too_few(equations: Sequence[str], variables: Sequence[str]) -> str:
    if not equations:
        return f"no equation determines {variables[0]}, which appears in no algebraic equation"
    missing = len(variables) - len(equations)
    called = {_called(equation) for equation in equations}
    nameless = [name for name in variables if name not in called]
    there = f"{_count(len(equations), 'equation')} ({listed(equations)}) for {len(variables)} variables"
    if len(nameless) == missing:
        return f"no equation determines {listed(nameless)}: there {_is(len(equations))} {there} ({listed(variables)})"
    verb = "determines" if len(equations) == 1 else "determine"
    fewer = f"{_count(len(equations), 'equation')} ({listed(equations)}) {verb} only {_number(len(equations))} of"
    return f"{fewer} {len(variables)} variables ({listed(variables)}): {_number(missing)} missing"


def _called(equation: str) -> str:
    """The variable after which an equation is called: "tank.level equation" is that of tank.level."""
    return equation.removesuffix(" equation").removesuffix(" stream")


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _number(count: int) -> str:
    return {1: "one", 2: "two", 3: "three"}.get(count, str(count))
