"""The index is CasADi's; a reduced model gives the solution of the model; projection keeps it for a hundred periods."""

from itertools import count

import casadi as ca
import numpy as np
import pytest
from scipy.special import ellipk

from titer.numerics.dae import Dae, Variable
from titer.numerics.errors import FlowsheetError
from titer.numerics.integration.consistency import InconsistentError, projected, residuals
from titer.numerics.integration.integrate import integrate
from titer.numerics.integration.trajectory import Piece
from titer.numerics.reduction import index_of, numerically_singular, reduced

NONE = np.zeros(0)
G = 9.81


def column(entries):
    return ca.vertcat(ca.SX(0, 1), *entries)


def dae_of(states, algebraics, equations, rate, zero, inputs=(), parameters=()):
    """A model by names; `rate` and `zero` are functions of (t, x, z, u, p)."""
    groups = (states, algebraics, inputs, parameters)
    t, (x, z, u, p) = ca.SX.sym("t"), (ca.SX.sym("v", len(names)) for names in groups)
    f, g = column(rate(t, x, z, u, p)), column(zero(t, x, z, u, p))
    named = [tuple(Variable(name, "m") for name in names) for names in groups]
    function = ca.Function("model", [t, x, z, u, p], [f, g, ca.SX(0, 1)])
    return Dae("model", "s", function, *named, equations=tuple(equations))


def pendulum():
    return dae_of(
        ("x", "y", "vx", "vy"),
        ("lam",),
        ("length",),
        lambda t, x, z, u, p: [x[2], x[3], -z[0] * x[0], -z[0] * x[1] - G],
        lambda t, x, z, u, p: [x[0] ** 2 + x[1] ** 2 - 1.0],
    )


def tank(level=lambda t, u, p: 2.0, inputs=(), parameters=()):
    """A level that is held by the outflow."""
    return dae_of(
        ("V", "c"),
        ("F_out",),
        ("level",),
        lambda t, x, z, u, p: [1.0 - z[0], (5.0 - x[1]) / x[0]],
        lambda t, x, z, u, p: [x[0] - level(t, u, p)],
        inputs,
        parameters,
    )


def chain():
    """x1 = sin(t), and the force that makes it so four integrations above: index 4."""
    return dae_of(
        ("x1", "x2", "x3"),
        ("force",),
        ("path",),
        lambda t, x, z, u, p: [x[1], x[2], z[0]],
        lambda t, x, z, u, p: [x[0] - ca.sin(t)],
    )


def through_an_algebraic():
    """A state held through an algebraic variable whose derivative is needed: x = w = sin(t), x' = v."""
    return dae_of(
        ("x",), ("v", "w"), ("same", "path"), lambda t, x, z, u, p: [z[0]],
        lambda t, x, z, u, p: [x[0] - z[1], z[1] - ca.sin(t)],
    )  # fmt: skip


def algebraic():
    return dae_of(("x",), ("w",), ("w",), lambda t, x, z, u, p: [-z[0]], lambda t, x, z, u, p: [z[0] - 2.0 * x[0]])


def casadi_index(dae):
    t, x, z, u, p = (ca.SX.sym(letter, n) for letter, n in zip("txzup", (1, *dae.sizes), strict=True))
    slope = ca.SX.sym("slope", x.numel())
    rate, zero, _ = dae.function(t, x, z, u, p)
    implicit = {"t": t, "x_impl": x, "dx_impl": slope, "z": z, "p": ca.vertcat(u, p)}
    return ca.dae_reduce_index({**implicit, "alg": ca.vertcat(slope - rate, zero)}, {})[1]["index"]


@pytest.mark.parametrize(
    ("model", "index"), [(algebraic, 1), (tank, 2), (through_an_algebraic, 2), (pendulum, 3), (chain, 4)]
)
def test_the_index_is_the_one_that_casadi_finds(model, index):
    assert index_of(model()).index == index == casadi_index(model())
    assert index_of(reduced(model())).index == 1


