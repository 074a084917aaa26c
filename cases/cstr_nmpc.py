"""How well does a nonlinear controller hold a reactor that no linear one likes, on a plant that is not its model?"""

from __future__ import annotations

from collections.abc import Mapping

from titer.cases import cstr_nmpc_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.control import Failing, Summary
from titer.flowsheets import Path

KLATT_ENGELL = (2.14, 1.09)  # mol/L of A and B at their operating point
AHEAD, BLIND, BAD = "NMPC that looks ahead", "NMPC without disturbances", "NMPC, noise and failures"


@case("cstr_nmpc", title="NMPC of Van de Vusse's reactor against PI")
def cstr_nmpc(progress: Progress, *, quick: bool = False) -> Outcome:
    """Set-point changes of Van de Vusse's reactor on a plant with other kinetics and cooling: NMPC against tuned PI.

    An extended Kalman filter estimates what is wrong with the model, which leaves no offset; without it there is one.
    Then measurements are noisy, 5 % of the solves fail and 5 % of the measurements are lost. `quick` holds each set
    point for a shorter time and tries fewer settings of the PI loops.
    """
    from titer.cases import cstr_nmpc_loops as loops  # units and plants are made there

    recipe, wanted, hold = loops.setpoints(quick)
    steering = loops.predictive(recipe, estimated=True).build()
    logs = {
        "NMPC": loops.closed(steering, wanted, ahead=False),
        AHEAD: loops.closed(steering, wanted),
        BLIND: loops.closed(loops.predictive(recipe, estimated=False), wanted),
    }
    logs["PI"], tuned = loops.best_pi(recipe, wanted, quick)
    logs[BAD] = loops.closed(Failing(steering, solver=0.05, nan=0.05, seed=3), wanted, seed=3, noise=loops.NOISE)
    for name, log in logs.items():
        progress(f"{name}: {loops.told(log, wanted, hold)}")
    sizes = {name: loops.missed(log, wanted) for name, log in logs.items()}
    offsets = {name: loops.offset(log, wanted, hold) for name, log in logs.items()}
    rough = logs[BAD].summary(subject_to=[Path(lambda v: v.reactor.T, upper=loops.HOT, name="hot")])
    reactor = loops.reactor
    return Outcome(
        claims(sizes, offsets, rough, loops.published()),
        facts={
            "error_integral_mol_h_per_L": sizes,
            "offsets_mol_per_L": offsets,
            "milliseconds": {name: [1e3 * s for s in log.summary().seconds] for name, log in logs.items()},
            "pi": {str(loop.control): {"gain": loop.gain, "integral_h": loop.integral} for loop in tuned},
            "statuses": {name: dict(log.summary().statuses) for name, log in logs.items()},
        },
        figures={
            "setpoints": lambda: pictures.draw_setpoints(logs, reactor),
            "failures": lambda: pictures.draw_failures(logs[BAD], reactor, loops.HOT),
            "predictions": lambda: logs[AHEAD].plot_plans(reactor.c_B, every=10),
            "times": lambda: logs["NMPC"].plot_times(),
        },
        notes=notes(sizes),
    )


def claims(
    sizes: Mapping[str, float], offsets: Mapping[str, float], rough: Summary, operated: tuple[float, float]
) -> tuple[Claim, ...]:
    """No offset, better than PI, and nothing that must not happen where things fail."""
    shares = {name: size / sizes["PI"] for name, size in sizes.items()}
    return (
        Claim("operating point of Klatt and Engell: A", operated[0], KLATT_ENGELL[0], 0.005, unit="mol/L"),
        Claim("operating point of Klatt and Engell: B", operated[1], KLATT_ENGELL[1], 0.005, unit="mol/L"),
        Claim("offset of B with disturbances estimated", offsets["NMPC"], 1e-4, kind="at most", unit="mol/L"),
        Claim("offset of B without them", offsets[BLIND], 0.01, kind="at least", unit="mol/L"),
        Claim("error integral of NMPC, by that of PI", shares["NMPC"], 0.6, kind="at most"),
        Claim("error integral where it looks ahead, by that of PI", shares[AHEAD], 0.3, kind="at most"),
        Claim("noise and failures: commands beyond bounds", max(rough.beyond.values()), 0.0, kind="at most"),
        Claim("noise and failures: temperature over its limit", (rough.missed or {})["hot"], 0.0, kind="at most"),
        Claim("noise and failures: steps without a solve", float(rough.fallbacks), 1.0, kind="at least"),
        Claim("noise and failures: error integral, by that of PI without", shares[BAD], 0.6, kind="at most"),
    )


def notes(sizes: Mapping[str, float]) -> tuple[str, ...]:
    """What an engineer should know of the numbers."""
    return (
        f"Integrals of the error of B, mol h/L: {', '.join(f'{name} {size:.4f}' for name, size in sizes.items())}.",
        "The PI loops have been given the best of several speeds on the plant itself; the NMPC knows the model only. "
        "More feed first dilutes B before it makes more of it: this is what limits the PI loop.",
        "As many disturbances are estimated as there are measurements. With one less, on the coolant, an offset of "
        "2e-3 mol/L and 1 K stays on this plant.",
    )
