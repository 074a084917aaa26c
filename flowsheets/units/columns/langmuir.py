"""How do components compete for sites? Langmuir's law, and those in which salt, pH or a modulator switch it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Declaration, Parameter, Port
from titer.flowsheets.symbols.symbol import magnitude, quantity
from titer.flowsheets.units.columns.binding import Binding, Numbers
from titer.flowsheets.units.columns.contact import Vectors

_SMALLEST = 1e-6  # of the reference: what powers see in place of zero


class Langmuir(Binding):
    """Competitive Langmuir binding.

    Equations: dq_i/dt = k_a,i c_i qmax_i (1 - sum_j q_j/qmax_j) - k_d,i q_i; at equilibrium, with x_i = K_i c_i and
    K_i = k_a,i/k_d,i, q_i = qmax_i x_i / (1 + sum_j x_j). Symbols: k_a [1/s per concentration], k_d [1/s], capacities
    qmax [concentration of the solid]. Source: Guiochon et al. (2006).

    Laws derived from it let k_a, k_d or the free sites depend on a `modulator` in the liquid.
    """

    modulator: str = ""

    def derived(self) -> Mapping[str, Declaration | Port]:
        c = self.concentration
        return {
            "k_a": Parameter(f"1/s/({c})", 1.0, lower=0.0, over="bound", doc="rate constants of adsorption"),
            "k_d": Parameter("1/s", 1.0, lower=0.0, over="bound", doc="rate constants of desorption"),
            "qmax": Parameter(c, 10.0, lower=1e-12, over="bound", doc="capacities"),
        }

    def needs(self) -> tuple[str, ...]:
        return (self.modulator,) if self.modulator else ()

    def modulators(self) -> tuple[str, ...]:
        return self.needs()

    def constants(self, b: Any, c: Vectors) -> list[tuple[Any, Any]]:
        """k_a and k_d of each component in this liquid."""
        return list(zip(b.k_a, b.k_d, strict=True))

    def slopes(self, b: Any, c: Vectors) -> list[Any]:
        """d ln(k_a/k_d) by the modulator, of each component."""
        raise NotImplementedError

    def sites(self, b: Any, c: Vectors) -> tuple[Any, Any]:
        """The fraction of sites that are there at all, and its derivative by the modulator; None where it is 1."""
        return None, None

    def rate(self, b: Any, c: Vectors, q: Vectors) -> dict[str, Any]:
        there, _ = self.sites(b, c)
        taken = _total(q[key] / b.qmax[i] for i, key in enumerate(self.bound))
        free = (1.0 if there is None else there) - taken
        constants = self.constants(b, c)
        return {
            key: k_a * b.qmax[i] * c[key] * free - k_d * q[key]
            for i, (key, (k_a, k_d)) in enumerate(zip(self.bound, constants, strict=True))
        }

    def solids(self, b: Any, c: Vectors) -> dict[str, Any]:
        there, _ = self.sites(b, c)
        x = [k_a / k_d * c[key] for key, (k_a, k_d) in zip(self.bound, self.constants(b, c), strict=True)]
        share = (1.0 if there is None else there) / (1.0 + _total(x))
        return {key: b.qmax[i] * x[i] * share for i, key in enumerate(self.bound)}

    def eliminated(self, b: Any, c: Vectors, r: Vectors, F: Any) -> dict[str, Any]:
        """With y_i = dx_i/dt, s = 1/(1 + sum x), h the sites that are there and m the modulator,

        y_i (1 + F qmax_i K_i h s) = K_i (r_i + c_i dlnK_i/dm m' - F qmax_i x_i s dh/dm m') + K_i F qmax_i x_i h s^2 Y,

        Y = sum y_j: a diagonal and a rank-one matrix.
        """
        there, change = self.sites(b, c)
        h = 1.0 if there is None else there
        K = [k_a / k_d for k_a, k_d in self.constants(b, c)]
        x = [K[i] * c[key] for i, key in enumerate(self.bound)]
        s = 1.0 / (1.0 + _total(x))
        moved = r[self.modulator] if self.modulator else None
        slopes = self.slopes(b, c) if self.modulator else []
        own, coupled = [], []
        for i, key in enumerate(self.bound):
            held = F * b.qmax[i] * K[i] * s
            source = K[i] * r[key]
            if moved is not None:
                source = source + x[i] * slopes[i] * moved
            if change is not None:
                source = source - held * x[i] * change * moved
            over = 1.0 / (1.0 + held * h)
            own.append(source * over)
            coupled.append(held * x[i] * h * s * over)
        Y = _total(own) / (1.0 - _total(coupled))
        rates = {}
        for i, key in enumerate(self.bound):
            y = own[i] + coupled[i] * Y
            rates[key] = (y if moved is None else y - x[i] * slopes[i] * moved) / K[i]
        return rates

    def room(self, q: Mapping[str, float]) -> float:
        qmax = Numbers(self).qmax
        return 1.0 - float(sum(q.get(key, 0.0) / qmax[i] for i, key in enumerate(self.bound)))


class MobilePhaseModulator(Langmuir):
    """Langmuir binding whose constants depend on a modulator, such as an organic solvent or salt.

    Equations: dq_i/dt = k_a,i e^(gamma_i m) c_i qmax_i (1 - sum_j q_j/qmax_j) - k_d,i (m/m_ref)^beta_i q_i. Symbols: m
    concentration of the `modulator`; gamma [1 per concentration] hydrophobicity, beta [-] ion-exchange character,
    m_ref reference concentration, others as in Langmuir. m stays above zero where beta is not.
    Source: Melander, El Rassi and Horvath, J. Chromatogr. 469 (1989) 3.
    """

    modulator: str = "modulator"

    def derived(self) -> Mapping[str, Declaration | Port]:
        c = self.concentration
        return {
            **super().derived(),
            "gamma": Parameter(f"1/({c})", 0.0, over="bound", doc="hydrophobicity"),
            "beta": Parameter("1", 0.0, over="bound", doc="ion-exchange character"),
            "m_ref": Parameter(c, 1.0, lower=1e-12, doc="reference concentration of the modulator"),
        }

    def constants(self, b: Any, c: Vectors) -> list[tuple[Any, Any]]:
        m = c[self.modulator]
        size = (m / b.m_ref) ** 2 + _SMALLEST**2
        return [
            (k_a * np.exp(g * m), k_d * size ** (beta / 2.0))
            for k_a, k_d, g, beta in zip(b.k_a, b.k_d, b.gamma, b.beta, strict=True)
        ]

    def slopes(self, b: Any, c: Vectors) -> list[Any]:
        m = c[self.modulator]
        near = m / (m**2 + (_SMALLEST * b.m_ref) ** 2)
        return [g - beta * near for g, beta in zip(b.gamma, b.beta, strict=True)]


class AffinityTitration(Langmuir):
    """Affinity binding that pH breaks, as on Protein A (affinity complex titration).

    Equations: dq_i/dt = k_a,i qmax_i (f_A - sum_j q_j/qmax_j) f_G,i c_i - k_d,i q_i,
    f_A = 1/(1 + 10^(eta_A (pKa_A - pH))), f_G,i = 1/(1 + 10^(eta_G,i (pKa_G,i - pH))).
    Symbols: pH, which the component `modulator` carries like a concentration whose number it is; f_A and f_G fractions
    of ligand and protein in the state that binds, with their pKa and steepness eta; others as in Langmuir.
    Source: Zhang et al., affinity complex titration (2025).
    """

    modulator: str = "pH"

    def derived(self) -> Mapping[str, Declaration | Port]:
        return {
            **super().derived(),
            "pKa_A": Parameter("1", 2.07, doc="pKa of the ligand"),
            "eta_A": Parameter("1", 1.81, lower=0.0, doc="steepness of the ligand's titration"),
            "pKa_G": Parameter("1", 5.29, over="bound", doc="pKa of the proteins"),
            "eta_G": Parameter("1", 2.28, lower=0.0, over="bound", doc="steepness of the proteins' titration"),
        }

    def indispensable(self) -> tuple[str, ...]:
        return (self.modulator,)

    def constants(self, b: Any, c: Vectors) -> list[tuple[Any, Any]]:
        return [(k_a * f, k_d) for k_a, k_d, f in zip(b.k_a, b.k_d, self._titrated(b, c), strict=True)]

    def slopes(self, b: Any, c: Vectors) -> list[Any]:
        one = quantity(1.0, self.concentration)
        return [np.log(10.0) * eta * (1.0 - f) / one for eta, f in zip(b.eta_G, self._titrated(b, c), strict=True)]

    def sites(self, b: Any, c: Vectors) -> tuple[Any, Any]:
        there = _sigmoid(b.eta_A * (self._pH(c) - b.pKa_A) * np.log(10.0))
        return there, np.log(10.0) * b.eta_A * there * (1.0 - there) / quantity(1.0, self.concentration)

    def _titrated(self, b: Any, c: Vectors) -> list[Any]:
        pH = self._pH(c)
        return [_sigmoid(eta * (pH - pKa) * np.log(10.0)) for eta, pKa in zip(b.eta_G, b.pKa_G, strict=True)]

    def _pH(self, c: Vectors) -> Any:
        return magnitude(c[self.modulator], self.concentration)


class SwitchedLangmuir(Langmuir):
    """Langmuir binding that an eluent switches off.

    Equations: dq_i/dt = k_a,i c_i (q_s - sum_j q_j) / (1 + e^(-w (m_s - m))) - k_d,i q_i. Symbols: m concentration of
    the eluent, `modulator`; m_s [concentration] where it switches, w [1 per concentration] how sharply; qmax of all
    components is the one capacity q_s. With K = k_a/k_d.
    """

    modulator: str = "eluent"

    def derived(self) -> Mapping[str, Declaration | Port]:
        c = self.concentration
        return {
            **super().derived(),
            "m_s": Parameter(c, 0.5, doc="where the eluent switches"),
            "w": Parameter(f"1/({c})", 20.0, lower=0.0, doc="how sharply"),
        }

    def constants(self, b: Any, c: Vectors) -> list[tuple[Any, Any]]:
        on = self._on(b, c)
        return [(k_a * on, k_d) for k_a, k_d in zip(b.k_a, b.k_d, strict=True)]

    def slopes(self, b: Any, c: Vectors) -> list[Any]:
        return [-b.w * (1.0 - self._on(b, c))] * len(self.bound)

    def _on(self, b: Any, c: Vectors) -> Any:
        return _sigmoid(b.w * (b.m_s - c[self.modulator]))


def _sigmoid(x: Any) -> Any:
    return 0.5 * (1.0 + np.tanh(0.5 * x))  # 1/(1 + e^-x), which cannot overflow


def _total(values: Any) -> Any:
    return reduce(add, values)
