"""Pulses through a packed column: what do two flows tell of its pores, and does that predict the other flows?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases import pulse_analysis_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.cases.pulse_traces import (
    DEVIATIONS,
    FLOWS,
    INJECTED,
    Reading,
    Trace,
    Traces,
    excluded_volume,
    read_off,
    traces,
)
from titer.estimation import Experiment, Fit, Noise, estimate
from titer.flowsheets import Flowsheet, Free, Recipe, simulate
from titer.flowsheets.chromatograms import chromatogram, step
from titer.flowsheets.units import (
    UV,
    BeadSizes,
    Bed,
    ChungWen,
    Column,
    GeneralRate,
    Inert,
    SpectralElements,
    WilsonGeankoplis,
)

if TYPE_CHECKING:
    import pandas as pd

HEIGHT, DIAMETER = 25.0, 1.6  # cm, packed with SP Sepharose FF
RADIUS = 45.0  # um, the median by volume
D_M = 1e-10  # m^2/s in the liquid, of a protein of some 20 kDa; the film is no great resistance
FITTED = (47, 282)  # cm/h
KNOWN = {"eps_c": 0.32, "eps_p": 0.43, "D_p": 8e-12}  # of generated pulses
INJECTION = 3.15  # mL/min
LAST = 70.0  # mL, of the samples that are fitted
FIRST, EVERY = 19.0, 2.0  # mL: before that the excluded impurity counts at high flows


@dataclass(frozen=True)
class Mesh:
    """How the column is discretized; `sizes`: classes of beads."""

    elements: int
    shells: int
    sizes: int


@dataclass(frozen=True, eq=False)
class Rig:
    """Column and detector, and what their variables are called."""

    column: Column
    detector: UV
    plant: Flowsheet

    @property
    def names(self) -> dict[str, str]:
        """Names of what is estimated, by symbol."""
        transport: Any = self.column.transport
        return {"eps_c": transport.eps_c, "eps_p": transport.eps_p, "D_p": transport.D_p["protein"]}

    @property
    def epsilon(self) -> str:
        return str(self.detector.epsilon["protein"])

    def with_values(self, values: Mapping[str, float]) -> Rig:
        return replace(self, plant=self.plant.with_values(values))


COARSE, USUAL, FINE = Mesh(5, 3, 2), Mesh(6, 3, 3), Mesh(12, 4, 5)


@case("pulse_analysis", title="Pulses: pore diffusion from two flows, the others predicted")
def pulse_analysis(
    progress: Progress,
    *,
    quick: bool = False,
    data: str = "",
    seed: int = 1,
    bead_spread: float = 0.25,
    dead_mL: float = 0.0,
) -> Outcome:
    """A protein that does not bind, pulsed at four flows: moments, a fit of two, and a prediction of the others.

    Settings: `data`, a folder with recorded pulses (default: that of TITER_DATA; none: they are generated, by `seed`);
    `bead_spread`, of the logarithms of bead sizes (0.25: 99 % of the volume between 47 and 171 um, as the supplier
    says; 0: all alike); `dead_mL` between valve, column and detector, which otherwise counts as porosity; `quick`
    takes a coarser mesh.
    """
    fine = rig(FINE, bead_spread)
    truth = fine.with_values({fine.names[key]: value for key, value in KNOWN.items()})
    given = traces(data, partial(pulse, truth, dead=dead_mL), seed)
    progress(given.said)
    seen = {v: read_off(trace.signal, trace) for v, trace in given.of.items()}
    progress("; ".join(f"{v} cm/h: {r.mean:.2f} mL, {r.plates:.1f} plates" for v, r in seen.items()))
    between = excluded_volume([given.of[v] for v in (47, 94)]) - dead_mL if given.real else None
    guess = by_moments(seen, between, dead_mL, bead_spread)
    progress("by moments: " + told(guess))
    mesh = COARSE if quick else USUAL
    fit = fitted(rig(mesh, bead_spread), given, guess, dead_mL)
    found = {key: fit.values[name] for key, name in fine.names.items()}
    progress("fitted: " + told(found))
    models = {v: modelled(fine, fit, given.of[v], dead_mL) for v in FLOWS}
    made = {v: read_off(models[v], given.of[v]) for v in FLOWS}
    table = compared(seen, made)
    off = (f"{v} cm/h {row['top %']:+.2f}, {row['plates %']:+.1f}" for v, row in table.iterrows())
    progress("top and plates off by %: " + "; ".join(off))
    return Outcome(
        claims(given, fit, table, found, between),
        facts={"pulses": given.said, "values": found, "by_moments": guess, "table": table.to_dict("index")},
        figures={
            "pulses": lambda: pictures.draw_pulses(given.of, models, FITTED, given.real),
            "residuals": lambda: pictures.draw_residuals(given.of, models, FITTED),
            "van_deemter": lambda: pictures.draw_plates(seen, made, curve(found, bead_spread), FITTED, HEIGHT),
        },
        notes=notes(fit, found, table, between),
        sections={
            "read off and predicted": table,
            "parameters": fit.table(),
            "correlation": fit.correlation,
            "what the pulses tell": str(fit.estimability()),
        },
        sources=dict.fromkeys(fine.names.values(), f"fitted to the pulses at {FITTED[0]} and {FITTED[1]} cm/h"),
        data={f"{v} cm/h": trace.signal for v, trace in given.of.items()},
    )


@cache
def bed() -> Bed:
    """The packed bed."""
    return Bed.of_diameter(HEIGHT, DIAMETER)


def rig(mesh: Mesh, spread: float) -> Rig:
    """The column, whose dispersion and film follow the flow, and the detector; absorbance is by what was injected."""
    beads = GeneralRate(
        eps_c=KNOWN["eps_c"],
        eps_p=KNOWN["eps_p"],
        D_p=KNOWN["D_p"],
        r_p=RADIUS,
        shells=mesh.shells,
        sizes=BeadSizes.lognormal(spread, mesh.sizes) if spread > 0.0 else BeadSizes(),
        dispersion=ChungWen(),
        film=WilsonGeankoplis(D_m=D_M),
    )
    shared: dict[str, Any] = {"components": ("protein",), "concentration": "g/L"}
    method = SpectralElements(mesh.elements, 3)
    column = Column("column", transport=beads, binding=Inert(), method=method, **shared, **bed().sizes)
    detector = UV("detector", epsilon=0.055, path=0.2, tau=2.0, **shared)
    return Rig(column, detector, Flowsheet(column, detector, connect=[(column.outlet, detector.feed)]))


def run_of(rig: Rig, flow: float, volume: float) -> Recipe:
    """An injection, all of it at one flow, and the elution at another, up to a volume [mL]."""
    return Recipe(
        step(rig.column, "inject", {"protein": 100.0}, flow=INJECTION, duration=seconds(INJECTED, flow)),
        step(rig.column, "elute", {}, flow=flow, duration=seconds(volume, flow) - seconds(INJECTED, flow)),
    )


def seconds(volume: Any, flow: float) -> Any:
    """When a volume [mL], beyond that of the injection, has left."""
    return 60.0 * (INJECTED / INJECTION + (volume - INJECTED) / flow)


def pulse(rig: Rig, velocity: int, dead: float = 0.0, until: float = 100.0) -> pd.Series:
    """The signal over volume as it would be recorded."""
    import pandas as pd

    run = simulate(rig.plant, run_of(rig, FLOWS[velocity], until), points=1000, tolerance=1e-8)
    volume = chromatogram(run, rig.column, outlet=rig.detector.outlet).volume + dead
    even = np.arange(0.0, until, 0.1)
    values = np.interp(even, volume, run[rig.detector.A].to_numpy())
    return pd.Series(values, index=pd.Index(even, name="volume [mL]"), name="absorbance [AU]")


def by_moments(seen: Mapping[int, Reading], between: float | None, dead: float, spread: float) -> dict[str, float]:
    """Porosities from first moments, pore diffusion from how the plate height grows with velocity (film neglected).

    H = 2 D_ax/u + 2 u (k/(1 + k))^2 r^2/(15 F eps_p D_p), F = (1 - eps_c)/eps_c, k = F eps_p. Source: Kucera (1965).
    """
    eps_c = KNOWN["eps_c"] if between is None else between / bed().volume
    total = float(np.mean([seen[v].mean for v in FITTED]) - dead) / bed().volume
    eps_p, F = (total - eps_c) / (1.0 - eps_c), (1.0 - eps_c) / eps_c
    k = F * eps_p
    heights = [0.01 * HEIGHT / seen[v].plates for v in FITTED]
    speeds = [0.01 / 3600.0 * v / eps_c for v in FITTED]
    slope = (heights[1] - heights[0]) / (speeds[1] - speeds[0])
    radius = 1e-6 * RADIUS * np.exp(spread**2)  # the mean square
    return {"eps_c": eps_c, "eps_p": eps_p, "D_p": 2.0 * (k / (1.0 + k)) ** 2 * radius**2 / (15.0 * F * eps_p * slope)}


def fitted(rig: Rig, given: Traces, guess: Mapping[str, float], dead: float) -> Fit:
    """The fit of porosities and pore diffusion, shared, and of what was injected, of each pulse; by shooting."""
    free = {
        rig.names["eps_c"]: Free(guess["eps_c"], 0.2, 0.5),
        rig.names["eps_p"]: Free(guess["eps_p"], 0.1, 0.95),
        rig.names["D_p"]: Free(guess["D_p"], 1e-12, 1e-10, log=True),
        rig.epsilon: Free(0.055, 0.01, 0.3, each=True),
    }
    return estimate(rig.plant, [experiment(rig, given.of[v], dead) for v in FITTED], free, starts=1)


def experiment(rig: Rig, trace: Trace, dead: float) -> Experiment:
    """A pulse as samples of absorbance every 2 mL, means over half a mL."""
    import pandas as pd

    volumes = np.arange(FIRST, LAST + 0.1, EVERY)
    frame = pd.DataFrame({rig.detector.A: trace.averaged(volumes, 0.5)}, index=seconds(volumes - dead, trace.flow))
    noise = {rig.detector.A: Noise(*DEVIATIONS)}
    recipe = run_of(rig, trace.flow, LAST + 1.0)
    return Experiment(frame, noise, recipe, name=f"{trace.velocity} cm/h", may_leave=(str(rig.detector.A),))


def modelled(rig: Rig, fit: Fit, trace: Trace, dead: float) -> pd.Series:
    """The signal of the fitted model on a fine mesh, as high as the pulse: what was injected is not predicted."""
    shape = pulse(rig.with_values(fit.values), trace.velocity, dead)
    common = trace.signal.index[trace.signal.index >= trace.begins].intersection(shape.index)
    ours, theirs = shape[common].to_numpy(), trace.signal[common].to_numpy()
    return shape * float(ours @ theirs / (ours @ ours))


def compared(seen: Mapping[int, Reading], made: Mapping[int, Reading]) -> pd.DataFrame:
    """A row for each velocity: what was read off, what the model gives, and how far that is off in %."""
    import pandas as pd

    rows = {}
    for v in seen:
        row: dict[str, Any] = {"role": "fitted" if v in FITTED else "predicted"}
        for key, label in (("top", "top"), ("mean", "first moment"), ("plates", "plates")):
            a, b = getattr(seen[v], key), getattr(made[v], key)
            row |= {label: a, f"{label}, model": b, f"{label} %": 100.0 * (b / a - 1.0)}
        rows[v] = row
    return pd.DataFrame(rows).T.rename_axis("cm/h")


def curve(found: Mapping[str, float], spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Plate heights [cm] of whole peaks by theory over velocities [cm/h], with the correlations of the model."""
    velocity = np.linspace(15.0, 320.0, 100)
    eps_c, eps_p, D_p = found["eps_c"], found["eps_p"], found["D_p"]
    v, r = velocity / 360000.0, 1e-6 * RADIUS
    u, F = v / eps_c, (1.0 - eps_c) / eps_c
    Re = 1000.0 * v * 2.0 * r / 1e-3
    D_ax = v * 2.0 * r / (0.2 + 0.011 * Re**0.48)
    k_f = 1.09 / eps_c * (2.0 * r * v / D_M) ** (1.0 / 3.0) * D_M / (2.0 * r)
    k = F * eps_p
    film, pores = r / (3.0 * k_f), (r * np.exp(spread**2)) ** 2 / (15.0 * eps_p * D_p)
    height = 2.0 * D_ax / u + 2.0 * u * (k / (1.0 + k)) ** 2 / F * (film + pores)
    return velocity, 100.0 * height


