"""What are the multipliers of all rows and columns, also of those that were eliminated? Adjoints, element by element.

The slope of the Lagrangian vanishes for what is substituted too: that gives the multipliers nu of the solved equations
d_D - K d_O = c, and those of the equations themselves are J_D^-T nu.
"""

from __future__ import annotations

import numpy as np

from titer.numerics.nlp import Array
from titer.numerics.realtime.quadratic import Answer
from titer.numerics.realtime.subproblem import Step, Subproblem


def multipliers_of(subproblem: Subproblem, step: Step, answer: Answer, whole: Array) -> tuple[Array, Array]:
    """Multipliers of all rows (batch order) and columns, scaled; `whole`: the step of all columns."""
    s, structure = subproblem, subproblem.structure
    rows, columns = np.zeros(s.rows), np.zeros(len(whole))
    kept, inside = len(s.rows_kept), len(s.limited_inside)
    rows[s.rows_kept] = answer.rows[:kept]
    rows[s.rows_loose] = answer.rows[kept + inside :]
    columns[s.limited_inside] = answer.rows[kept : kept + inside]
    columns[structure.kept] = answer.bounds
    equations = answer.equations()
    padded = np.concatenate([whole, np.zeros(len(s.nlp.data))])
    for each in step.solved:
        group = each.elements
        inner, at = slice(group.inner), group.row_at
        left = columns[group.cells[:, inner]]
        if group.weighted:
            left = left + step.point.slopes[group.slope_at[:, inner]]
        if each.hessian is not None and group.inner_curved:
            left = left + (each.hessian[:, inner] @ padded[group.cells][:, :, None])[:, :, 0]
        rest = rows[at[:, group.equations :], None]
        left = left + (each.jacobian[:, group.equations :, inner].transpose(0, 2, 1) @ rest)[:, :, 0]
        shared = equations[s.number[group.cells[:, group.inner + group.outer :]] - s.free]
        nu = np.concatenate([-left, shared], axis=1)
        rows[at[:, : group.equations]] = (each.inverse.transpose(0, 2, 1) @ nu[:, :, None])[:, :, 0]
    return rows, columns
