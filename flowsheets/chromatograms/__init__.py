"""What does a chromatogram tell, and how is one run? Pools, moments, breakthrough, pictures; steps and cycles."""

from titer.flowsheets.chromatograms.breakthrough import Breakthrough, breakthrough
from titer.flowsheets.chromatograms.chromatogram import Chromatogram, chromatogram
from titer.flowsheets.chromatograms.cyclic import CyclicSteadyState, cyclic_steady_state
from titer.flowsheets.chromatograms.moments import Moments, Peak, moments, peak, resolution
from titer.flowsheets.chromatograms.picture import draw
from titer.flowsheets.chromatograms.pools import Pool, fraction_table, fractions, pool, widest_pool
from titer.flowsheets.chromatograms.steps import gradient, step, together

__all__ = [
    "Breakthrough",
    "Chromatogram",
    "CyclicSteadyState",
    "Moments",
    "Peak",
    "Pool",
    "breakthrough",
    "chromatogram",
    "cyclic_steady_state",
    "draw",
    "fraction_table",
    "fractions",
    "gradient",
    "moments",
    "peak",
    "pool",
    "resolution",
    "step",
    "together",
    "widest_pool",
]
