"""How do proteins displace salt? Steric mass action, in which a protein covers more sites than it binds to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any, ClassVar

from titer.flowsheets.declarations import Declaration, Parameter, Port
from titer.flowsheets.units.columns.binding import Binding, Numbers
from titer.flowsheets.units.columns.contact import Known, Vectors

_SMALLEST = 1e-8  # of c_salt / qbar: what powers see in place of zero


class StericMassAction(Binding):
    """Ion exchange by steric mass action.

    Equations
        dq_i/dt = k_a,i c_i (qbar/q_ref)^nu_i - k_d,i q_i (c_s/c_ref)^nu_i
        qbar = Lambda - sum_j (nu_j + sigma_j) q_j,  bound salt q_s = Lambda - sum_j nu_j q_j
    At equilibrium c_i = k_d,i/k_a,i q_i (c_s q_ref / (c_ref qbar))^nu_i is explicit in c_s and q, which are the
    coordinates then: linear in q_i, so that a slightly negative one does no harm.

    Symbols: c_s salt in the liquid, the component `salt`; qbar sites that are free [concentration of the solid];
    Lambda ionic capacity; nu characteristic charges, sigma steric factors [-]; k_a, k_d [1/s], which refer to q_ref and
    c_ref (1 where the literature's constants are taken over). Assumption: one salt, constant pH.
    Source: Brooks and Cramer, AIChE J. 38 (1992) 1969.
    """

    salt: str = "salt"

    explicit: ClassVar[bool] = False

    k_a = Parameter("1/s", 1.0, lower=0.0, over="bound", doc="rate constants of adsorption")
    k_d = Parameter("1/s", 1.0, lower=0.0, over="bound", doc="rate constants of desorption")
    nu = Parameter("1", 5.0, lower=0.0, over="bound", doc="characteristic charges")
    sigma = Parameter("1", 10.0, lower=0.0, over="bound", doc="steric factors")

    def derived(self) -> Mapping[str, Declaration | Port]:
        c = self.concentration
        return {
            "Lambda": Parameter(c, 1200.0, lower=1e-12, doc="ionic capacity"),
            "q_ref": Parameter(c, 1.0, lower=1e-12, doc="reference concentration of the solid"),
            "c_ref": Parameter(c, 1.0, lower=1e-12, doc="reference concentration of the liquid"),
        }

    def needs(self) -> tuple[str, ...]:
        return (self.salt,)

    def modulators(self) -> tuple[str, ...]:
        return (self.salt,)

    def indispensable(self) -> tuple[str, ...]:
        return (self.salt,)

    def free(self, b: Any, q: Vectors) -> Any:
        """qbar, the sites that are neither bound nor covered."""
        return b.Lambda - _total((b.nu[i] + b.sigma[i]) * q[key] for i, key in enumerate(self.bound))

    def held(self, b: Any, q: Vectors, whole: bool = True) -> dict[str, Any]:
        salt = -_total(b.nu[i] * q[key] for i, key in enumerate(self.bound))
        return {**q, self.salt: b.Lambda + salt if whole else salt}

    def rate(self, b: Any, c: Vectors, q: Vectors) -> dict[str, Any]:
        qbar, salt = _size(self.free(b, q) / b.q_ref), _size(c[self.salt] / b.c_ref)
        return {
            key: b.k_a[i] * c[key] * qbar ** (b.nu[i] / 2.0) - b.k_d[i] * q[key] * salt ** (b.nu[i] / 2.0)
            for i, key in enumerate(self.bound)
        }

    def loosened(self, b: Any, salt: Any, q: Vectors) -> dict[str, Any]:
        """c_i/q_i at equilibrium with salt and bound concentrations."""
        size = _size(salt * b.q_ref / (b.c_ref * self.free(b, q)))
        return {key: b.k_d[i] / b.k_a[i] * size ** (b.nu[i] / 2.0) for i, key in enumerate(self.bound)}

    def displaced(self, b: Any, known: Known, r: Vectors, F: Any) -> tuple[Any, dict[str, Any]]:
        """Rates of salt and bound concentrations at equilibrium, given those r of the totals c + F q.

        With c_i = g_i q_i and theta = d ln(c_s/qbar)/dt, q_i' = (r_i - c_i nu_i theta)/(g_i + F) is linear in theta,
        which depends on the q_j' linearly: a rank-one system, solved on paper.
        """
        salt = known.c[self.salt]
        over_salt, over_free = F / salt, 1.0 / self.free(b, known.q)
        own, coupled, weights = [], [], []
        for i, key in enumerate(self.bound):
            over = 1.0 / (known.loosened[key] + F)
            own.append(r[key] * over)
            coupled.append(known.c[key] * b.nu[i] * over)
            weights.append(b.nu[i] * over_salt + (b.nu[i] + b.sigma[i]) * over_free)  # what q_i' changes in theta
        raised = _total(w * x for w, x in zip(weights, own, strict=True))
        theta = (r[self.salt] / salt + raised) / (1.0 + _total(w * x for w, x in zip(weights, coupled, strict=True)))
        bound = {key: own[i] - coupled[i] * theta for i, key in enumerate(self.bound)}
        return r[self.salt] + F * _total(b.nu[i] * bound[key] for i, key in enumerate(self.bound)), bound

    def filled(self, c: Mapping[str, float]) -> dict[str, float]:
        from scipy.optimize import brentq

        b = Numbers(self)
        proteins = [c[key] for key in self.bound]
        if not any(proteins):
            return dict.fromkeys(self.bound, 0.0)

        def held(qbar: float) -> list[float]:
            ratio = qbar / b.q_ref / (c[self.salt] / b.c_ref)
            return [float(b.k_a[i] / b.k_d[i] * x * ratio ** b.nu[i]) for i, x in enumerate(proteins)]

        def excess(qbar: float) -> float:
            return qbar + float(sum((b.nu[i] + b.sigma[i]) * x for i, x in enumerate(held(qbar)))) - b.Lambda

        return dict(zip(self.bound, held(brentq(excess, 0.0, b.Lambda, xtol=1e-14 * b.Lambda)), strict=True))

    def room(self, q: Mapping[str, float]) -> float:
        b = Numbers(self)
        return float(self.free(b, {key: q.get(key, 0.0) for key in self.bound}) / b.Lambda)


def _size(x: Any) -> Any:
    """x^2, rounded at zero: its powers are those of |x|, also where a trial step gets the sign wrong."""
    return x**2 + _SMALLEST**2


def _total(values: Any) -> Any:
    return reduce(add, values)
