"""Which cultures have been published? Models ready to use, each with its source and check numbers."""

from titer.flowsheets.units.cultures.published.cho import ChoFedBatch
from titer.flowsheets.units.cultures.published.citrate import CitrateFermenter
from titer.flowsheets.units.cultures.published.inhibited import InhibitedFedBatch
from titer.flowsheets.units.cultures.published.penicillin import PenicillinFedBatch
from titer.flowsheets.units.cultures.published.pichia import PichiaPerfusion
from titer.flowsheets.units.cultures.published.temperature_shift import NoShift, TemperatureShift

__all__ = [
    "ChoFedBatch",
    "CitrateFermenter",
    "InhibitedFedBatch",
    "NoShift",
    "PenicillinFedBatch",
    "PichiaPerfusion",
    "TemperatureShift",
]
