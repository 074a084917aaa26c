"""parmest and Pyomo.DoE run from wheels alone: documented examples reach their published parameters and designs.

Each model is written from the equations of its example. parmest asks for the solver "ipopt" by name and gets the
bundled one; Pyomo.DoE takes a solver.
"""

from __future__ import annotations

import numpy as np
import pyomo.dae as dae
import pyomo.environ as pyo
import pytest
from pyomo.contrib.parmest.experiment import Experiment
from scipy.optimize import least_squares

from titer.flowsheets.pyomo import bundled_ipopt

# --- parmest ----------------------------------------------------------------------------------------------------------

HOURS, YIELDS = (1, 2, 3, 4, 5, 7), (8.3, 10.3, 19.0, 16.0, 15.6, 19.8)
BARD = (
    [(0.1 * i, 100.0) for i in range(1, 6)] + [(0.05 * i, 200.0) for i in range(1, 6)]
    + [(0.02 * i, 300.0) for i in range(1, 6)],
    [0.98, 0.983, 0.955, 0.979, 0.993, 0.626, 0.544, 0.455, 0.225, 0.167, 0.566, 0.317, 0.034, 0.016, 0.006],
)  # fmt: skip


class RooneyBiegler(Experiment):
    """y = asymptote (1 - exp(-rate_constant hour)), one measurement an experiment."""

    def __init__(self, hour: float, y: float, error: float | None = None, theta=(15.0, 0.5)):
        self.hour, self.y, self.error, self.theta = hour, y, error, theta
        self.model = None

    def get_labeled_model(self) -> pyo.ConcreteModel:
        m = self.model = pyo.ConcreteModel()
        m.asymptote, m.rate_constant = (pyo.Var(initialize=value) for value in self.theta)
        m.hour = pyo.Var(initialize=self.hour, bounds=(0, 10))
        for v in (m.asymptote, m.rate_constant, m.hour):
            v.fix()
        m.y = pyo.Var(initialize=self.y, within=pyo.PositiveReals)
        m.response = pyo.Constraint(expr=m.y == m.asymptote * (1 - pyo.exp(-m.rate_constant * m.hour)))
        label(m, outputs=[(m.y, self.y)], errors=[(m.y, self.error)], inputs=[(m.hour, self.hour)],
              unknown=[m.asymptote, m.rate_constant])  # fmt: skip
        return m


class Bard(Experiment):
    """y = exp(-k1 x1 exp(-k2 / x2)) (Bard, Nonlinear Parameter Estimation, table 5.2)."""

    def __init__(self, x1: float, x2: float, y: float):
        self.x1, self.x2, self.y = x1, x2, y

    def get_labeled_model(self) -> pyo.ConcreteModel:
        m = pyo.ConcreteModel()
        m.k1, m.k2 = pyo.Var(initialize=750, bounds=(0, None)), pyo.Var(initialize=1200, bounds=(0, None))
        m.k1.fix()
        m.k2.fix()
        m.y = pyo.Expression(expr=pyo.exp(-m.k1 * self.x1 * pyo.exp(-m.k2 / self.x2)))
        label(m, outputs=[(m.y, self.y)], errors=[(m.y, None)], inputs=[], unknown=[m.k1, m.k2])
        return m


def label(m: pyo.ConcreteModel, outputs, errors, inputs, unknown) -> None:
    """The Suffixes by which parmest and Pyomo.DoE know a model."""
    entries = {
        "experiment_outputs": outputs,
        "measurement_error": errors,
        "experiment_inputs": inputs,
        "unknown_parameters": [(v, pyo.value(v)) for v in unknown],
    }
    for name, values in entries.items():
        setattr(m, name, pyo.Suffix(direction=pyo.Suffix.LOCAL))
        getattr(m, name).update(values)


@pytest.fixture
def parmest():
    return pytest.importorskip("pyomo.contrib.parmest.parmest")


