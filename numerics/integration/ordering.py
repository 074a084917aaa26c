"""In which order are unknowns factorized fast? One in which those that meet in an equation stand near each other."""

from __future__ import annotations

import casadi as ca
import numpy as np

from titer.numerics.dae import Array

_FEW = 40  # unknowns below which the order does not matter


def narrow(function: ca.Function, size: int) -> Array:
    """The order of the states (size,) of x' = function(t, x, ...) in which their derivatives have a narrow band.

    A sparse LU without an ordering of its own fills only the band. Columns and tubes gain most: their states are
    declared variable by variable, while neighbours in space meet. Source: Cuthill and McKee, Proc. 24th Nat. Conf. ACM
    (1969) 157; George (1971) for the reversed order.
    """
    if size < _FEW:
        return np.arange(size)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    rows, columns = function.jac_sparsity(0, 1).get_triplet()
    meets = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size)).tocsr()
    return np.asarray(reverse_cuthill_mckee(meets, symmetric_mode=False), dtype=int)
