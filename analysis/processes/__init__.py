"""What is a plant as a network, and what do its batches look like? Exact derivatives, ensembles, synthetic batches."""

from titer.analysis.processes.batches import Batches
from titer.analysis.processes.comparison import Comparison, compare
from titer.analysis.processes.ensemble import Ensemble, simulated_ensemble
from titer.analysis.processes.generator import generate
from titer.analysis.processes.linear import linear_network
from titer.analysis.processes.observed import experiment_batches, noise_from, observed
from titer.analysis.processes.variations import Vary

__all__ = [
    "Batches",
    "Comparison",
    "Ensemble",
    "Vary",
    "compare",
    "experiment_batches",
    "generate",
    "linear_network",
    "noise_from",
    "observed",
    "simulated_ensemble",
]
