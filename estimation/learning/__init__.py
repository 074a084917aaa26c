"""What do batches teach about rates? Their discrepancy over time, and corrections learned from it."""

from titer.estimation.learning.discrepancy import Discrepancy, discrepancy
from titer.estimation.learning.learn import learn
from titer.estimation.learning.learned import Learned
from titer.estimation.learning.validation import Validation

__all__ = ["Discrepancy", "Learned", "Validation", "discrepancy", "learn"]
