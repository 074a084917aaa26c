"""What should be done? Dynamic optimization of a plant under a recipe, and what its optimum depends on."""

from titer.control.fans import plot_scenarios, plot_stress
from titer.control.optimization import optimize
from titer.control.pareto import Front, pareto
from titer.control.sampling import Uniform, sample
from titer.control.sensitivity import Sensitivity, sensitivity, shadow_prices
from titer.control.stress import Stress, stress
from titer.flowsheets.problems.hedging import Chance, Mean, Scenarios, Worst

__all__ = [
    "Chance",
    "Front",
    "Mean",
    "Scenarios",
    "Sensitivity",
    "Stress",
    "Uniform",
    "Worst",
    "optimize",
    "pareto",
    "plot_scenarios",
    "plot_stress",
    "sample",
    "sensitivity",
    "shadow_prices",
    "stress",
]
