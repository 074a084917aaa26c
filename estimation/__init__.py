"""What do the data say? Experiments, and parameters fitted to them by collocation, with their statistics."""

from titer.estimation.estimate import estimate
from titer.estimation.experiment import Estimated, Experiment
from titer.estimation.fit import Fit
from titer.estimation.losses import Cauchy, Huber

__all__ = ["Cauchy", "Estimated", "Experiment", "Fit", "Huber", "estimate"]
