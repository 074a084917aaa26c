"""How fast is the same step through `NMPC.step`, with all that a controller does around a solve?

The reactor of do-mpc's example with the same horizon, moves, bounds and prices, declared as a user would: the squares
are integrated over time instead of added at the ends of the steps, and the soft limit holds at all collocation points,
so that its moves differ a little from do-mpc's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter, process_time

import numpy as np

from titer.cases.van_de_vusse import VanDeVusse
from titer.control import NMPC, Converged, RealTimeIteration, Soft, Track
from titer.estimation import Sample
from titer.flowsheets import Flowsheet, Path, Phase, PiecewiseConstant, Recipe, State
from titer.numerics import Grid

Array = np.ndarray
STEP, PIECES, KELVIN = 0.005, 20, 273.15
Note = Callable[[float, float, Array, int, bool], None]  # seconds, seconds of the processor, moves, iterations, solved


class Bounded(VanDeVusse):
    """The tank with the bounds of do-mpc's example."""

    c_A = State("mol/L", start=0.8, lower=0.1, upper=2.0, nominal=1.0)
    c_B = State("mol/L", start=0.5, lower=0.1, upper=2.0, nominal=1.0)
    T = State("K", start=407.29, lower=50.0 + KELVIN)
    T_k = State("K", start=403.15, lower=50.0 + KELVIN, upper=140.0 + KELVIN)


def replay(states: Sequence[Mapping[str, Array]], prepared: bool, note: Note) -> None:
    """Answer the states of a closed loop; `prepared`: by one step, made ready before the sample comes."""
    cstr = Bounded("cstr")
    controller = NMPC(
        Flowsheet(cstr, time="h"),
        Recipe(Phase("run", duration=STEP * (len(states) + 2 * PIECES))),
        every=STEP,
        horizon=PIECES * STEP,
        free={cstr.F: PiecewiseConstant(every=STEP), cstr.Q: PiecewiseConstant(every=STEP)},
        minimize=Track({cstr.c_B: 0.6}) * (1.0 / STEP),
        moves={cstr.F: 0.1 / 100.0**2, cstr.Q: 1e-3 / 2000.0**2},
        subject_to=[Soft(Path(lambda v: v.cstr.T, upper=140.0 + KELVIN), weight=100.0 / STEP)],
        grid=Grid(elements=PIECES, degree=2),
        method=RealTimeIteration() if prepared else Converged(),
    )

    def sample(k: int) -> Sample:
        a, b, T, T_k = states[k]["x"]
        return Sample(k * STEP, {cstr.c_A: a, cstr.c_B: b, cstr.T: T + KELVIN, cstr.T_k: T_k + KELVIN})

    memory = controller.start(sample(0), applied={cstr.F: 5.0, cstr.Q: 0.0})
    for k in range(1, len(states)):
        memory = controller.prepare(memory) if prepared else memory
        applied = dict(zip((cstr.F, cstr.Q), states[k]["before"], strict=True))
        began, worked = perf_counter(), process_time()
        action, memory = controller.step(memory, sample(k), applied=applied)
        worked, seconds = process_time() - worked, perf_counter() - began
        moves = np.array([action.values[cstr.F], action.values[cstr.Q]])
        note(seconds, worked, moves, 1, action.fallback is None)
