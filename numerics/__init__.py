"""How do equations become numbers? Grids, solvers, solutions, and the four ways in which things go wrong."""

from titer.numerics.collocation import Points
from titer.numerics.errors import (
    DeclarationError,
    FlowsheetError,
    SolveError,
    SpecificationError,
    TiterError,
)
from titer.numerics.grid import Grid
from titer.numerics.shooting import Shooting, Simultaneous
from titer.numerics.solution import Certificate, Solution
from titer.numerics.solvers import Fatrop, Ipopt, Status

__all__ = [
    "Certificate",
    "DeclarationError",
    "Fatrop",
    "FlowsheetError",
    "Grid",
    "Ipopt",
    "Points",
    "Shooting",
    "Simultaneous",
    "Solution",
    "SolveError",
    "SpecificationError",
    "Status",
    "TiterError",
]
