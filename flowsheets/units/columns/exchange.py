"""How fast do liquid and packing come to terms? At once, or by rates: parts for the field `exchange` of a binding.

Each says which of the concentrations are states, and gives their rates from those of the totals, c + F q.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titer.flowsheets.declarations import Algebraic, Declaration, Expression, Parameter, State
from titer.flowsheets.unit import Part
from titer.flowsheets.units.columns.contact import Contact, Known, Vectors
from titer.flowsheets.units.jackets import expressed

Given = tuple[dict[str, Any], dict[str, Any]]  # rates and residuals by name


class Equilibrium(Part):
    """Rapid equilibrium, eliminated on paper: an ordinary differential equation, the fastest form.

    Equations: d(c + F q)/dt = r with q = q*(c), solved for dc/dt (for dq/dt and salt in steric mass action). Totals
    drift with the tolerance of the integrator; `EquilibriumTotals` holds them.
    """

    def suits(self, binding: Any) -> bool:
        """Whether the law gives what this needs: an equilibrium."""
        return bool(binding.solvable)

    def starts_apart(self, binding: Any) -> bool:
        """Whether what is bound may be given at the start besides the liquid."""
        return not binding.explicit

    def declared(self, contact: Contact) -> Mapping[str, Declaration]:
        """The concentrations, and what else is a variable."""
        if contact.binding.explicit:
            return contact.declared(State, Expression)
        return {**contact.declared(Expression, State), **contact.mobile(State)}

    def concentrations(self, contact: Contact, v: Any) -> Known:
        """Vectors by component; where they are no variables, they are defined."""
        binding, b = contact.binding, v.binding
        if binding.explicit:
            c = contact.vectors(getattr(v, contact.liquid), contact.components)
            q = binding.solids(b, c)
            contact.define(v, "q", q, binding.bound)
            return Known(c, q)
        q = contact.vectors(v.q, binding.bound)
        c = contact.vectors(v.mobile, contact.unbound)
        loosened = binding.loosened(b, c[binding.salt], q)
        c |= {key: loosened[key] * q[key] for key in binding.bound}
        contact.define(v, contact.liquid, c, contact.components)
        return Known(c, q, loosened)

    def given(self, contact: Contact, v: Any, known: Known, r: Vectors, moved: Vectors, F: Any) -> Given:
        """Rates and residuals of what is declared, per unit of the column's time.

        `known`: what `concentrations` gave. r: rates of c + F q; `moved`: those of q alone by diffusion on the solid.
        """
        binding, b = contact.binding, v.binding
        if binding.explicit:
            rates = {**r, **binding.eliminated(b, known.c, r, F)}
            return {contact.liquid: contact.array(rates, contact.components)}, {}
        salt, bound = binding.displaced(b, known, r, F)
        mobile = {key: r[key] for key in contact.unbound} | {binding.salt: salt}
        return {"mobile": contact.array(mobile, contact.unbound), "q": contact.array(bound, binding.bound)}, {}


class EquilibriumTotals(Equilibrium):
    """Rapid equilibrium with the totals as states and the concentrations as algebraic variables: conserves mass best.

    Equations: d total/dt = r, 0 = total - c - F q, and q = q*(c) (c = c*(q) in steric mass action). For a law of one's
    own q is an algebraic variable too, and the law's rate is zero.
    """

    def suits(self, binding: Any) -> bool:
        return True

    def starts_apart(self, binding: Any) -> bool:
        return True

    def declared(self, contact: Contact) -> Mapping[str, Declaration]:
        if contact.binding.solvable:
            found = {key: _algebraic(d) for key, d in super().declared(contact).items()}
        else:
            found = contact.declared(Algebraic, Algebraic)
        start = [contact.total_start[key] for key in contact.components]
        doc = "concentrations in liquid and packing together, per volume of liquid"
        sizes = [max(pair) for pair in zip(start, contact.sizes(contact.components), strict=True)]
        sets = ("points", "components")
        return {**found, "total": State(contact.unit, start=start, nominal=sizes, over=sets, doc=doc)}

    def concentrations(self, contact: Contact, v: Any) -> Known:
        return super().concentrations(contact, v) if contact.binding.solvable else contact.read(v)

    def given(self, contact: Contact, v: Any, known: Known, r: Vectors, moved: Vectors, F: Any) -> Given:
        c, q = known.c, known.q
        zero = {"total": v.total - contact.array(contact.totals(v.binding, c, q, F), contact.components)}
        if not contact.binding.solvable:
            zero["q"] = contact.array(contact.binding.rate(v.binding, c, q), contact.binding.bound)
        return {"total": contact.array(r, contact.components)}, zero


class Kinetic(Part):
    """Binding at its own rates.

    Equations: dq_i/dt = f_i(c, q), the law's, and dc_i/dt = r_i - F dq_i/dt.
    """

    def suits(self, binding: Any) -> bool:
        """Whether the law gives what this needs: rates, which all do."""
        return True

    def starts_apart(self, binding: Any) -> bool:
        """Whether what is bound may be given at the start besides the liquid."""
        return True

    def declared(self, contact: Contact) -> Mapping[str, Declaration]:
        return contact.declared(State, State)

    def concentrations(self, contact: Contact, v: Any) -> Known:
        return contact.read(v)

    def given(self, contact: Contact, v: Any, known: Known, r: Vectors, moved: Vectors, F: Any) -> Given:
        binding, per = contact.binding, f"{contact.unit}/{contact.time}"
        bound = {key: expressed(x, per) for key, x in self.bound(contact, v, known).items()}
        bound = {key: x + moved[key] if key in moved else x for key, x in bound.items()}
        held = binding.held(v.binding, bound, whole=False)
        rates = {key: r[key] - F * held[key] if key in held else r[key] for key in contact.components}
        made = {contact.liquid: contact.array(rates, contact.components)}
        return made | ({"q": contact.array(bound, binding.bound)} if binding.bound else {}), {}

    def bound(self, contact: Contact, v: Any, known: Known) -> Mapping[str, Any]:
        """Rates of the bound concentrations."""
        return contact.binding.rate(v.binding, known.c, known.q)  # type: ignore[no-any-return]


class LinearDrivingForce(Kinetic):
    """Binding towards equilibrium, as fast as it is far from it: diffusion into beads, lumped into one constant.

    Equations: dq_i/dt = k_m,i (q*_i(c) - q_i). Symbols: k_m mass transfer [1/s]; q* the law's equilibrium.
    Source: Glueckauf, Trans. Faraday Soc. 51 (1955) 1540.
    """

    k_m = Parameter("1/s", 0.1, lower=0.0, over="bound", doc="mass transfer")

    def suits(self, binding: Any) -> bool:
        """Whether the law gives what this needs: q = q*(c)."""
        return bool(binding.solvable and binding.explicit)

    def bound(self, contact: Contact, v: Any, known: Known) -> Mapping[str, Any]:
        wanted = contact.binding.solids(v.binding, known.c)
        return {
            key: v.binding.exchange.k_m[i] * (wanted[key] - known.q[key]) for i, key in enumerate(contact.binding.bound)
        }


def _algebraic(declaration: Declaration) -> Declaration:
    if isinstance(declaration, Expression):
        return declaration
    made: Any = declaration
    return Algebraic(made.unit, start=made.start, nominal=made.nominal, over=made.over, doc=made.doc)