def test_parmest_rooney_biegler_gives_the_published_parameters(parmest):
    """Published (Rooney and Biegler, AIChE J. 47, 2001): asymptote 19.1426, rate constant 0.5311."""
    experiments = [RooneyBiegler(hour, y) for hour, y in zip(HOURS, YIELDS, strict=True)]
    with bundled_ipopt():
        squares, theta = parmest.Estimator(experiments, obj_function="SSE").theta_est()
    assert theta["asymptote"] == pytest.approx(19.1426, abs=1e-3)
    assert theta["rate_constant"] == pytest.approx(0.5311, abs=1e-4)
    assert squares == pytest.approx(4.33171, abs=1e-4)


@pytest.mark.slow
def test_parmest_covariance_by_finite_differences_is_that_of_the_derivatives(parmest):
    """parmest's default, the reduced Hessian, needs a binary that is in no wheel; this one solves five models each."""
    hours, yields = HOURS[::2], YIELDS[::2]
    with bundled_ipopt():
        experiments = [RooneyBiegler(hour, y) for hour, y in zip(hours, yields, strict=True)]
        estimator = parmest.Estimator(experiments, obj_function="SSE")
        mean, theta = estimator.theta_est()  # parmest divides the sum of squares by the number of experiments
        covariance = estimator.cov_est(method="finite_difference")
    variance = mean * len(hours) / (len(hours) - 2)
    own = np.linalg.inv(information(hours, (theta["asymptote"], theta["rate_constant"]), error=1.0)) * variance
    assert covariance.to_numpy() == pytest.approx(own, rel=1e-2)


def test_parmest_simple_reaction_is_the_least_squares_of_scipy(parmest):
    at, measured = BARD
    with bundled_ipopt():
        experiments = [Bard(x1, x2, y) for (x1, x2), y in zip(at, measured, strict=True)]
        squares, theta = parmest.Estimator(experiments, obj_function="SSE").theta_est()
    x1, x2 = np.array(at).T
    own = least_squares(
        lambda k: np.exp(-k[0] * x1 * np.exp(-k[1] / x2)) - measured,
        [750.0, 1200.0], x_scale=[1e3, 1e3], xtol=1e-15, ftol=1e-15, gtol=1e-15,
    )  # fmt: skip
    assert squares == pytest.approx(2 * own.cost / len(measured), rel=1e-6)
    assert [theta["k1"], theta["k2"]] == pytest.approx(own.x.tolist(), rel=1e-3)  # the valley is flat along it


# --- Pyomo.DoE --------------------------------------------------------------------------------------------------------


@pytest.fixture
def doe():
    return pytest.importorskip("pyomo.contrib.doe")


def information(hours, theta=(15.0, 0.5), error: float = 0.1) -> np.ndarray:
    """The Fisher information of measurements of the Rooney-Biegler model, by its derivatives."""
    t = np.asarray(hours, dtype=float)
    jacobian = np.column_stack([1 - np.exp(-theta[1] * t), theta[0] * t * np.exp(-theta[1] * t)])
    return jacobian.T @ jacobian / error**2


def test_doe_information_of_rooney_biegler_is_that_of_its_derivatives(doe):
    found = np.zeros((2, 2))
    for hour, y in zip(HOURS, YIELDS, strict=True):
        found += doe.DesignOfExperiments(
            experiment=RooneyBiegler(hour, y, error=0.1), solver=pyo.SolverFactory("titer.ipopt")
        ).compute_FIM()
    assert found == pytest.approx(information(HOURS), rel=1e-4)


def test_doe_best_next_experiment_lasts_as_long_as_it_may(doe):
    """Documented: hour 10, logarithm of the determinant 6.8648."""
    designed = doe.DesignOfExperiments(
        experiment=RooneyBiegler(HOURS[0], YIELDS[0], error=0.1),
        objective_option=doe.ObjectiveLib.determinant,
        fd_formula="central",
        prior_FIM=information(HOURS),
        solver=pyo.SolverFactory("titer.ipopt"),
    )
    designed.run_doe()
    assert designed.results["Experiment Design"][0] == pytest.approx(10.0, abs=1e-4)
    assert designed.results["log10 D-opt"] == pytest.approx(6.864794717802814, abs=1e-4)
    best = np.log10(np.linalg.det(information([*HOURS, 10.0])))
    assert designed.results["log10 D-opt"] == pytest.approx(best, abs=1e-4)


