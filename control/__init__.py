"""What should be done? Dynamic optimization of a plant under a recipe."""

from titer.control.optimization import optimize

__all__ = ["optimize"]
