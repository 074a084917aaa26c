"""Is the PID controller the one of the books? Closed loops with answers in closed form, saturation and hand-over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.control.loops_toys import FirstOrder, lag, lasting, plant
from titer.control import PID, Actuator, Loop, Manual, Missing, StepResponse, close_loop, step_response, tuned
from titer.estimation import Sample
from titer.flowsheets import Control, Equations, Flowsheet, Free, Parameter, Phase, Reaches, Recipe, State, Unit
from titer.numerics.errors import SpecificationError

K, TAU = 2.0, 50.0
EXACT = {"tolerance": 1e-11}


def unit_step(at):
    """A set point that goes from 0 to 1."""
    return lambda t: 1.0 if t >= at - 1e-6 else 0.0


def pid(loop, every=10.0, duration=400.0, **more):
    return PID(plant, lasting(duration), [loop], every, inputs={lag.d: 0.0}, **more)


@pytest.mark.parametrize("share", [0.2, 0.7, 1.0])
def test_a_loop_whose_zero_cancels_the_lag_is_of_first_order(share):
    """With a = exp(-h/tau) and T_i = h a / (1 - a) the loop is g / (z - 1): y_k = 1 - (1 - g)^k, deadbeat at g = 1."""
    h = 10.0
    a = np.exp(-h / TAU)
    loop = Loop(lag.y, lag.u, unit_step(h), gain=share * a / (K * (1.0 - a)), integral=h * a / (1.0 - a))
    log = close_loop(plant, pid(loop), **EXACT)
    k = np.maximum(np.arange(len(log.truth)) - 1, 0)
    np.testing.assert_allclose(log.truth[lag.y], 1.0 - (1.0 - share) ** k, atol=1e-9)


def test_fast_sampling_gives_the_continuous_second_order_response():
    """tau y'' + (1 + K k) y' + K k / T_i y = K k (r' + r / T_i), for set-point weight 0 without the zero; the error of
    sampling is of first order in h."""
    gain, integral = 1.0, 20.0
    omega = np.sqrt(K * gain / (integral * TAU))
    zeta = 0.5 * (1.0 + K * gain) / (TAU * omega)
    damped = omega * np.sqrt(1.0 - zeta**2)

    def exact(t):
        return 1.0 - np.exp(-zeta * omega * t) * (np.cos(damped * t) + zeta * omega / damped * np.sin(damped * t))

    off = []
    for h in (0.5, 0.25):
        loop = Loop(lag.y, lag.u, unit_step(h), gain, integral, weight=0.0)
        log = close_loop(plant, pid(loop, h, 100.0), points=2)
        t = np.maximum(log.truth.index.to_numpy() - h, 0.0)
        off.append(np.abs(log.truth[lag.y] - exact(t)).max())
    assert off[0] < 0.02
    assert off[0] / off[1] == pytest.approx(2.0, rel=0.1)


def test_the_derivative_damps_what_it_should():
    """A double lag under PD: x'' = K (b r - y) - K T_d y' settles as the characteristic polynomial says."""

    class DoubleIntegrator(Unit):
        """dy/dt = s, ds/dt = u."""

        time = "s"
        y = State("1", start=0.0, nominal=1.0)
        s = State("1/s", start=0.0, nominal=1.0)
        u = Control("1/s**2", start=0.0, lower=-100.0, upper=100.0)

        def equations(self, v):
            return Equations(rate={"y": v.s, "s": v.u})

    cart = DoubleIntegrator("cart")
    body, h = Flowsheet(cart), 0.01
    loop = Loop(cart.y, cart.u, unit_step(h), gain=4.0, derivative=0.7)  # omega 2, zeta 0.7 but for the filter
    log = close_loop(body, PID(body, lasting(4.0), [loop], h), points=2)
    lagging = loop.derivative / 10.0  # the filter: s^2 (T_f s + 1) + K (T_f s + 1) + K T_d s
    poles = np.roots([lagging, 1.0, 4.0 * (lagging + 0.7), 4.0])
    numerator = 4.0 * np.array([lagging, 1.0])
    residues = [
        np.polyval(numerator, p) / (p * np.polyval(np.polyder([lagging, 1.0, 4.0 * (lagging + 0.7), 4.0]), p))
        for p in poles
    ]
    t = np.maximum(log.truth.index.to_numpy() - h, 0.0)
    exact = 1.0 + sum((r * np.exp(p * t)).real for r, p in zip(residues, poles, strict=True))
    assert np.abs(log.truth[cart.y] - exact).max() < 0.03


