"""How does everything follow a few free columns, and how does the objective bend in them? At a solution of a program.

Where all other columns are determined by equations, g(w) = 0, the implicit function theorem gives

    dw/dtheta = S,   A_dependent S_dependent = -A_free,   S_free = I,      d2J/dtheta2 = S' (d2L/dw2) S

with A the Jacobian of the equations and L = f + y' g. A bound that holds a free column takes it out: it does not move.
Source: Zavala, Laird & Biegler, J. Process Control 18 (2008) 876; Bard, Nonlinear Parameter Estimation (1974), ch. 7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.numerics.dae import Array
from titer.numerics.program import Program, Scaling
from titer.numerics.solvers import Outcome


@dataclass(frozen=True, eq=False)
class Reduced:
    """A solution seen from its free columns (k): `free` their numbers, `follow` (columns, k) the derivatives of all
    columns, `hessian` (k, k) and `gradient` (k,) of the minimized objective along the equations."""

    free: Array
    follow: Array
    hessian: Array
    gradient: Array


def reduced(program: Program, outcome: Outcome, scaling: Scaling, free: Array, data: Array | None = None) -> Reduced:
    """Reduce a solution to the columns `free`.

    Raises ValueError where the equations are not as many as the other columns, LinAlgError where they do not determine
    them.
    """
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    nlp = program.nlp
    x, p = outcome.w / scaling.columns, program.parameters(scaling, data)
    lower, upper = nlp.row_bounds()
    equations = np.flatnonzero(lower == upper)
    dependent = np.setdiff1d(np.arange(nlp.columns), free)
    if len(equations) != len(dependent):
        raise ValueError(f"{len(equations)} equations for {len(dependent)} dependent columns")
    jacobian = csc_matrix(program.jacobian(x, p)[1].sparse())[equations]
    follow = np.zeros((nlp.columns, len(free)))
    follow[free, np.arange(len(free))] = 1.0
    if len(dependent) and len(free):
        try:
            step = splu(csc_matrix(jacobian[:, dependent])).solve(-jacobian[:, free].toarray())
        except RuntimeError as error:
            raise np.linalg.LinAlgError(f"the equations do not determine the dependent columns: {error}") from None
        follow[dependent] = step
    y = outcome.row_multipliers / scaling.rows * scaling.objective
    bend = csc_matrix(program.hessian(x, p, 1.0, y).sparse())
    curved = bend @ follow
    curved += (bend.T @ follow) - bend.diagonal()[:, None] * follow  # the upper triangle stands for both
    slope = np.array(program.gradient(x, p)[1]).ravel()
    sizes = scaling.columns[free]
    unscale = 1.0 / sizes / scaling.objective
    return Reduced(
        free=free,
        follow=follow * scaling.columns[:, None] / sizes,
        hessian=(follow.T @ curved) * unscale[:, None] / sizes,
        gradient=(follow.T @ slope) * unscale,
    )
