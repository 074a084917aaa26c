"""How is a function called on large arrays? In their own memory: CasADi's matrices cost more than the arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import casadi as ca
import numpy as np

Array = np.ndarray


def called(function: ca.Function, arguments: Sequence[Array]) -> list[Array]:
    """The values of a function on arrays of the shapes of its inputs, as arrays (rows, columns).

    A function with sparse inputs or outputs, or one that fails, is called in CasADi's own way, and raises as that does.
    """
    given = [np.asfortranarray(a, dtype=float) for a in arguments]
    if _fits(function, given):
        made = [np.zeros(function.size_out(i), order="F") for i in range(function.n_out())]
        buffer, trigger = function.buffer()
        for arrays, bind in ((given, buffer.set_arg), (made, buffer.set_res)):
            for i, array in enumerate(arrays):
                if array.size:
                    bind(i, array.T.data)
        trigger()
        if buffer.ret() == 0:
            return made
    values = function(*given)
    return [np.array(v) for v in (values if isinstance(values, tuple) else (values,))]


def _fits(function: ca.Function, given: Sequence[Array]) -> bool:
    """Whether the arrays' memory is what the function reads, and what it writes is an array's."""
    read = all(
        function.sparsity_in(i).is_dense() and function.size_in(i) == array.shape for i, array in enumerate(given)
    )
    return read and all(function.sparsity_out(i).is_dense() for i in range(function.n_out()))
