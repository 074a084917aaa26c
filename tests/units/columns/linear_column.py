"""What leaves a linear column? Its transfer function, and the response to a pulse by inversion on a Bromwich line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LinearColumn:
    """A column with kinetic linear binding; `bead`(s) is what the packing holds by the liquid that flows.

    tau L/u [s], Pe u L/D_ax. Source: Danckwerts (1953) for the closed vessel; Kucera, J. Chromatogr. 19 (1965) 237.
    """

    tau: float
    Pe: float
    bead: Callable[[np.ndarray], np.ndarray]

    def transfer(self, s: np.ndarray) -> np.ndarray:
        """The Laplace transform of what leaves, by that of what enters."""
        b = np.sqrt(1.0 + 4.0 * self.tau * s * (1.0 + self.bead(s)) / self.Pe)
        decayed = np.exp(-0.5 * self.Pe * (b - 1.0))
        return 4.0 * b * decayed / ((1.0 + b) ** 2 - (1.0 - b) ** 2 * np.exp(-self.Pe * b))

    def pulse(self, t: np.ndarray, length: float, until: float) -> np.ndarray:
        """The response to a pulse of height 1, which has died away before `until`.

        Fourier series over (0, 2 until) of the damped response: what aliases is damped by e^-25.
        """
        period = 2.0 * until
        sigma = 25.0 / period
        s = sigma + 2j * np.pi * np.arange(60_000) / period
        image = self.transfer(s) * -np.expm1(-length * s) / s
        image[0] *= 0.5
        keep = np.abs(image) > 1e-18 * np.abs(image).max()
        phases = np.exp(2j * np.pi * np.outer(t, np.arange(len(s))[keep]) / period)
        return 2.0 / period * np.exp(sigma * t) * (phases @ image[keep]).real


def lumped_rate(eps_t: float, k_a: float, k_d: float) -> Callable[[np.ndarray], np.ndarray]:
    """Solid that meets the flowing liquid itself."""
    return lambda s: (1.0 - eps_t) / eps_t * k_a / (s + k_d)


def beads(
    eps_c: float, eps_p: float, r_p: float, k_f: float, k_a: float, k_d: float, D_p: float = np.inf
) -> Callable[[np.ndarray], np.ndarray]:
    """Beads behind a film, well mixed or with pore diffusion; lengths in m."""

    def held(s: np.ndarray) -> np.ndarray:
        capacity = s * (eps_p + (1.0 - eps_p) * k_a / (s + k_d))  # by volume of bead, over time
        diffused = capacity / 3.0 * r_p
        if np.isfinite(D_p):
            x = r_p * np.sqrt(capacity / (eps_p * D_p))
            diffused = eps_p * D_p / r_p * (x / np.tanh(x) - 1.0)  # flux by the concentration at the surface
        return (1.0 - eps_c) / eps_c * 3.0 / r_p / (1.0 / k_f + 1.0 / diffused) / s

    return held
