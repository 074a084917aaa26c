"""What is the process, and how is it operated? Declarations, flowsheets, recipes, and running them."""

from titer.flowsheets.corrections.correction import Correction
from titer.flowsheets.corrections.domain import Domain
from titer.flowsheets.corrections.forms import Additive, Multiplicative
from titer.flowsheets.corrections.learned_term import LearnedTerm
from titer.flowsheets.declarations import (
    Algebraic,
    Conserved,
    Control,
    Equations,
    Expression,
    Inlet,
    Outlet,
    Parameter,
    State,
)
from titer.flowsheets.diagnosis.diagnose import diagnose
from titer.flowsheets.diagnosis.findings import Diagnosis
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.names import Name
from titer.flowsheets.profiles import Exponential, PiecewiseConstant, PiecewiseLinear
from titer.flowsheets.recipe import Free, Phase, Reaches, Recipe, SameAs
from titer.flowsheets.recipes.actions import Action, action
from titer.flowsheets.recipes.cycles import cycles
from titer.flowsheets.reporting.report import report
from titer.flowsheets.simulation import replay, simulate
from titer.flowsheets.symbols.casadi_function import CasadiFunction
from titer.flowsheets.symbols.smooth import (
    smooth_abs,
    smooth_clip,
    smooth_maximum,
    smooth_minimum,
    smooth_step,
    smooth_where,
)
from titer.flowsheets.symbols.symbol import magnitude, quantity
from titer.flowsheets.terms import AtEnd, AtStart, Integral, Path
from titer.flowsheets.unit import Part, Unit

__all__ = [
    "Action",
    "Additive",
    "Algebraic",
    "AtEnd",
    "AtStart",
    "CasadiFunction",
    "Conserved",
    "Control",
    "Correction",
    "Diagnosis",
    "Domain",
    "Equations",
    "Exponential",
    "Expression",
    "Flowsheet",
    "Free",
    "Inlet",
    "Integral",
    "LearnedTerm",
    "Multiplicative",
    "Name",
    "Outlet",
    "Parameter",
    "Part",
    "Path",
    "Phase",
    "PiecewiseConstant",
    "PiecewiseLinear",
    "Reaches",
    "Recipe",
    "SameAs",
    "State",
    "Unit",
    "action",
    "cycles",
    "diagnose",
    "magnitude",
    "quantity",
    "replay",
    "report",
    "simulate",
    "smooth_abs",
    "smooth_clip",
    "smooth_maximum",
    "smooth_minimum",
    "smooth_step",
    "smooth_where",
]
