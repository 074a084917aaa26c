"""The four-component load-wash-elute on an ion exchanger: salt, lysozyme, cytochrome, ribonuclease.

Source: Puttmann et al., Comput. Chem. Eng. 56 (2013) 46; parameters of SP Sepharose FF in SI units.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.flowsheets import Flowsheet, Phase, PiecewiseLinear, Recipe, simulate
from titer.flowsheets.units.columns import Column, Equilibrium, LumpedRate, StericMassAction

PROTEINS = ("lysozyme", "cytochrome", "ribonuclease")
VELOCITY = 5.75e-4  # m/s


def ion_exchanger(transport: Any = None, exchange: Any = None, **changes: Any) -> Column:
    """The column, of 1 mL: only the velocity counts."""
    law = StericMassAction(
        bound=PROTEINS,
        exchange=exchange or Equilibrium(),
        Lambda=1200.0,
        k_a=[35.5, 1.59, 7.7],
        k_d=1000.0,
        nu=[4.7, 5.29, 3.7],
        sigma=[11.83, 10.6, 10.0],
    )
    transport = transport or LumpedRate(D_ax=5.75e-8, eps_t=0.8425)
    fixed = {"components": ("salt", *PROTEINS), "binding": law, "L": 1.4, "CV": 1.0, "start": {"salt": 50.0}}
    return Column("column", transport=transport, **(fixed | changes))


def load_wash_elute(column: Column, eps: float) -> Recipe:
    """10 s of load, 80 s of wash, a gradient to 1500 s."""
    feed = column.feed
    flow = {feed.flow: VELOCITY / 0.014 * eps * 60.0}
    loaded, empty = ({feed.c[key]: value for key in PROTEINS} for value in (1.0, 0.0))
    gradient = PiecewiseLinear(values=[100.0, 382.0])
    return Recipe(
        Phase("load", 10.0, inputs={**flow, **loaded, feed.c["salt"]: 50.0}),
        Phase("wash", 80.0, inputs={**flow, **empty, feed.c["salt"]: 50.0}),
        Phase("elute", 1410.0, inputs={**flow, **empty, feed.c["salt"]: gradient}),
    )


def outlet(column: Column, eps: float, tolerance: float = 1e-6, points: int = 705) -> tuple[np.ndarray, np.ndarray]:
    """Times of the elution, every 2 s with 705 points, and what leaves then (components, times)."""
    run = simulate(Flowsheet(column), load_wash_elute(column, eps), points=points, tolerance=tolerance)
    rows = [run[column.outlet.c[key]] for key in column.components]
    times = rows[0].index.to_numpy()
    return times[-points:], np.array([row.to_numpy()[-points:] for row in rows])


def apart(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The largest difference by the largest value, of each protein."""
    return np.abs(found - expected)[1:].max(axis=1) / np.abs(expected)[1:].max(axis=1)