def claims(
    given: Traces, fit: Fit, table: pd.DataFrame, found: Mapping[str, float], between: float | None
) -> tuple[Claim, ...]:
    """What the case stands for."""
    made = []
    for v, row in table.iterrows():
        what = f"{v} cm/h, {row['role']}"
        made.append(Claim(f"{what}: first moment, off by", abs(row["first moment %"]), 1.0, kind="at most", unit="%"))
        if v not in FITTED:
            made.append(Claim(f"{what}: top, off by", abs(row["top %"]), 1.0, kind="at most", unit="%"))
            made.append(Claim(f"{what}: plates, off by", abs(row["plates %"]), 10.0, kind="at most", unit="%"))
    errors = fit.table()["relative error %"]
    error = float(errors.filter(like="D_p").iloc[0])
    drift = 100.0 * (table["first moment"].max() / table["first moment"].min() - 1.0)
    apart = max(c.largest_deviation for c in fit.certificates)
    made += [
        Claim("first moment at all flows, apart by", drift, 1.5, kind="at most", unit="%"),
        Claim("standard error of the pore diffusivity", error, 5.0, kind="at most", unit="%"),
        Claim("the fit replayed by another integrator, apart by", apart, 1e-4, kind="at most"),
    ]
    if between is not None:
        made.append(Claim("porosity by the excluded impurity", between / bed().volume, found["eps_c"], 0.015))
    if not given.real:
        deviations = fit.table()["standard error"]
        for key, value in KNOWN.items():
            apart = abs(found[key] - value) / float(deviations.filter(like=key).iloc[0])
            made.append(Claim(f"{key}, off the truth by standard errors", apart, 3.0, kind="at most"))
    return tuple(made)


