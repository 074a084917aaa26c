"""What do the data say? Experiments, and parameters fitted to them by collocation, with their statistics."""

from titer.estimation.data.interpolated import Interpolated
from titer.estimation.data.noise import Estimated, Noise
from titer.estimation.data.readers import Layout, read_experiment, read_experiments
from titer.estimation.designs.criterion import Criterion
from titer.estimation.designs.design import Design, design, information_of
from titer.estimation.designs.proposal import Proposal
from titer.estimation.estimate import estimate
from titer.estimation.estimators.belief import Belief
from titer.estimation.estimators.entries import Bias, Drift
from titer.estimation.estimators.estimator import Estimator
from titer.estimation.estimators.extended_kalman import ExtendedKalman
from titer.estimation.estimators.memory import Estimation, Innovation, Memory
from titer.estimation.estimators.model import SampledModel
from titer.estimation.estimators.moving_horizon import Filtering, MovingHorizon, Smoothing
from titer.estimation.estimators.observability import Observability, observability
from titer.estimation.estimators.rejection import Rejecting
from titer.estimation.estimators.sample import Quality, Sample
from titer.estimation.estimators.unscented_kalman import UnscentedKalman
from titer.estimation.experiment import Experiment
from titer.estimation.fit import Fit
from titer.estimation.learning.discrepancy import Discrepancy, discrepancy
from titer.estimation.learning.learn import learn
from titer.estimation.learning.learned import Learned
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
    "Belief",
    "Bias",
    "Bootstrap",
    "Cauchy",
    "Criterion",
    "Design",
    "Diagnostics",
    "Discrepancy",
    "Drift",
    "Estimability",
    "Estimated",
    "Estimation",
    "Estimator",
    "Experiment",
    "ExtendedKalman",
    "Filtering",
    "Fit",
    "Huber",
    "Innovation",
    "Interpolated",
    "Layout",
    "Learned",
    "LeftOut",
    "LikelihoodRatio",
    "Memory",
    "MovingHorizon",
    "Noise",
    "Observability",
    "PlantRegressor",
    "Profile",
    "Proposal",
    "Quality",
    "Rejecting",
    "Replicates",
    "Sample",
    "SampledModel",
    "Smoothing",
    "UnscentedKalman",
    "aic",
    "aicc",
    "bic",
    "compare",
    "design",
    "discrepancy",
    "estimate",
    "information_of",
    "learn",
    "leave_one_batch_out",
    "likelihood_ratio",
    "observability",
    "predicted",
    "prediction_errors",
    "read_experiment",
    "read_experiments",
]
