"""Which ten further slips were written from the contract alone, without a look at what titer would answer?

A fed-batch, a column of cells, a cooled reactor, a surge tank and a fit, each once with the slip and once without. The
culprits were written down before the first run.
"""

# ruff: noqa: SIM108 (an `if` statement is the first mistake)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tests.mistakes.mistake import Mistake
from titer.control import optimize
from titer.estimation import Experiment, estimate
from titer.flowsheets import (
    Algebraic,
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Inlet,
    Outlet,
    Parameter,
    Path,
    Phase,
    PiecewiseLinear,
    Reaches,
    Recipe,
    State,
    Unit,
    simulate,
)
from titer.numerics.errors import DeclarationError, FlowsheetError, SolveError, SpecificationError


class FedBatch(Unit):
    """Biomass X grows on substrate S (Monod) and makes the product P; S is fed at the rate F into the volume V."""

    time = "h"
    X = State("g/L", start=1.0, lower=0.0)
    S = State("g/L", start=10.0, lower=0.0)
    P = State("g/L", start=0.0, lower=0.0)
    V = State("L", start=100.0, lower=0.0)
    F = Control("L/h", start=2.0, lower=0.0, upper=20.0)
    mu_max = Parameter("1/h", 0.4)
    K_S = Parameter("g/L", 0.5)
    Y = Parameter("g/g", 0.5)
    q_P = Parameter("1/h", 0.01)
    S_F = Parameter("g/L", 400.0)

    def equations(self, v: Any) -> Equations:
        growth = v.mu_max * v.S / (v.K_S + v.S) * v.X
        D = v.F / v.V
        return Equations(
            rate={
                "X": growth - D * v.X,
                "S": D * (v.S_F - v.S) - growth / v.Y,
                "P": v.q_P * v.X - D * v.P,
                "V": v.F,
            }
        )


# 1. A Python `if` on a state, to stop growth where the substrate is used up.


class Starving(FedBatch):
    """A fed-batch whose growth stops where the substrate is used up."""

    def equations(self, v: Any) -> Equations:
        if v.S > 0.01:
            growth = v.mu_max * v.X
        else:
            growth = 0.0 * v.mu_max * v.X
        D = v.F / v.V
        return Equations(
            rate={
                "X": growth - D * v.X,
                "S": D * (v.S_F - v.S) - growth / v.Y,
                "P": v.q_P * v.X - D * v.P,
                "V": v.F,
            }
        )


def _grown(kind: type[Unit]) -> Callable[[], Any]:
    def run() -> Any:
        tank = kind("tank")
        return simulate(Flowsheet(tank, time="h"), Recipe(Phase("feed", duration=20.0)), inputs={tank.F: 2.0})

    return run


# 2. Cells of a column, whose bound phase is stacked along the wrong axis.


class Cells(Unit):
    """A column as stirred cells, with linear binding of each component by a linear driving force."""

    time = "min"
    cells: int = 10
    components: tuple[str, ...] = ("product", "impurity")
    c = State("g/L", over=("cells", "components"), start=0.0, lower=0.0)
    q = State("g/L", over=("cells", "components"), start=0.0, lower=0.0)
    F = Control("mL/min", start=1.0, lower=0.0, upper=5.0)
    c_in = Control("g/L", start=1.0, lower=0.0, upper=10.0)
    V_c = Parameter("mL", 5.0)
    eps = Parameter("1", 0.7)
    k_m = Parameter("1/min", 2.0)

    axis = 1

    def equations(self, v: Any) -> Equations:
        henry = (2.0, 0.5)
        upstream = np.vstack([v.c_in * np.ones((1, len(henry))), v.c[:-1, :]])
        flux = self.cells * v.F / (v.eps * v.V_c) * (upstream - v.c)
        bound = [v.k_m * (h * v.c[:, i] - v.q[:, i]) for i, h in enumerate(henry)]
        bulk = [flux[:, i] - (1.0 - v.eps) / v.eps * rate for i, rate in enumerate(bound)]
        return Equations(rate={"c": np.stack(bulk, axis=1), "q": np.stack(bound, axis=self.axis)})


class Transposed(Cells):
    """The same cells, with the bound phase as components by cells."""

    axis = 0


def _loaded(kind: type[Unit]) -> Callable[[], Any]:
    def run() -> Any:
        column = kind("column")
        recipe = Recipe(Phase("load", duration=10.0), Phase("wash", duration=20.0, fixed={column.c_in: 0.0}))
        return simulate(Flowsheet(column, time="min"), recipe, inputs={column.F: 1.0, column.c_in: 1.0})

    return run


