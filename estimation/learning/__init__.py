"""What do batches teach about rates? Their discrepancy over time, and corrections learned from it."""

from titer.estimation.learning.discrepancy import Discrepancy, discrepancy

__all__ = ["Discrepancy", "discrepancy"]
