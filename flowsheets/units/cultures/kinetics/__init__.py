"""How fast does a culture grow, feed and produce? Processes and the factors that slow them."""

from titer.flowsheets.units.cultures.kinetics.conditions import ArrheniusFactor, CardinalPH, CardinalTemperature
from titer.flowsheets.units.cultures.kinetics.factors import Factor, Given, Scarcest
from titer.flowsheets.units.cultures.kinetics.growth import Growth, UptakeGrowth
from titer.flowsheets.units.cultures.kinetics.kinetics import Kinetics
from titer.flowsheets.units.cultures.kinetics.limitation import Ceiling, Contois, Haldane, Inhibition, Monod, Moser
from titer.flowsheets.units.cultures.kinetics.losses import Conversion, Death, Decay, Lysis
from titer.flowsheets.units.cultures.kinetics.process import Process, Turnover
from titer.flowsheets.units.cultures.kinetics.production import Maintenance, Overflow, Production

__all__ = [
    "ArrheniusFactor",
    "CardinalPH",
    "CardinalTemperature",
    "Ceiling",
    "Contois",
    "Conversion",
    "Death",
    "Decay",
    "Factor",
    "Given",
    "Growth",
    "Haldane",
    "Inhibition",
    "Kinetics",
    "Lysis",
    "Maintenance",
    "Monod",
    "Moser",
    "Overflow",
    "Process",
    "Production",
    "Scarcest",
    "Turnover",
    "UptakeGrowth",
]
