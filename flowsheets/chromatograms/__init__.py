"""What does a chromatogram tell, and how is one run? Pools, moments, breakthrough, pictures; steps and cycles."""

from titer.flowsheets.chromatograms.breakthrough import Breakthrough, breakthrough
from titer.flowsheets.chromatograms.chromatogram import Chromatogram, chromatogram, repeated
from titer.flowsheets.chromatograms.cyclic import CyclicSteadyState, cyclic_steady_state
from titer.flowsheets.chromatograms.link import CyclicLink, cyclic_link
from titer.flowsheets.chromatograms.moments import Moments, Peak, moments, peak, resolution
from titer.flowsheets.chromatograms.picture import draw
from titer.flowsheets.chromatograms.pools import Pool, fraction_table, fractions, pool, widest_pool
from titer.flowsheets.chromatograms.steps import gradient, step, together

__all__ = [
    "Breakthrough",
    "Chromatogram",
    "CyclicLink",
    "CyclicSteadyState",
    "Moments",
    "Peak",
    "Pool",
    "breakthrough",
    "chromatogram",
    "cyclic_link",
    "cyclic_steady_state",
    "draw",
    "fraction_table",
    "fractions",
    "gradient",
    "moments",
    "peak",
    "pool",
    "repeated",
    "resolution",
    "step",
    "together",
    "widest_pool",
]
