"""Which row is not finite, and where does it begin? At the start of a solve, or at the point it came to."""

from __future__ import annotations

from collections.abc import Sequence

import casadi as ca
import numpy as np

from titer.numerics.ampl.solving import pushed
from titer.numerics.ampl.stub import Stub
from titer.numerics.nlp import Array
from titer.numerics.nonfinite import NonFinite, first_nonfinite, nonfinite_derivative

_ROWS = 20  # rows that are searched for the operation behind


def undefined(stub: Stub, columns: Sequence[str], rows: Sequence[str], x: Array) -> tuple[str, NonFinite | None, bool]:
    """Say what is not finite: at the start, moved into the bounds as IPOPT does or as it is, or at the iterate `x`.

    With it the finding, and whether it is one of the start.
    """
    for at in (pushed(stub), stub.start):
        found = nonfinite_at(stub, columns, rows, at)
        if found is not None:
            return f"The solve cannot start: {found}.", found, True
    found = nonfinite_at(stub, columns, rows, x) if np.isfinite(x).all() else None
    said = f"{found}" if found is not None else "a function of the model, at a point that was not kept"
    return f"The solve met a number that is not finite: {said}.", found, False


def nonfinite_at(stub: Stub, columns: Sequence[str], rows: Sequence[str], x: Array) -> NonFinite | None:
    """The first operation that makes a row, the objective or a first derivative not finite; None where all is."""
    f, g = (np.array(value).ravel() for value in stub.functions(x))
    bad = np.flatnonzero(~np.isfinite(g))
    if len(bad) or not np.isfinite(f).all():
        function, labels = _some(stub, rows, bad)
        return first_nonfinite(function, [x], [columns], labels)
    gradient, jacobian = stub.functions.jacobian()(x, 0, ca.DM.zeros(len(g), 1))
    slopes = np.array(jacobian.nonzeros())
    bad = np.unique(np.array(jacobian.sparsity().row(), dtype=int)[~np.isfinite(slopes)])
    if len(bad) or not np.isfinite(np.array(gradient.nonzeros())).all():
        function, labels = _some(stub, rows, bad)
        return nonfinite_derivative(function, [x], [columns], labels)
    return None


def _some(stub: Stub, rows: Sequence[str], chosen: Array) -> tuple[ca.Function, list[list[str]]]:
    """A function of some rows and the objective, and the names of its results."""
    x = ca.SX.sym("x", len(stub.lower))
    f, g = stub.functions(x)
    few = [int(i) for i in chosen[:_ROWS]]
    part = ca.vertcat(ca.SX(0, 1), *(g[i] for i in few))
    return ca.Function("some", [x], [part, f]), [[rows[i] for i in few], ["the objective"]]