def test_the_integral_takes_away_a_constant_disturbance():
    loop = Loop(lag.y, lag.u, 1.0, gain=0.5, integral=40.0)
    controller = replace(pid(loop, duration=1500.0), inputs={lag.d: -0.7})
    log = close_loop(plant.with_values({lag.K: 1.6}), controller)
    assert log.truth[lag.y].iloc[-1] == pytest.approx(1.0, abs=1e-6)
    assert log.commanded[lag.u].iloc[-1] == pytest.approx(1.0 / 1.6 + 0.7, abs=1e-6)


def test_a_saturated_loop_does_not_wind_up():
    """Set point out of reach: what is asked stays K T_t / T_i times the error beyond the limit, and comes back at once
    when the set point does; without tracking it takes long."""
    h, gain, integral = 10.0, 0.5, 40.0
    wanted = lambda t: 5.0 if t < 995.0 else 0.5  # noqa: E731
    loop = Loop(lag.y, lag.u, wanted, gain, integral, upper=1.0)
    sticking = []
    for tracking in (None, 1e9):
        log = close_loop(plant, pid(replace(loop, tracking=tracking), h, 3000.0))
        sticking.append(int((log.commanded[lag.u].loc[1000.0:] >= 1.0).sum()))
        assert log.truth[lag.y].max() <= K + 1e-9
    assert sticking[0] == 0
    assert sticking[1] > 100
    controller = pid(loop, h, 3000.0)
    memory = controller.start(Sample(0.0, {lag.y: K}))
    for k in range(90):
        _, memory = controller.step(memory, Sample(h * k, {lag.y: K}), phase="run")
    assert memory.parts[0].asked - 1.0 == pytest.approx(gain * (5.0 - K) * loop.tracking_time / integral)


def test_commands_keep_their_limits_and_their_rate():
    limits = {"lower": -1.0, "upper": 1.5, "rate": 0.04}
    loop = Loop(lag.y, lag.u, lambda t: 3.0 * np.sign(np.sin(t / 40.0)), gain=4.0, integral=20.0, **limits)
    log = close_loop(plant, pid(loop, duration=600.0), noise={lag.y: 0.3}, seed=3)
    summary = log.summary()
    assert summary.beyond[lag.u] <= 0.5 - 9.0 + 1e-12
    assert log.commanded[lag.u].between(-1.0, 1.5).all()
    assert summary.fastest[lag.u] <= 0.04 * (1.0 + 1e-9)


def test_the_start_and_the_return_from_manual_are_bumpless():
    """Nothing moves as the loop is closed, and after an operator's hand the control goes on from where it was left."""
    loop = Loop(lag.y, lag.u, 1.0, gain=1.0, integral=1e6, start=0.3)
    controller = pid(loop, duration=300.0)
    log = close_loop(
        plant.with_values({lag.y: 0.8}), controller, manual=[Manual(100.0, 200.0, {lag.u: 0.9})],
        actuators={lag.u: Actuator(start=0.3)},
    )  # fmt: skip
    assert log.commanded[lag.u].iloc[0] == pytest.approx(0.3, abs=1e-12)
    assert log.commanded[lag.u].loc[200.0] == pytest.approx(0.9, abs=1e-4)


def test_a_missing_measurement_leaves_the_control_where_it_is():
    loop = Loop(lag.y, lag.u, 1.0, gain=0.5, integral=40.0)
    log = close_loop(plant, pid(loop), faults=[Missing(name=lag.y, start=50.0, end=100.0)])
    assert log.commanded[lag.u].loc[50.0:90.0].nunique() == 1
    assert log.commanded[lag.u].loc[40.0] == log.commanded[lag.u].loc[50.0]
    assert set(log.steps["fallback"].loc[50.0:90.0]) == {"lag.y is missing: lag.u stays"}
    assert log.summary().fallbacks == 5


def test_a_saved_memory_goes_on_as_if_nothing_had_happened(tmp_path):
    controller = pid(Loop(lag.y, lag.u, 1.0, gain=0.8, integral=30.0, derivative=4.0, rate=0.05))
    samples = [Sample(10.0 * k, {lag.y: np.sin(0.3 * k)}) for k in range(20)]
    memory, actions = controller.start(samples[0]), []
    for k, sample in enumerate(samples):
        if k == 9:
            memory.save(tmp_path / "memory")
        action, memory = controller.step(memory, sample, phase="run")
        actions.append(action.values[lag.u])
    memory = controller.resume(tmp_path / "memory.npz")
    for sample, expected in zip(samples[9:], actions[9:], strict=True):
        action, memory = controller.step(memory, sample)
        assert action.values[lag.u] == expected