def linear(seed):
    """A random sparse linear model."""
    rng = np.random.default_rng(seed)
    nx, nz = rng.integers(1, 5), rng.integers(1, 4)
    n = nx + nz
    matrix = ca.sparsify(ca.DM(rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.35)))
    states, algebraics, equations = (
        tuple(f"{letter}{i}" for i in range(k)) for letter, k in zip("xze", (nx, nz, nz), strict=True)
    )

    def rows(x, z):
        return ca.vertsplit(ca.densify(matrix @ ca.vertcat(x, z)))

    return dae_of(
        states, algebraics, equations, lambda t, x, z, u, p: rows(x, z)[:nx], lambda t, x, z, u, p: rows(x, z)[nx:]
    )


def test_random_models_have_the_index_that_casadi_finds_and_reduce_to_regular_ones():
    seen = []
    for seed in count():
        model = linear(seed)
        try:
            index = index_of(model).index
        except FlowsheetError:
            continue  # structurally singular: CasADi refuses it too
        assert index == casadi_index(model)
        small = reduced(model)
        x, z = np.ones(len(small.states)), np.ones(len(small.algebraics))
        assert numerically_singular(small, 0.0, x, z, NONE, NONE) is None
        seen.append(index)
        if len(seen) == 40:
            break
    assert {1, 2, 3} <= set(seen)


def test_an_ode_has_index_zero():
    model = dae_of(("x",), (), (), lambda t, x, z, u, p: [-x[0]], lambda t, x, z, u, p: [])
    assert index_of(model).index == 0
    assert reduced(model) is model


def test_the_index_is_explained_with_names():
    found = index_of(tank())
    assert found.text == (
        "index 2: level holds V without containing an algebraic variable; its time derivative determines F_out"
    )
    assert (found.differentiated, found.constrained, found.inputs) == ({"level": 1}, ("V",), ())
    found = index_of(pendulum())
    assert found.text.endswith("its second time derivative determines lam")
    assert found.constrained == ("x", "y", "vx", "vy")
    assert "same, path hold x" in index_of(through_an_algebraic()).text


def test_a_reduced_model_keeps_states_and_names():
    small = reduced(pendulum())
    assert small.states == pendulum().states
    assert small.invariant_names == ("length", "der(length)")
    assert small.equations == ("der(der(length))",)
    values = small.invariants(0.0, [0.6, 0.8, 1.0, 2.0], [0.0], [], [])
    np.testing.assert_allclose(np.array(values).ravel(), [0.0, 2.0 * (0.6 + 1.6)], atol=1e-15)
    small = reduced(through_an_algebraic())
    assert [v.name for v in small.algebraics] == ["v", "w", "der(w)"]
    assert small.algebraics[-1].unit == "m/s"


def test_an_input_that_would_be_differentiated_is_named():
    model = tank(lambda t, u, p: u[0], inputs=("setpoint",))
    assert index_of(model).inputs == ("setpoint",)
    with pytest.raises(FlowsheetError, match=r"^level contains the input setpoint") as caught:
        reduced(model)
    assert "Declare setpoint as a State whose rate is another Control" in str(caught.value)


def test_a_model_that_no_differentiation_determines_is_refused_by_name():
    model = dae_of(
        ("x",), ("a", "b"), ("first", "second"), lambda t, x, z, u, p: [z[0]],
        lambda t, x, z, u, p: [z[0] - 1.0, z[0] - 2.0],
    )  # fmt: skip
    with pytest.raises(
        FlowsheetError, match=r"^the model is singular: a is fixed twice: by first and by second"
    ) as said:
        index_of(model)
    assert "No equation determines b" in str(said.value)


def test_an_index_above_eight_is_refused():
    n = 9
    model = dae_of(
        tuple(f"x{i}" for i in range(n)), ("force",), ("path",),
        lambda t, x, z, u, p: [*(x[i + 1] for i in range(n - 1)), z[0]], lambda t, x, z, u, p: [x[0]],
    )  # fmt: skip
    with pytest.raises(FlowsheetError, match=r"^the index is above 8: path"):
        index_of(model)


def test_equations_that_depend_on_each_other_at_a_point_only_are_named():
    model = dae_of(
        ("x",), ("a", "b", "c"), ("sum", "weighted", "own"), lambda t, x, z, u, p: [z[0]],
        lambda t, x, z, u, p: [z[0] + z[1] - 1.0, z[0] + x[0] * z[1] - 2.0, z[2] - 1.0],
    )  # fmt: skip
    assert numerically_singular(model, 0.0, np.array([2.0]), np.ones(3), NONE, NONE) is None
    found = numerically_singular(model, 0.0, np.array([1.0]), np.ones(3), NONE, NONE)
    assert set(found.equations) == {"sum", "weighted"}
    assert set(found.variables) == {"a", "b"}
    assert "depend on each other there" in found.text


