"""What should be done? Dynamic optimization of a plant under a recipe, and what its optimum depends on."""

from titer.control.optimization import optimize
from titer.control.pareto import Front, pareto
from titer.control.sensitivity import Sensitivity, sensitivity, shadow_prices

__all__ = ["Front", "Sensitivity", "optimize", "pareto", "sensitivity", "shadow_prices"]
