"""How accurate are columns, and how fast? Work and precision of every method: `python -m benchmarks.chromatography`.

Four-component steric mass action, load-wash-elute (Puttmann et al., Comput. Chem. Eng. 56 (2013) 46), by the three
transport models. Errors are largest differences by the height of each protein's peak: from the published solution on
4096 cells where the folder of TITER_DATA is given (lumped rate model), else from an own fine solution. Times are
medians of warm, interleaved runs of `simulate`, and are compared with the own finite volumes (WENO3) on 256 cells: a
reference simulator took 0.65 s for the first accuracy where those took 0.92 s.
`--quick` takes fewer grids and repeats, and writes no file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness import RESULTS, interleaved, median, record, show, verdict
from titer.cases.case import Claim
from titer.flowsheets import Flowsheet, Recipe, simulate
from titer.flowsheets.chromatograms import gradient, step
from titer.flowsheets.units import (
    Column,
    DiscontinuousGalerkin,
    FiniteVolumes,
    GeneralRate,
    LumpedRate,
    LumpedRateWithPores,
    SpectralElements,
    StericMassAction,
)
from titer.numerics.spatial import Method

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray
PROTEINS = ("lysozyme", "cytochrome", "ribonuclease")
VELOCITY, HEIGHT = 5.75e-4, 1.4  # m/s of the liquid that flows, cm
BEADS = {"D_ax": 5.75e-8, "eps_c": 0.37, "eps_p": 0.75, "r_p": 45.0, "k_f": 6.9e-6}
D_P = [7e-10, 6.07e-11, 6.07e-11, 6.07e-11]  # m^2/s
POINTS = 705  # of the elution, every 2 s
TOLERANCE = 1e-6
YARDSTICK = FiniteVolumes(256)
FIRST, SECOND = (9e-4, 11e-4, 4e-4), (1e-4, 1e-4, 1e-4)
FASTEST = {"first": 0.25 * 0.65 / 0.92, "second": 0.3 / 0.92}  # of the yardstick's time
FILE = "cadet/ref_LRM_reqSMA_4comp_sensbenchmark1_FV_Z4096.csv"
SE, DG, FV = SpectralElements, DiscontinuousGalerkin, FiniteVolumes


@dataclass(frozen=True)
class Model:
    """A transport model of the case, with the grids that are compared, and the fine one that they are compared with."""

    name: str
    transport: Any
    porosity: float
    grids: tuple[Method, ...]
    quick: tuple[Method, ...]
    fine: Method
    finest: Any = None  # the transport with which the fine solution is made


@dataclass(frozen=True)
class Work:
    """A run: its time, the number of states, and what left, proteins by times."""

    seconds: float
    states: int
    left: Array = field(repr=False)


MODELS = (
    Model(
        "LRM", LumpedRate(D_ax=5.75e-8, eps_t=0.8425), 0.8425,
        (SE(14, 4), SE(18, 4), SE(20, 4), SE(24, 4), SE(28, 4), DG(16, 3), DG(24, 3), DG(36, 3), FV(128), YARDSTICK,
         FV(512)),
        (SE(20, 4), SE(28, 4), DG(24, 3), YARDSTICK), SE(56, 4),
    ),
    Model(
        "LRMP", LumpedRateWithPores(**BEADS), 0.37,
        (SE(4, 3), SE(6, 3), SE(8, 3), DG(6, 3), DG(10, 3), FV(64), FV(128)), (SE(6, 3), DG(6, 3), FV(64)), SE(16, 4),
    ),
    Model(
        "GRM", GeneralRate(**BEADS, D_p=D_P, shells=4), 0.37,
        (SE(3, 3), SE(5, 3), SE(7, 3), DG(4, 3), DG(6, 3), FV(32), FV(64)), (SE(5, 3), DG(4, 3)), SE(10, 4),
        GeneralRate(**BEADS, D_p=D_P, shells=6),
    ),
)  # fmt: skip


def column_of(transport: Any, method: Method) -> Column:
    """The column, of 1 mL: only the velocity counts."""
    law = StericMassAction(
        bound=PROTEINS,
        Lambda=1200.0,
        k_a=[35.5, 1.59, 7.7],
        k_d=1000.0,
        nu=[4.7, 5.29, 3.7],
        sigma=[11.83, 10.6, 10.0],
    )
    components = ("salt", *PROTEINS)
    return Column(
        "column", components=components, transport=transport, binding=law, method=method, L=HEIGHT, CV=1.0,
        start={"salt": 50.0},
    )  # fmt: skip


def runner(transport: Any, porosity: float, method: Method, tolerance: float = TOLERANCE) -> Callable[[], Work]:
    """A function that runs load, wash and elution; the column is declared once, as for a study of several runs."""
    column = column_of(transport, method)
    plant, flow = Flowsheet(column), 60.0 * VELOCITY / (0.01 * HEIGHT) * porosity
    recipe = Recipe(
        step(column, "load", {"salt": 50.0, **dict.fromkeys(PROTEINS, 1.0)}, flow=flow, duration=10.0),
        step(column, "wash", {"salt": 50.0}, flow=flow, duration=80.0),
        gradient(column, "elute", {"salt": 100.0}, {"salt": 382.0}, flow=flow, duration=1410.0),
    )

    def run() -> Work:
        began = perf_counter()
        found = simulate(plant, recipe, points=POINTS, tolerance=tolerance)
        seconds = perf_counter() - began
        rows = [found[column.outlet.c[key]].to_numpy()[-POINTS:] for key in PROTEINS]
        return Work(seconds, len(found.phases[0].states), np.array(rows))

    return run


def reference(model: Model) -> tuple[Array, str]:
    """What leaves, proteins by times, and where it is known from."""
    folder = os.environ.get("TITER_DATA")
    if model.name == "LRM" and folder:
        published = np.loadtxt(Path(folder) / FILE, delimiter=",", skiprows=1)
        return published[92:1501:2, 2:].T, "published, 4096 cells"
    fine = runner(model.finest or model.transport, model.porosity, model.fine, 1e-8)()
    return fine.left, f"own, {model.fine}"


def errors(found: Array, expected: Array) -> tuple[float, ...]:
    """The largest difference by the height of the peak, of each protein."""
    return tuple(np.abs(found - expected).max(axis=1) / np.abs(expected).max(axis=1))


def measure(quick: bool, repeats: int) -> list[dict[str, Any]]:
    """A row for each model and grid: states, seconds, seconds by the yardstick's, errors."""
    grids = [(model, grid) for model in MODELS for grid in (model.quick if quick else model.grids)]
    runs = {(m.name, grid): runner(m.transport, m.porosity, grid) for m, grid in grids}
    done = interleaved(runs, repeats)
    known = {model.name: reference(model) for model in MODELS}
    seconds = {key: median(work.seconds for work in works) for key, works in done.items()}
    rows = []
    for (name, grid), works in done.items():
        expected, source = known[name]
        rows.append(
            {
                "model": name,
                "method": type(grid).__name__,
                "grid": repr(grid),
                "label": label(grid),
                "intervals": grid.intervals,
                "states": works[0].states,
                "seconds": seconds[name, grid],
                "by_yardstick": seconds[name, grid] / seconds["LRM", YARDSTICK],
                "errors": errors(works[0].left, expected),
                "reference": source,
            }
        )
    return rows