def test_phases_last_as_planned_or_until_their_condition():
    recipe = Recipe(
        Phase("one", duration=Free(55.0, 10.0, 100.0)),
        Phase("two", duration=Free(50.0, 10.0, 400.0), until=Reaches(lag.y, 0.9, "rising")),
        Phase("three", duration=23.0),
    )
    loop = Loop(lag.y, lag.u, 1.0, gain=1.0, integral=50.0)
    controller = PID(plant, recipe, [loop], 10.0, inputs={lag.d: 0.0}, durations={"one": 65.0})
    log = close_loop(plant, controller)
    assert log.run.duration["one"] == pytest.approx(65.0)
    assert log.run.at_end(lag.y, "two") == pytest.approx(0.9, abs=1e-8)
    assert log.run.duration["three"] == pytest.approx(23.0)
    assert log.complete


class Delayed(Unit):
    """A lag behind many small ones, which together delay: n lags of theta / n."""

    time = "s"
    stages: int = 40
    y = State("1", start=0.0, nominal=1.0)
    c = State("1", start=0.0, nominal=1.0, over="cells")
    u = Control("1", start=0.0, lower=-10.0, upper=10.0)
    tau = Parameter("s", 60.0)
    theta = Parameter("s", 20.0)

    @property
    def cells(self):
        return tuple(range(1, self.stages + 1))

    def equations(self, v):
        moved = np.concatenate([[v.u], v.c[:-1]])
        n = float(self.stages)
        return Equations(rate={"c": n * (moved - v.c) / v.theta, "y": (3.0 * v.c[-1] - v.y) / v.tau})


def test_simc_settings_are_those_of_skogestad():
    """3, 60, 20: K_c = 60 / (3 * 40) = 0.5, T_i = min(60, 160); integrating: 1 / (k' 2 theta), 8 theta."""
    assert StepResponse(3.0, 60.0, 20.0, 0.05).settings() == pytest.approx({"gain": 0.5, "integral": 60.0})
    assert StepResponse(np.inf, np.inf, 20.0, 0.05).settings() == pytest.approx({"gain": 0.5, "integral": 160.0})
    unit = Delayed("slow")
    response = step_response(Flowsheet(unit), lasting(600.0), unit.y, unit.u, 0.5, {unit.u: 1.0})
    assert (response.gain, response.lag, response.delay) == pytest.approx((3.0, 60.0, 20.0), rel=0.03)
    loop = tuned(Loop(unit.y, unit.u, 1.0, gain=9.0), response)
    assert (loop.gain, loop.integral) == pytest.approx((0.5, 60.0), rel=0.05)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"gain": 0.0}, "Loop of lag.u: gain must be a finite number other than 0"),
        ({"integral": -1.0}, "Loop of lag.u: expected integral > 0"),
        ({"control": lag.y}, "PID: control 'lag.y' is unknown"),
        ({"measured": lag.u}, "PID: lag.u is a control, not a measurement"),
    ],
)
def test_a_loop_that_does_not_fit_is_refused(change, text):
    with pytest.raises(SpecificationError, match=f"^{text}"):
        pid(Loop(**{"measured": lag.y, "control": lag.u, "setpoint": 1.0, "gain": 1.0, **change}))


def test_time_does_not_run_backwards():
    controller = pid(Loop(lag.y, lag.u, 1.0, gain=1.0))
    memory = controller.start(Sample(20.0, {lag.y: 0.0}))
    with pytest.raises(SpecificationError, match=r"^Sample: time runs backwards: the sample is at t = 10 s"):
        controller.step(memory, Sample(10.0, {lag.y: 0.0}))


def test_a_measurement_that_is_unknown_is_named():
    tank = FirstOrder("tank")
    with pytest.raises(SpecificationError, match=r"^PID: measurement 'tank\.z' is unknown"):
        PID(Flowsheet(tank), lasting(10.0), [Loop("tank.z", tank.u, 1.0, gain=1.0)], 1.0)


def test_a_dict_is_no_sample():
    with pytest.raises(SpecificationError, match=r"^expected Sample\(time, \{name: value\}\), got dict"):
        pid(Loop(lag.y, lag.u, 1.0, gain=1.0)).start({lag.y: 0.0})
