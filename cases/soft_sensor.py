"""What is in the reactor, if only its temperature is measured? B from the heat of reaction, by three estimators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from titer.cases import soft_sensor_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.cases.soft_sensor_pictures import NAMES


@case("soft_sensor", title="Soft sensor: product from temperature")
def soft_sensor(progress: Progress, *, quick: bool = False, batches: int = 24) -> Outcome:
    """Concentration of B from the temperature alone, when charge, heel and catalyst are not what they should be.

    The heat of reaction shows in the temperature under a known jacket. A simulation, an extended Kalman filter and
    moving horizon estimation believe the same of the start, which is wrong; then a laboratory helps, late. Settings:
    `batches` that are drawn; `quick` takes a quarter.
    """
    from titer.cases import soft_sensor_batches as studied  # units and plants are made there

    count = max(6, batches // 4) if quick else batches
    estimators = studied.estimators()
    found = studied.drawn(estimators, count, progress)
    errors = {name: np.array([batch.errors(name) for batch in found]) for name in NAMES}
    sizes = {name: float(np.sqrt(np.mean(each**2))) for name, each in errors.items()}
    progress("rms error of c_B, mol/L: " + ", ".join(f"{name} {size:.4f}" for name, size in sizes.items()))
    inside = {name: studied.consistency(estimators[name], 2 if quick else 4) for name in NAMES[1:3]}
    progress("innovations inside their 95 % band: " + ", ".join(f"{n} {100 * x:.1f} %" for n, x in inside.items()))
    shown = max(found, key=lambda batch: float(np.abs(batch.errors(NAMES[0])).max()))
    return Outcome(
        claims(errors, sizes, inside),
        facts={
            "rms_error_mol_per_L": sizes,
            "inside_band": inside,
            "batches": count,
            "coverage": studied.coverage(found),
        },
        figures={
            "batch": lambda: pictures.draw_batch(shown, studied.reactor),
            "errors": lambda: pictures.draw_errors(errors, shown.log.measured.index.to_numpy()),
            "innovations": lambda: pictures.draw_innovations(shown.believed[NAMES[2]]),
        },
        notes=notes(sizes),
    )


def claims(
    errors: Mapping[str, np.ndarray], sizes: Mapping[str, float], inside: Mapping[str, float]
) -> tuple[Claim, ...]:
    """The order of the estimators, whether they know how wrong they are, and what late values are worth."""
    blind, filtered, horizon, helped = NAMES
    last = {name: float(np.sqrt(np.mean(each[:, -1] ** 2))) for name, each in errors.items()}
    consistent = [Claim(f"innovations of the {name} in their 95 % band", x, 0.94, 0.04) for name, x in inside.items()]
    return (
        Claim(
            "error of the Kalman filter, by that of the simulation",
            sizes[filtered] / sizes[blind],
            0.8,
            kind="at most",
        ),
        Claim(
            "error of the moving horizon, by that of the Kalman filter",
            sizes[horizon] / sizes[filtered],
            0.97,
            kind="at most",
        ),
        *consistent,
        Claim("error at the end with a laboratory, by that without", last[helped] / last[horizon], 0.5, kind="at most"),
    )


def notes(sizes: Mapping[str, float]) -> tuple[str, ...]:
    """What an engineer should know of the numbers."""
    return (
        "The reaction of 1 mol/L of A lifts the contents some 3 K above the jacket: estimators see no more than this. "
        "B shows by its own reaction late, and through A and the material balance before.",
        "The moving horizon gains what the bounds are worth: concentrations of the whole window are at least 0, where "
        "the filter can only cut off the last one. Where temperatures are sampled often the two come closer.",
        f"Rms errors over all samples of all batches: {', '.join(f'{n} {s:.3f} mol/L' for n, s in sizes.items())}.",
    )