def label(grid: Method) -> str:
    """A grid in short: SE 4:20, DG 3:24 (degree and elements), FV 256."""
    if isinstance(grid, FiniteVolumes):
        return f"FV {grid.cells}"
    assert isinstance(grid, SpectralElements | DiscontinuousGalerkin)
    return f"{'SE' if isinstance(grid, SpectralElements) else 'DG'} {grid.degree}:{grid.elements}"


def fastest(rows: Sequence[Mapping[str, Any]], accuracy: Sequence[float]) -> Mapping[str, Any] | None:
    """The fastest run of the lumped rate model with that accuracy for each protein."""
    good = [
        row
        for row in rows
        if row["model"] == "LRM" and all(e <= a for e, a in zip(row["errors"], accuracy, strict=True))
    ]
    return min(good, key=lambda row: row["seconds"], default=None)


def claims(rows: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """What the project promises."""
    made = []
    for name, accuracy in (("first", FIRST), ("second", SECOND)):
        best = fastest(rows, accuracy)
        ratio = float("nan") if best is None else best["by_yardstick"]
        made.append(Claim(f"LRM to the {name} accuracy, time by that of WENO3", ratio, FASTEST[name], kind="at most"))
    for name in ("LRMP", "GRM"):
        by_method: dict[str, float] = {}
        for row in rows:
            if row["model"] == name:
                by_method[row["method"]] = min(max(row["errors"]), by_method.get(row["method"], np.inf))
        least = sorted(by_method.values())[:2]
        made.append(Claim(f"{name}: two methods agree with the fine solution", max(least), 1e-3, kind="at most"))
    return made


def draw(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Largest error over time, a panel for each model, a line for each method."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    axes = figure.subplots(1, len(MODELS), sharex=True, sharey=True)
    looks = {"SpectralElements": "o-", "DiscontinuousGalerkin": "s--", "FiniteVolumes": "^:"}
    for ax, model in zip(axes, MODELS, strict=True):
        for method, look in looks.items():
            own = [row for row in rows if row["model"] == model.name and row["method"] == method]
            if own:
                x, y = [row["seconds"] for row in own], [max(row["errors"]) for row in own]
                ax.loglog(x, y, look, color="black", fillstyle="none", label=method)
        ax.set(title=model.name, xlabel="seconds")
        ax.grid(color="0.9", which="both", linewidth=0.5)
    axes[0].set_ylabel("largest error by the height of the peak")
    axes[-1].legend(frameon=False, fontsize="small", loc="lower right")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, record, draw, and return 1 when a claim fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chromatography", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer grids and repeats; writes no file")
    parser.add_argument("--repeats", type=int, default=None, help="runs of each, after one to warm up")
    given = parser.parse_args(arguments)
    repeats = given.repeats or (2 if given.quick else 5)
    rows = measure(given.quick, repeats)
    show(
        "Load-wash-elute on an ion exchanger",
        ("grid", "model", "states", "ms", "by WENO3", *(f"{key} 1e-4" for key in PROTEINS)),
        [
            (
                row["label"],
                row["model"],
                str(row["states"]),
                f"{1e3 * row['seconds']:.0f}",
                f"{row['by_yardstick']:.3f}",
                *(f"{1e4 * e:.2g}" for e in row["errors"]),
            )
            for row in rows
        ],
    )
    promised = claims(rows)
    if not given.quick:
        figures = {"repeats": repeats, "tolerance": TOLERANCE, "yardstick": repr(YARDSTICK), "runs": rows}
        record("chromatography", figures, promised)
        draw(rows).savefig(RESULTS / "chromatography.png", dpi=120)
    return verdict(promised)


if __name__ == "__main__":
    sys.exit(main())
