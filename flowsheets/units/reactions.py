"""Which reaction runs, and how fast? `Reaction`: stoichiometry, rate law, heat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from titer.flowsheets.symbols.symbol import quantity
from titer.numerics.errors import DeclarationError, unknown


@dataclass(frozen=True, eq=False)
class Arrhenius:
    """What rate laws with a rate constant share: k = k0 exp(-E/(R T)), or k0 exp(-E/R (1/T - 1/T_ref)).

    `k0`: frequency factor, or the rate constant at `T_ref` [K] where that is given; in the unit of a rate, whatever the
    order, for concentrations enter divided by a reference of 1 mol/L. A bare number is in the unit of the reactor's own
    k0, mol/L/s or (SemibatchReactor) mol/L/h; quantity(4e-4, "mol/L/s") means the same in all. `E` in J/mol.
    """

    k0: Any
    E: Any = 0.0
    T_ref: float | None = None

    def __post_init__(self) -> None:
        if self.T_ref is not None and not (_is_number(self.T_ref) and self.T_ref > 0.0):
            raise DeclarationError(
                f"{type(self).__name__}: T_ref is a temperature in K, got {self.T_ref!r}.\n"
                "  Give T_ref=350.0 for k0 at 350 K, or leave it out for k0 as frequency factor."
            )

    def constant(self, k0: Any, E: Any, R: Any, T: Any) -> Any:
        """The rate constant at a temperature."""
        if self.T_ref is None:
            return k0 * np.exp(-E / (R * T))
        return k0 * np.exp(-E / R * (1.0 / T - 1.0 / quantity(self.T_ref, "K")))


@dataclass(frozen=True, eq=False)
class MassAction(Arrhenius):
    """An elementary reaction: each reactant to the power of its stoichiometric coefficient."""


@dataclass(frozen=True, eq=False)
class PowerLaw(Arrhenius):
    """A rate with measured orders: `PowerLaw(0.02, orders={"A": 1.4})`; they are parameters, `reactor.order["r_1:A"]`.

    A concentration near or below zero is replaced by a small positive one (1e-6 of the reference and less), so that
    powers have values and slopes.
    """

    orders: Mapping[str, float] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.orders, Mapping) or not self.orders or not all(map(_is_number, self.orders.values())):
            raise DeclarationError(
                f'PowerLaw: orders is a dict from species to numbers such as {{"A": 1.4}}, got {self.orders!r}.'
            )


@dataclass(frozen=True, eq=False)
class RateLaw(Arrhenius):
    """A rate constant times a dimensionless function of the unit's view, such as

    `RateLaw(0.02, E=5e4, function=lambda v: v["c[S]"] / (v["c[S]"] + 0.1))`.
    """

    function: Callable[[Any], Any] = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class Reaction:
    """A reaction: `Reaction("r_1", {"A": -1, "B": 1}, MassAction(2e9, E=8e4), dH=-5e4)`.

    `stoichiometry`: moles of each species made per mole of reaction, negative where it is consumed. `law`: MassAction,
    PowerLaw, RateLaw, or a function of the unit's view that gives the whole rate in mol/L per time, `lambda v: ...`.
    `dH`: heat of reaction [J/mol], negative where heat is released; None: not declared. `limiting`: the reactant that
    runs out first when the cooling fails (default: whichever is scarcest). `completes`: whether it then runs to its
    end (default: yes, except the less exothermic of two opposite reactions). Raises DeclarationError.
    """

    name: str
    stoichiometry: Mapping[str, float]
    law: Arrhenius | Callable[[Any], Any]
    dH: Any = None
    limiting: str = ""
    completes: bool | None = None

    def __post_init__(self) -> None:
        what = f"Reaction({self.name!r})"
        given = self.stoichiometry
        if not isinstance(self.name, str) or not self.name:
            raise DeclarationError(f'{what}: the name is a text such as "r_1".')
        if not isinstance(given, Mapping) or not given or not all(_is_number(n) and n for n in given.values()):
            raise DeclarationError(
                f"{what}: stoichiometry is a dict from species to coefficients that are not zero, got {given!r}.\n"
                '  Write {"A": -1, "B": 1} for A -> B.'
            )
        if not isinstance(self.law, Arrhenius) and not callable(self.law):
            raise DeclarationError(
                f"{what}: expected a rate law, got {self.law!r}.\n"
                "  Give MassAction(k0, E), PowerLaw(k0, E, orders={...}), or a function of the view, lambda v: ..."
            )
        if self.limiting and self.limiting not in self.reactants:
            raise DeclarationError(f"{what}: {unknown('limiting reactant', self.limiting, self.reactants)}")

    @property
    def reactants(self) -> dict[str, float]:
        """Species that are consumed, with positive coefficients."""
        return {key: -float(n) for key, n in self.stoichiometry.items() if n < 0}

    @property
    def needed(self) -> set[str]:
        """Species without which it does not run, as far as is declared."""
        orders = self.law.orders if isinstance(self.law, PowerLaw) else {}
        return {*self.reactants, *(key for key, n in orders.items() if n > 0)}

    def __str__(self) -> str:
        def side(sign: int) -> str:
            terms = {key: abs(n) for key, n in self.stoichiometry.items() if n * sign > 0}
            return " + ".join(f"{'' if n == 1 else f'{n:g} '}{key}" for key, n in terms.items()) or "nothing"

        return f"{side(-1)} -> {side(1)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))