@pytest.mark.slow
def test_doe_runs_with_the_solver_it_asks_for_by_name(doe):
    """Pyomo.DoE's default is "ipopt" with ma57, which no wheel holds: MUMPS answers."""
    with bundled_ipopt():
        found = doe.DesignOfExperiments(experiment=RooneyBiegler(3, 19.0, error=0.1)).compute_FIM()
    assert found == pytest.approx(information([3]), rel=1e-4)


class Series(Experiment):
    """Pyomo.DoE's reactor example, A -> B -> C with Arrhenius rates, here at one temperature."""

    times = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
    nominal = {"A1": 84.79, "A2": 371.72, "E1": 7.78, "E2": 15.05}
    error = 1e-2

    def __init__(self, c_A: float, T: float):
        self.c_A, self.T, self.model = c_A, T, None

    def get_labeled_model(self) -> pyo.ConcreteModel:
        m = self.model = pyo.ConcreteModel()
        m.t = dae.ContinuousSet(initialize=self.times)
        m.A, m.B, m.C = (pyo.Var(m.t, initialize=1.0, bounds=(0, None)) for _ in range(3))
        m.theta = pyo.Var(list(self.nominal), initialize=self.nominal)
        m.theta.fix()
        m.T = pyo.Var(initialize=self.T, bounds=(300, 700))
        m.T.fix()
        m.k = pyo.Expression(
            [1, 2], rule=lambda m, i: m.theta[f"A{i}"] * pyo.exp(-m.theta[f"E{i}"] * 1e3 / 8.314 / m.T)
        )
        m.dA, m.dB = dae.DerivativeVar(m.A), dae.DerivativeVar(m.B)
        m.ode_A = pyo.Constraint(m.t, rule=lambda m, t: m.dA[t] == -m.k[1] * m.A[t])
        m.ode_B = pyo.Constraint(m.t, rule=lambda m, t: m.dB[t] == m.k[1] * m.A[t] - m.k[2] * m.B[t])
        m.total = pyo.Constraint(m.t, rule=lambda m, t: m.A[0] == m.A[t] + m.B[t] + m.C[t])
        m.A[0].fix(self.c_A)
        m.B[0].fix(0.0)
        pyo.TransformationFactory("dae.collocation").apply_to(m, wrt=m.t, nfe=10, ncp=3)
        seen = [v[t] for v in (m.A, m.B, m.C) for t in self.times]
        label(m, outputs=[(v, None) for v in seen], errors=[(v, self.error) for v in seen],
              inputs=[(m.A[0], None), (m.T, None)], unknown=list(m.theta.values()))  # fmt: skip
        return m

    def outputs(self, theta: np.ndarray) -> np.ndarray:
        """The measurements, by the closed solution."""
        t = np.array(self.times)
        k = theta[:2] * np.exp(-theta[2:] * 1e3 / 8.314 / self.T)
        a = self.c_A * np.exp(-k[0] * t)
        b = self.c_A * k[0] / (k[1] - k[0]) * (np.exp(-k[0] * t) - np.exp(-k[1] * t))
        return np.concatenate([a, b, self.c_A - a - b])


def test_doe_information_of_a_series_reaction_is_that_of_its_closed_solution(doe):
    experiment = Series(5.0, 500.0)
    found = doe.DesignOfExperiments(
        experiment=experiment, fd_formula="central", step=1e-3, scale_nominal_param_value=True,
        solver=pyo.SolverFactory("titer.ipopt"),
    ).compute_FIM(method="sequential")  # fmt: skip
    theta = np.array(list(Series.nominal.values()))
    steps = np.diag(1e-3 * theta)
    sides = [(experiment.outputs(theta + s) - experiment.outputs(theta - s)) / 2e-3 for s in steps]
    jacobian = np.column_stack(sides) / Series.error  # relative to the parameters' nominal values
    own = jacobian.T @ jacobian
    assert found == pytest.approx(own, rel=1e-3, abs=1e-3 * np.abs(own).max())
