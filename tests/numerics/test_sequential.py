"""Smooth problems of few decisions are solved by few evaluations, and what holds at the end is computed."""

from __future__ import annotations

import numpy as np
import pytest

from titer.numerics.sequential import End, Task, descend

OPEN = np.array([-np.inf]), np.array([np.inf])


def task(values, slopes, lower, upper, rows=OPEN, enough=1e-7, seconds=60.0, iterations=200):
    bounds = (np.asarray(lower, dtype=float), np.asarray(upper, dtype=float))
    limits = (np.asarray(rows[0], dtype=float), np.asarray(rows[1], dtype=float))
    return Task(values, slopes, *bounds, *limits, enough, seconds, iterations)


def rosenbrock(x):
    f = 1e-2 * (100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2)
    return f, np.array([x[0] ** 2 + x[1] ** 2])


def rosenbrock_slopes(x):
    inner = x[1] - x[0] ** 2
    gradient = 1e-2 * np.array([-400.0 * x[0] * inner - 2.0 * (1.0 - x[0]), 200.0 * inner])
    return gradient, np.array([[2.0 * x[0], 2.0 * x[1]]])


def test_the_banana_valley_is_followed_to_its_end():
    found = descend(task(rosenbrock, rosenbrock_slopes, [-3.0, -3.0], [3.0, 3.0]), np.array([-1.2, 1.0]))
    assert found.end is End.FOUND
    assert found.x == pytest.approx([1.0, 1.0], abs=1e-5)


def test_a_limit_that_binds_has_its_multiplier():
    """On the unit circle: the conditions of Lagrange hold, and the multiplier is positive at the upper limit."""
    posed = task(rosenbrock, rosenbrock_slopes, [-3.0, -3.0], [3.0, 3.0], ([-np.inf], [1.0]))
    found = descend(posed, np.array([0.2, 2.0]))
    assert found.end is End.FOUND
    assert found.x @ found.x == pytest.approx(1.0, abs=1e-7)
    assert found.x == pytest.approx([0.78641515, 0.61769831], abs=1e-5)  # the published optimum on the unit disc
    gradient, jacobian = rosenbrock_slopes(found.x)
    assert gradient + jacobian.T @ found.row_multipliers == pytest.approx([0.0, 0.0], abs=1e-6)
    assert found.row_multipliers[0] > 0.0


def test_a_bound_that_binds_has_its_multiplier():
    found = descend(task(rosenbrock, rosenbrock_slopes, [-3.0, -3.0], [0.5, 3.0]), np.array([-1.0, 1.0]))
    assert found.x == pytest.approx([0.5, 0.25], abs=1e-6)
    assert found.bound_multipliers[0] == pytest.approx(1e-2, rel=1e-4)


def test_equations_are_met():
    posed = task(rosenbrock, rosenbrock_slopes, [-3.0, -3.0], [3.0, 3.0], ([2.0], [2.0]))
    found = descend(posed, np.array([0.1, 0.1]))
    assert found.end is End.FOUND
    assert found.x == pytest.approx([1.0, 1.0], abs=1e-5)


def test_limits_that_contradict_each_other_are_missed_least():
    def values(x):
        return float(x @ x), np.array([x[0], x[0]])

    def slopes(x):
        return 2.0 * x, np.array([[1.0, 0.0], [1.0, 0.0]])

    posed = task(values, slopes, [-3.0, -3.0], [3.0, 3.0], ([1.0, -np.inf], [np.inf, 0.0]))
    found = descend(posed, np.array([2.0, 2.0]))
    assert found.end is not End.FOUND
    assert found.residuals.violation == pytest.approx(1.0, abs=1e-3) or found.residuals.violation >= 0.5
    assert -1e-3 <= found.x[0] <= 1.0 + 1e-3


def test_where_nothing_can_be_computed_the_step_is_cut():
    """The root of x is defined from 0 on; the first steps would lead beyond."""

    def values(x):
        with np.errstate(invalid="ignore"):
            return float(np.sqrt(x[0]) + (x[0] - 0.01) ** 2), np.zeros(1)

    def slopes(x):
        return np.array([0.5 / np.sqrt(x[0]) + 2.0 * (x[0] - 0.01)]), np.zeros((1, 1))

    found = descend(task(values, slopes, [-1.0], [1.0]), np.array([0.3]))
    assert 0.0 < found.x[0] < 0.3


def test_nothing_is_done_from_where_nothing_can_be_computed():
    found = descend(task(lambda x: (np.nan, np.zeros(1)), rosenbrock_slopes, [0.0], [1.0]), np.array([0.5]))
    assert found.end is End.NOT_FINITE


def test_time_leaves_the_last_iterate():
    posed = task(rosenbrock, rosenbrock_slopes, [-3.0, -3.0], [3.0, 3.0], seconds=0.0)
    found = descend(posed, np.array([-1.2, 1.0]))
    assert found.end is End.TIME
    assert found.x == pytest.approx([-1.2, 1.0])
    assert found.residuals.stationarity > 0.1


def test_an_interrupt_leaves_the_last_iterate():
    calls = []

    def values(x):
        calls.append(x)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return rosenbrock(x)

    found = descend(task(values, rosenbrock_slopes, [-3.0, -3.0], [3.0, 3.0]), np.array([-1.2, 1.0]))
    assert found.end is End.INTERRUPTED
    assert rosenbrock(found.x)[0] < rosenbrock(np.array([-1.2, 1.0]))[0]


def test_few_evaluations_are_enough():
    """Quadratic programs with BFGS converge superlinearly: some dozens of gradients for a valley of condition 2500."""
    gradients = []

    def slopes(x):
        gradients.append(x)
        return rosenbrock_slopes(x)

    descend(task(rosenbrock, slopes, [-3.0, -3.0], [3.0, 3.0], enough=1e-6), np.array([-1.2, 1.0]))
    assert len(gradients) < 60


def test_a_linear_tie_is_kept_to_rounding():
    """The best point without the tie x0 + x1 = 1 misses it by 8e-7: a quadratic program must not take that for kept."""
    best = np.array([0.5, 0.5 - 8e-7])

    def values(x):
        return float((x - best) @ (x - best)), np.array([x.sum()])

    def slopes(x):
        return 2.0 * (x - best), np.ones((1, 2))

    found = descend(task(values, slopes, [-5.0, -5.0], [5.0, 5.0], ([1.0], [1.0])), np.array([3.0, 2.0]))
    assert found.end is End.FOUND
    assert abs(found.x.sum() - 1.0) < 1e-9
