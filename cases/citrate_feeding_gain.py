"""Where does the gain of a better feed come from, and how flat is it? Citrate by mechanism and time; uses of oil."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.numerics import Solution
from titer.numerics.reduced import reduced

Array = np.ndarray
MECHANISMS = {  # of the rate at which citrate is made, in the order of the model's equation
    "nitrogen gone": lambda v, p: p["K_iN"] / (p["K_iN"] + v["N"]),
    "enough oil": lambda v, p: v["S"] / (v["S"] + p["K_S"]),
    "too much oil": lambda v, p: p["K_iS"] / (p["K_iS"] + v["S"]),
    "crowding of cells": lambda v, p: p["K_iX"] / (p["K_iX"] + v["X"]),
    "citrate made before": lambda v, p: 1.0 - v["C"] / p["C_max"],
    "mass of cells": lambda v, p: v["X"] * v["V"],
}


@dataclass(frozen=True, eq=False)
class Gain:
    """What one batch makes more than another. `time` (n,) h; `by_mechanism`: the rate of the gain (n,), g/h of citrate.

    The parts add up to the difference of both rates at every time.
    """

    time: Array
    by_mechanism: Mapping[str, Array]

    @property
    def totals(self) -> dict[str, float]:
        """What each mechanism contributes by the end, g of citrate."""
        return {name: float(np.trapezoid(rate, self.time)) for name, rate in self.by_mechanism.items()}

    @property
    def so_far(self) -> Array:
        """The gain up to each time (n,), g of citrate."""
        rate = np.sum(list(self.by_mechanism.values()), axis=0)
        return np.append(0.0, np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(self.time)))


def gain_of(better: Solution, worse: Solution) -> Gain:
    """The gain in citrate, split by mechanism at every time.

    The rate is a product of factors f, so its difference is the sum of L(r, r') ln(f / f') with L the logarithmic mean.
    Method: the logarithmic mean Divisia index (Ang, Energy Policy 32 (2004) 1131), which leaves no residual.
    """
    time = np.linspace(0.0, float(better["tank.C"].index[-1]), 14001)
    factors = [_factors(run, time) for run in (better, worse)]
    first, second = (np.prod(list(f.values()), axis=0) for f in factors)
    ratio = np.log(first / second)
    mean = np.where(np.abs(ratio) > 1e-9, (first - second) / np.where(np.abs(ratio) > 1e-9, ratio, 1.0), first)
    p = better.values
    largest = 2.0 * (1.0 - p["tank.r_L"]) * p["tank.b_LCmax"] * _oxygen(better, time)
    return Gain(time, {name: largest * mean * np.log(f / factors[1][name]) for name, f in factors[0].items()})


def uses_of_oil(run: Solution) -> dict[str, float]:
    """What the oil went into, g; "left" is what is in the broth at the end."""
    p, time = _parameters(run), run["tank.C"].index.to_numpy()  # where an input jumps, twice
    S, oxygen, X, V, mu, q_C, b_L = (
        run[f"tank.{name}"].to_numpy() for name in ("S", "O", "X", "V", "mu", "q_C", "b_L")
    )
    rates = {
        "biomass": mu / p["Y_xs"],
        "citrate": q_C / p["Y_cs"],
        "lipid": b_L / p["Y_ls"],
        "maintenance": p["m_s"] * oxygen / (p["K_O"] + oxygen) * S / (p["K_S"] + S),
    }
    used = {name: float(np.trapezoid(rate * X * V, time)) for name, rate in rates.items()}
    return used | {"left": run.at_end("tank.S") * run.at_end("tank.V")}


@dataclass(frozen=True, eq=False)
class Flatness:
    """How the reward bends at the optimum in the steps that are inside their bounds, all else following.

    `steps` (k,) their numbers; `bend` (k,) eigenvalues and `directions` (k, k) eigenvectors (columns) of minus the
    second derivative of the reward in the feeds, in shares of the largest feed; `slopes` (all steps): what a step held
    at a bound would cost to move.
    """

    steps: Array
    bend: Array
    directions: Array
    slopes: Array

    def alone(self, loss: float) -> Array:
        """By how much each step may be off, alone, for this loss of reward (k,), in shares of the largest feed."""
        own = (self.directions**2) @ self.bend
        return np.sqrt(2.0 * loss / own)

    def stiffest(self, loss: float) -> Array:
        """The move of all these steps (k,) that loses this much soonest, in shares of the largest feed."""
        return self.directions[:, -1] * np.sqrt(2.0 * loss / self.bend[-1])


def flatness(plan: Solution, largest: float) -> Flatness:
    """The reduced Hessian of an optimum over the steps of its feed. Method: see `titer.numerics.reduced`."""
    started: Any = plan.iterate
    placement = started.assembled.runs[0][0]
    cells = started.assembled.nlp.cells[placement.block.name][placement.block.slot("input:tank.F_S").cells]
    seen = reduced(started.engine.program, started.outcome, started.scaling, cells)
    feed = np.asarray(plan.phases[0].shapes["tank.F_S"][1]) / largest
    steps = np.flatnonzero((feed > 1e-3) & (feed < 1.0 - 1e-3))
    bend, directions = np.linalg.eigh(seen.hessian[np.ix_(steps, steps)] * largest**2)
    return Flatness(steps, bend, directions, seen.gradient * largest)


def _factors(run: Solution, time: Array) -> dict[str, Array]:
    v, p = _states(run, time), _parameters(run)
    return {name: function(v, p) for name, function in MECHANISMS.items()}  # type: ignore[no-untyped-call]


def _states(run: Solution, time: Array) -> dict[str, Array]:
    """States at given times; a rounding below zero is none."""
    return {name: np.maximum(_at(run, name, time), 1e-12) for name in "XCLSNV"}


def _parameters(run: Solution) -> dict[str, float]:
    return {name.removeprefix("tank."): value for name, value in run.values.items()}


def _oxygen(run: Solution, time: Array) -> Array:
    O = _at(run, "O", time)  # noqa: E741 (the source's letter)
    return O / (run.values["tank.K_O"] + O)


def _at(run: Solution, name: str, time: Array) -> Array:
    series = run[f"tank.{name}"]
    return np.interp(time, series.index.to_numpy(), series.to_numpy())
