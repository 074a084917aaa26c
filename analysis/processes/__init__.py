"""What is a plant as a network, and what do its batches look like? Exact derivatives, ensembles, synthetic batches."""

from titer.analysis.processes.comparison import Comparison, compare
from titer.analysis.processes.ensemble import Ensemble, simulated_ensemble
from titer.analysis.processes.linear import linear_network
from titer.analysis.processes.variations import Vary

__all__ = ["Comparison", "Ensemble", "Vary", "compare", "linear_network", "simulated_ensemble"]