# 3. A feed that is to be decided, and that the recipe still holds from an earlier simulation.


def _fed_best(**held: bool) -> Callable[[], Any]:
    def run() -> Any:
        tank = FedBatch("tank")
        fixed = {tank.F: 2.0} if held else {}
        return optimize(
            Flowsheet(tank, time="h"),
            Recipe(Phase("feed", duration=Free(20.0, 5.0, 60.0), fixed=fixed)),
            free={tank.F: PiecewiseLinear(10)},
            maximize=AtEnd(lambda v: v.tank.X * v.tank.V / (v.time + 8.0)),
            subject_to=[
                AtEnd(lambda v: v.tank.V, upper=150.0, name="full"),
                Path(lambda v: v.tank.X, upper=60.0, name="oxygen"),
            ],
        )

    return run


# 4. Broth that is sent to a surge tank which the phase, copied from the one before, still has at rest.


class Harvested(FedBatch):
    """A fed-batch that is emptied at the rate Q."""

    Q = Control("L/h", start=0.0, lower=0.0, upper=200.0)
    broth = Outlet(flow="L/h", X="g/L")

    def equations(self, v: Any) -> Equations:
        fed = super().equations(v)
        return Equations(rate={**fed.rate, "V": v.F - v.Q}, port={"broth": {"flow": v.Q, "X": v.X}})


class Tank(Unit):
    """A tank in amounts: it may start empty."""

    time = "h"
    n = State("g", start=0.0, lower=0.0)
    V = State("L", start=0.0, lower=0.0)
    feed = Inlet(flow="L/h", X="g/L")

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"n": v.feed.flow * v.feed.X, "V": v.feed.flow})


def _transferred(at_rest: bool) -> Callable[[], Any]:
    def run() -> Any:
        reactor, surge = Harvested("reactor"), Tank("surge")
        recipe = Recipe(
            Phase("grow", duration=15.0, idle=[surge], fixed={reactor.Q: 0.0}),
            Phase(
                "transfer",
                duration=1.0,
                idle=[surge] if at_rest else [],
                routes=[(reactor.broth, surge.feed)],
                fixed={reactor.F: 0.0},
            ),
        )
        return simulate(Flowsheet(reactor, surge, time="h"), recipe, inputs={reactor.F: 2.0, reactor.Q: 100.0})

    return run


# 5. A batch phase that must use up its glycerol within limits that are too short for it.


def _batch_then_feed(limits: Free) -> Callable[[], Any]:
    def run() -> Any:
        tank = FedBatch("tank")
        recipe = Recipe(
            Phase("glycerol", duration=limits, until=Reaches(tank.S, 0.5, "falling"), fixed={tank.F: 0.0}),
            Phase("feed", duration=Free(12.0, 2.0, 40.0)),
        )
        return optimize(
            Flowsheet(tank, time="h"),
            recipe,
            free={tank.F: PiecewiseLinear(5)},
            maximize=AtEnd(lambda v: v.tank.X * v.tank.V / (v.time + 8.0)),
            subject_to=[
                AtEnd(lambda v: v.tank.V, upper=150.0, name="full"),
                Path(lambda v: v.tank.X, upper=60.0, name="oxygen"),
            ],
        )

    return run


# 6. The end of the batch is awaited as a rise of the substrate, which only falls.


def _until(direction: str) -> Callable[[], Any]:
    def run() -> Any:
        tank = FedBatch("tank")
        recipe = Recipe(
            Phase(
                "batch",
                duration=Free(5.0, 1.0, 20.0),
                until=Reaches(tank.S, 0.5, direction),
                fixed={tank.F: 0.0},
            ),
            Phase("feed", duration=10.0),
        )
        return simulate(Flowsheet(tank, time="h"), recipe, inputs={tank.F: 2.0})

    return run


# 7. Draw and fill, with more drawn than there is in the tank.


def _drawn(litres: float) -> Callable[[], Any]:
    def run() -> Any:
        tank = FedBatch("tank")
        recipe = Recipe(
            Phase("first", duration=10.0),
            Phase("second", duration=10.0, start={tank.V: lambda v: v.tank.V - litres}),
        )
        return simulate(Flowsheet(tank, time="h"), recipe, inputs={tank.F: 2.0})

    return run


# 8. An exponential feed that soon asks for more than the pump can give.


