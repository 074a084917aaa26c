"""How is a problem solved again and again in milliseconds? By SQP built once, whole or in two halves."""

from titer.numerics.realtime.engine import Prepared, SqpEngine
from titer.numerics.realtime.settings import Curvature, Sqp

__all__ = ["Curvature", "Prepared", "Sqp", "SqpEngine"]
