"""What does the highest margin depend on? Parameters and limits, by the optimality conditions and solved again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from titer.cases.case import Claim
from titer.control import sensitivity, shadow_prices
from titer.numerics import Solution

if TYPE_CHECKING:
    import pandas as pd

    Solve = Callable[[Mapping[str, float], Mapping[str, float]], Solution]  # of other parameters, and limits raised

STEPS = {"reactor.E_1": 1e-5, "reactor.k0_2": 1e-3, "reactor.UA_V": 1e-2}  # relative, of central differences
LIMITS = {"impurity": ("impurity", 1e-4, "mol/L"), "reactor temperature": ("temperature", 0.05, "K")}


@dataclass(frozen=True, eq=False)
class Dependence:
    """Derivatives of the highest margin and of its stop time, prices of its limits, and the same by solving again.

    `derivatives`: name to (margin, stop time) from the optimality conditions; `differences`: by central differences.
    `one_percent`: what the margin changes by when solved again with 1 % more of a parameter, in EUR.
    """

    table: pd.DataFrame
    prices: pd.DataFrame
    derivatives: Mapping[str, tuple[float, float]]
    differences: Mapping[str, tuple[float, float]]
    limits: Mapping[str, tuple[float, float]]  # price, and the same by differences
    one_percent: Mapping[str, float]

    @property
    def errors(self) -> dict[str, float]:
        """Relative differences of each derivative to its central difference."""
        found = {
            name: max(abs(a / b - 1.0) for a, b in zip(self.derivatives[name], self.differences[name], strict=True))
            for name in self.derivatives
        }
        return found | {name: abs(price / again - 1.0) for name, (price, again) in self.limits.items()}

    @property
    def largest_error(self) -> float:
        """The largest of them."""
        return max(self.errors.values())

    def claims(self) -> list[Claim]:
        """Derivatives and prices are right."""
        what = dict.fromkeys(STEPS, "margin and stop time by") | dict.fromkeys(LIMITS, "shadow price of")
        note = "relative error against solving again"
        return [Claim(f"{what[k]} {k}", e, 1e-3, kind="at most", note=note) for k, e in self.errors.items()]

    def facts(self) -> dict[str, Any]:
        """The tables, for the record."""
        return {
            "sensitivity": self.table.to_dict("index"),
            "shadow_prices": self.prices.to_dict("records"),
            "EUR_for_one_percent_solved_again": dict(self.one_percent),
        }

    def sections(self) -> dict[str, Any]:
        """The tables, for the report."""
        return {"sensitivity of the highest margin [EUR/batch]": self.table, "shadow prices [EUR/batch]": self.prices}

    def notes(self) -> tuple[str, ...]:
        """What an engineer would take home."""
        first, second = self.table.index[:2]
        change = self.table["objective at +1 %"]
        prices = ", ".join(
            f"{price:.0f} EUR per {LIMITS[name][2]} of {name}" for name, (price, _) in self.limits.items()
        )
        return (
            f"What the margin depends on: {first} ({change[first]:+.0f} EUR for 1 % more) and {second} "
            f"({change[second]:+.0f} EUR), before all else; these two must be known best. "
            f"The first small step of raising limits is worth {prices}.",
        )


def dependence(solve: Solve) -> Dependence:
    """Derivatives of an optimum, and the same by solving again: `solve(other parameters, limits raised by)`.

    All on one mesh: the derivatives are those of the discretized problem.
    """
    plan = solve({}, {})
    found, prices, values = sensitivity(plan), shadow_prices(plan), plan.values
    derivatives, differences, limits = {}, {}, {}
    for name, step in STEPS.items():
        i, size = found.names.index(name), step * values[name]
        up, down = (solve({name: values[name] + change}, {}) for change in (size, -size))
        derivatives[name] = (float(found.objective[i]), float(found.duration["react"][i]))
        differences[name] = (
            (up.objective - down.objective) / (2.0 * size),
            (up.duration["react"] - down.duration["react"]) / (2.0 * size),
        )
    for limit, price in zip(prices["limit"], prices["price"], strict=True):
        if limit in LIMITS:
            key, size, _ = LIMITS[limit]
            up, down = (solve({}, {key: change}) for change in (size, -size))
            limits[limit] = (float(price), (up.objective - down.objective) / (2.0 * size))
    one_percent = {name: solve({name: 1.01 * values[name]}, {}).objective - plan.objective for name in found.names}
    return Dependence(found.table(), prices, derivatives, differences, limits, one_percent)
