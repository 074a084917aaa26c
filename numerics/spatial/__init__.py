"""How does a stretch of space become points? Methods as data: nodes, weights and sparse operators on (0, 1)."""

from titer.numerics.spatial.discontinuous_galerkin import DiscontinuousGalerkin
from titer.numerics.spatial.finite_volumes import FiniteVolumes
from titer.numerics.spatial.line import Line, Method
from titer.numerics.spatial.spectral_elements import SpectralElements
from titer.numerics.spatial.sphere import Sphere, sphere

__all__ = ["DiscontinuousGalerkin", "FiniteVolumes", "Line", "Method", "SpectralElements", "Sphere", "sphere"]