def _exponentially(rate: float) -> Callable[[], Any]:
    def run() -> Any:
        tank = FedBatch("tank")
        recipe = Recipe(Phase("feed", duration=20.0))
        return simulate(Flowsheet(tank, time="h"), recipe, inputs={tank.F: lambda t: 1.0 * np.exp(rate * t)})

    return run


# 9. A heat transfer that was typed ten times too small: no coolant flow can take the heat of reaction away.


class Cooled(Unit):
    """A + B -> C with dosed B at constant temperature; the coolant flow F_c takes the heat of reaction away."""

    time = "h"
    c_A = State("mol/L", start=2.0, lower=0.0)
    c_B = State("mol/L", start=0.0, lower=0.0)
    F_c = Algebraic("L/h", start=10.0, lower=0.0)
    dose = Control("mol/L/h", start=0.5, lower=0.0, upper=2.0)
    k = Parameter("L/mol/h", 1.0)
    heat = Parameter("kJ/mol", 100.0)
    V = Parameter("L", 1000.0)
    UA = Parameter("kJ/h/K", 5000.0)
    F_half = Parameter("L/h", 500.0)
    T = Parameter("K", 340.0)
    T_c = Parameter("K", 300.0)

    def equations(self, v: Any) -> Equations:
        r = v.k * v.c_A * v.c_B
        taken = v.UA * v.F_c / (v.F_c + v.F_half) * (v.T - v.T_c)
        return Equations(rate={"c_A": -r, "c_B": v.dose - r}, zero={"F_c": v.heat * r * v.V - taken})


def _cooled(UA: float) -> Callable[[], Any]:
    def run() -> Any:
        reactor = Cooled("reactor", UA=UA)
        return simulate(Flowsheet(reactor, time="h"), Recipe(Phase("dose", duration=3.0)), inputs={reactor.dose: 0.5})

    return run


# 10. A fit that frees the rate of product formation where only biomass and substrate were measured.


def _fitted(blind: bool) -> Any:
    tank = FedBatch("tank")
    plant, recipe = Flowsheet(tank, time="h"), Recipe(Phase("feed", duration=20.0))
    inputs = {tank.F: 2.0}
    truth = simulate(plant, recipe, inputs=inputs)
    hours = np.arange(1.0, 20.0, 1.0)
    random = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            name: np.interp(hours, truth[variable].index, truth[variable].to_numpy())
            + random.normal(0.0, 0.1, hours.size)
            for name, variable in (("tank.X", tank.X), ("tank.S", tank.S))
        },
        index=hours,
    )
    experiment = Experiment(frame, noise={tank.X: 0.1, tank.S: 0.1}, recipe=recipe, inputs=inputs)
    free = [tank.mu_max, tank.q_P] if blind else [tank.mu_max]
    return plant, recipe, inputs, estimate(plant, [experiment], free=free)


def _blind() -> Any:
    return _fitted(blind=True)[-1]


def _seen() -> Any:
    plant, recipe, inputs, fit = _fitted(blind=False)
    return simulate(plant.with_values(fit.values), recipe, inputs=inputs)


POSED = (SpecificationError, SolveError)

MISTAKES = (
    Mistake("an if on a state", _grown(Starving), _grown(FedBatch), ("tank.S",), (DeclarationError,)),
    Mistake("a balance stacked sideways", _loaded(Transposed), _loaded(Cells), ("column.q",), (DeclarationError,)),
    Mistake("a free control still fixed", _fed_best(held=True), _fed_best(), ("tank.F",), (SpecificationError,)),
    Mistake(
        "broth sent to a tank at rest",
        _transferred(at_rest=True),
        _transferred(at_rest=False),
        ("surge",),
        (SpecificationError, FlowsheetError),
    ),
    Mistake(
        "a phase too short for its end",
        _batch_then_feed(Free(1.5, 0.5, 2.0)),
        _batch_then_feed(Free(5.0, 1.0, 20.0)),
        ("glycerol",),
        POSED,
    ),
    Mistake("an end awaited from below", _until("rising"), _until("falling"), ("tank.S",), POSED),
    Mistake("more drawn than there is", _drawn(150.0), _drawn(50.0), ("tank.V",), POSED),
    Mistake("a feed beyond the pump", _exponentially(0.25), _exponentially(0.12), ("tank.F",), POSED),
    Mistake("a heat no coolant can take", _cooled(500.0), _cooled(5000.0), ("reactor.F_c",), POSED),
    Mistake("a parameter the data cannot see", _blind, _seen, ("tank.q_P",), POSED),
)
