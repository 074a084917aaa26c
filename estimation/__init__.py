"""What do the data say? Experiments, and parameters fitted to them by collocation."""

from titer.estimation.experiment import Experiment
from titer.estimation.fit import Fit, estimate

__all__ = ["Experiment", "Fit", "estimate"]