def notes(fit: Fit, found: Mapping[str, float], table: pd.DataFrame, between: float | None) -> tuple[str, ...]:
    """What an engineer would take home."""
    errors = fit.table()["standard error"]
    predicted, own = (table[table["role"] == role] for role in ("predicted", "fitted"))
    said = [
        f"Pore diffusivity {found['D_p']:.3g} +- {float(errors.filter(like='D_p').iloc[0]):.1g} m2/s, porosities "
        f"{found['eps_c']:.3f} between beads and {found['eps_p']:.3f} within them, as far as the protein gets.",
        f"From {FITTED[0]} and {FITTED[1]} cm/h the others follow: tops within "
        f"{predicted['top %'].abs().max():.2f} %, plates within {predicted['plates %'].abs().max():.1f} %; of the "
        f"fitted ones within {own['top %'].abs().max():.2f} and {own['plates %'].abs().max():.1f} %.",
        "The first moment does not depend on the flow, plates do: pore diffusion. Bead sizes make the tails.",
    ]
    if between is not None:
        said.append(
            f"An impurity that no pore takes leaves after {between:.2f} mL, {between / bed().volume:.3f} of the bed: "
            "the porosity between beads (and dead volume), which the fit was not told."
        )
    return tuple(said)


def told(values: Mapping[str, float]) -> str:
    """Values in words."""
    return f"eps_c {values['eps_c']:.4f}, eps_p {values['eps_p']:.4f}, D_p {values['D_p']:.3e} m2/s"
