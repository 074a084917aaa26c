"""What is limited in total? The integrands of such limits in each phase, as functions of a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import casadi as ca

from titer.flowsheets.problems.placing import total_name
from titer.flowsheets.problems.problem import PhaseTerms


@dataclass(frozen=True, eq=False)
class Meter:
    """An integrand (t, x, z, u, p) -> rate, by the name of its integral; `follows`: whether it reads states."""

    name: str
    rate: ca.Function
    follows: bool
    reads_algebraics: bool


def meters_of(terms: Sequence[PhaseTerms]) -> tuple[tuple[Meter, ...], ...]:
    """The meters of each phase."""
    return tuple(
        tuple(
            Meter(
                total_name(placed),
                placed.function,
                bool(placed.function.jac_sparsity(0, 1).nnz() or placed.function.jac_sparsity(0, 2).nnz()),
                bool(placed.function.jac_sparsity(0, 2).nnz()),
            )
            for placed in phase.totals
        )
        for phase in terms
    )