def test_a_pendulum_swings_for_a_hundred_periods_on_its_circle():
    model = reduced(pendulum())
    period = 4.0 * ellipk(0.5) / np.sqrt(G)  # released level with its pivot
    run = integrate(
        model,
        np.array([1.0, 0.0, 0.0, 0.0]),
        NONE,
        0.0,
        [Piece(100.0 * period, NONE, NONE)],
        points=730,
        tolerance=1e-9,
    )
    x, y, vx, vy = run.x
    assert np.abs(x**2 + y**2 - 1.0).max() < 1e-12
    assert np.abs(x * vx + y * vy).max() < 1e-12
    assert np.abs(vx**2 + vy**2 - run.z[0] - G * y).max() < 1e-9
    late = run.x[3, -1] / G  # at the turning point the velocity is the time that is missing
    assert abs(late) < 1e-6 * 100.0 * period
    energy = 0.5 * (vx**2 + vy**2) + G * y
    assert np.abs(energy).max() < 1e-3


@pytest.mark.parametrize("independent", [False, True])
def test_a_level_is_held_by_its_outflow(independent):
    model = reduced(tank(lambda t, u, p: 2.0 + p[0] * ca.sin(t), parameters=("swing",)))
    run = integrate(
        model, np.array([2.0, 0.0]), np.array([0.1]), 0.0, [Piece(5.0, NONE, NONE)], points=50, independent=independent
    )
    np.testing.assert_allclose(run.x[0], 2.0 + 0.1 * np.sin(run.time), atol=1e-12)
    np.testing.assert_allclose(run.z[0], 1.0 - 0.1 * np.cos(run.time), atol=1e-7)


@pytest.mark.parametrize("points", [1, 40])
def test_solutions_of_higher_index_are_those_of_the_model(points):
    run = integrate(reduced(chain()), np.array([0.0, 1.0, 0.0]), NONE, 0.0, [Piece(20.0, NONE, NONE)], points=points)
    exact = [np.sin(run.time), np.cos(run.time), -np.sin(run.time)]
    np.testing.assert_allclose(run.x, exact, atol=1e-12)
    np.testing.assert_allclose(run.z[0], -np.cos(run.time), atol=1e-7)
    run = integrate(
        reduced(through_an_algebraic()), np.array([0.0]), NONE, 0.0, [Piece(20.0, NONE, NONE)], points=points
    )
    np.testing.assert_allclose(run.x[0], np.sin(run.time), atol=1e-12)


def test_times_are_those_of_one_call():
    model, swing = reduced(pendulum()), [Piece(0.3, NONE, NONE)] * 7
    run = integrate(model, np.array([1.0, 0.0, 0.0, 0.0]), NONE, 0.0, swing, points=70)
    assert (np.diff(run.time) == 0.0).sum() == 6  # the ends of pieces stand twice, exactly


def test_a_state_is_moved_to_the_nearest_point_of_its_circle():
    model = reduced(pendulum())
    x, z = projected(model, 0.0, np.array([1.2, 0.9, 0.0, 0.0]), np.zeros(1), NONE, NONE, np.ones(4))
    np.testing.assert_allclose(x, [0.8, 0.6, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(z, [-G * 0.6], atol=1e-10)
    assert max(map(abs, residuals(model, 0.0, x, z, NONE, NONE).values())) < 1e-14
    x, _ = projected(model, 0.0, np.array([1.0, 0.0, 0.3, 0.1]), np.zeros(1), NONE, NONE, np.ones(4))
    np.testing.assert_allclose(x, [1.0, 0.0, 0.0, 0.1], atol=0.05)


def test_where_no_state_is_consistent_the_projection_says_so():
    model = reduced(dae_of(
        ("x",), ("w",), ("hold",), lambda t, x, z, u, p: [z[0]], lambda t, x, z, u, p: [x[0] ** 2 + x[0] + 1.0],
    ))  # fmt: skip
    with pytest.raises(InconsistentError, match="no states nearby satisfy the invariants"):
        projected(model, 0.0, np.array([1.0]), np.zeros(1), NONE, NONE, np.ones(1))
