"""What drives quality, a process seen as a network of normal variables? Risk, learning, prediction with its causes."""

from titer.analysis.networks.any_function import shapley_of
from titer.analysis.networks.batches import unfolded
from titer.analysis.networks.beliefs import Belief, posterior, sample, update
from titer.analysis.networks.calibration import Calibration, calibrated, held_out
from titer.analysis.networks.draws import Draws
from titer.analysis.networks.graph import Graph, Kind, Node
from titer.analysis.networks.learning import Fitted, fit_network, learn_network
from titer.analysis.networks.model_risk import RiskDraws, risk_draws
from titer.analysis.networks.model_sources import ModelSources, model_sources
from titer.analysis.networks.network import Network, network
from titer.analysis.networks.pictures import plot_network, plot_prediction, plot_shares, plot_waterfall
from titer.analysis.networks.prediction import Prediction, predict, predictions
from titer.analysis.networks.priors import Prior
from titer.analysis.networks.risk import Risk, risk, risk_from
from titer.analysis.networks.scores import crps_of_normal
from titer.analysis.networks.shapley import Effects, shapley

__all__ = [
    "Belief",
    "Calibration",
    "Draws",
    "Effects",
    "Fitted",
    "Graph",
    "Kind",
    "ModelSources",
    "Network",
    "Node",
    "Prediction",
    "Prior",
    "Risk",
    "RiskDraws",
    "calibrated",
    "crps_of_normal",
    "fit_network",
    "held_out",
    "learn_network",
    "model_sources",
    "network",
    "plot_network",
    "plot_prediction",
    "plot_shares",
    "plot_waterfall",
    "posterior",
    "predict",
    "predictions",
    "risk",
    "risk_draws",
    "risk_from",
    "sample",
    "shapley",
    "shapley_of",
    "unfolded",
    "update",
]
