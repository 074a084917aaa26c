"""What do the data say? Experiments, and parameters fitted to them by collocation, with their statistics."""

from titer.estimation.data.interpolated import Interpolated
from titer.estimation.data.noise import Estimated, Noise
from titer.estimation.data.readers import Layout, read_experiment, read_experiments
from titer.estimation.designs.criterion import Criterion
from titer.estimation.designs.design import Design, design, information_of
from titer.estimation.designs.proposal import Proposal
from titer.estimation.estimate import estimate
from titer.estimation.experiment import Experiment
from titer.estimation.fit import Fit
from titer.estimation.losses import Cauchy, Huber
from titer.estimation.regressor import PlantRegressor
from titer.estimation.resampled.bootstrap import Bootstrap, Replicates
from titer.estimation.statistics.diagnostics import Diagnostics
from titer.estimation.statistics.identifiability import Estimability
from titer.estimation.statistics.prediction import predicted, prediction_errors
from titer.estimation.statistics.profile import Profile
from titer.estimation.statistics.selection import (
    LeftOut,
    LikelihoodRatio,
    aic,
    aicc,
    bic,
    compare,
    leave_one_batch_out,
    likelihood_ratio,
)

__all__ = [
    "Bootstrap",
    "Cauchy",
    "Criterion",
    "Design",
    "Diagnostics",
    "Estimability",
    "Estimated",
    "Experiment",
    "Fit",
    "Huber",
    "Interpolated",
    "Layout",
    "LeftOut",
    "LikelihoodRatio",
    "Noise",
    "PlantRegressor",
    "Profile",
    "Proposal",
    "Replicates",
    "aic",
    "aicc",
    "bic",
    "compare",
    "design",
    "estimate",
    "information_of",
    "leave_one_batch_out",
    "likelihood_ratio",
    "predicted",
    "prediction_errors",
    "read_experiment",
    "read_experiments",
]
