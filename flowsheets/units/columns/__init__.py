"""How are components separated in packed columns? `Column`, and the parts it is made of."""

from titer.flowsheets.units.columns.beads import BeadSizes
from titer.flowsheets.units.columns.bed import Bed, solid_capacity
from titer.flowsheets.units.columns.binding import Binding, Inert, Linear
from titer.flowsheets.units.columns.column import Column
from titer.flowsheets.units.columns.correlations import ChungWen, WilsonGeankoplis
from titer.flowsheets.units.columns.exchange import Equilibrium, EquilibriumTotals, Kinetic, LinearDrivingForce
from titer.flowsheets.units.columns.langmuir import AffinityTitration, Langmuir, MobilePhaseModulator, SwitchedLangmuir
from titer.flowsheets.units.columns.own import OwnLaw
from titer.flowsheets.units.columns.steric_mass_action import StericMassAction
from titer.flowsheets.units.columns.transport import GeneralRate, LumpedRate, LumpedRateWithPores
from titer.numerics.spatial import DiscontinuousGalerkin, FiniteVolumes, SpectralElements

__all__ = [
    "AffinityTitration",
    "BeadSizes",
    "Bed",
    "Binding",
    "ChungWen",
    "Column",
    "DiscontinuousGalerkin",
    "Equilibrium",
    "EquilibriumTotals",
    "FiniteVolumes",
    "GeneralRate",
    "Inert",
    "Kinetic",
    "Langmuir",
    "Linear",
    "LinearDrivingForce",
    "LumpedRate",
    "LumpedRateWithPores",
    "MobilePhaseModulator",
    "OwnLaw",
    "SpectralElements",
    "StericMassAction",
    "SwitchedLangmuir",
    "WilsonGeankoplis",
    "solid_capacity",
]
