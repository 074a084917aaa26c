"""Which unit operations are ready to use, and what are they made of?"""

from titer.flowsheets.units.batch_reactor import BatchReactor
from titer.flowsheets.units.continuous_reactor import ContinuousReactor
from titer.flowsheets.units.jacketed_reactor import JacketedReactor
from titer.flowsheets.units.jackets import (
    Adiabatic,
    CascadeJacket,
    CoolantJacket,
    FoulingWall,
    Isothermal,
    Jacket,
    Thermostat,
    Wall,
)
from titer.flowsheets.units.reactions import MassAction, PowerLaw, RateLaw, Reaction
from titer.flowsheets.units.semibatch_reactor import SemibatchReactor
from titer.flowsheets.units.stirred_reactor import StirredReactor

__all__ = [
    "Adiabatic",
    "BatchReactor",
    "CascadeJacket",
    "ContinuousReactor",
    "CoolantJacket",
    "FoulingWall",
    "Isothermal",
    "Jacket",
    "JacketedReactor",
    "MassAction",
    "PowerLaw",
    "RateLaw",
    "Reaction",
    "SemibatchReactor",
    "StirredReactor",
    "Thermostat",
    "Wall",
]
