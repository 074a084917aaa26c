"""What several tests of a Pyomo model share: its constraints against the Dae that it was lowered beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import casadi as ca
import numpy as np
import pytest


@pytest.fixture
def agree_with_the_dae(rng: np.random.Generator) -> Callable[[Any], int]:
    """Assert that constraints of a model leave the residuals of the Dae at random points; how many were compared."""

    def check(model: Any) -> int:
        import pyomo.environ as pyo

        from titer.flowsheets.pyomo.moments import moments_of

        for variable in model.component_data_objects(pyo.Var):
            variable.set_value(rng.uniform(0.8, 1.2) * (abs(variable.value or 0.0) or 1.0), skip_validation=True)
        blocks = [b for b in model.component_data_objects(pyo.Block) if hasattr(b, "_titer")]
        ends = [(block, tau) for block in blocks for tau in (block.tau.first(), block.tau.last())]
        return sum(_compared(moments_of(block), tau) for block, tau in ends)

    return check


def _compared(here: Any, tau: float) -> int:
    import pyomo.environ as pyo

    dae = here.plan.operation.lowered.dae
    for unit in here.plan.streams.units:  # streams hold, as they do by substitution in the Dae
        for name in [n for n in here.places if n.startswith(f"{unit.name}.") and here.source_of(n)]:
            here.value(name, tau).set_value(pyo.value(here.carried(name, here.at(tau).traces).value))
    groups = [[pyo.value(here.time(tau))]]
    groups += [[pyo.value(here.value(v.name, tau)) for v in g] for g in (dae.states, dae.algebraics, dae.inputs)]
    groups += [[pyo.value(here.value(v.name, tau)) for v in dae.parameters]]
    point = [ca.DM(group) for group in groups]
    rate, zero, output = (np.array(x).ravel() for x in dae.function(*point))
    sizes = _sizes(dae, point)
    pace, found, expected, allowed = pyo.value(here.pace(tau)), [], [], []
    for i, variable in enumerate(dae.states):
        unit, local = variable.name.split(".", 1)
        slope = here.slope(variable.name, tau).value
        found.append(pyo.value(here.unit(unit).balance[tau, local].body))
        expected.append(slope - pace * rate[i])
        allowed.append(abs(slope) + pace * sizes[0][i])
    for i, equation in enumerate(dae.equations):
        if equation.endswith(" equation") and not equation.startswith("der("):
            unit, key = equation.removesuffix(" equation").split(".", 1)
            row = here.unit(unit).zero[tau, key]
        elif equation.startswith("der("):
            row = here.block.reduced.derived[tau, equation]
        else:
            continue  # a stream that closes a circle: an Arc
        found.append(pyo.value(row.body))
        expected.append(zero[i])
        allowed.append(sizes[1][i])
    for i, variable in enumerate(dae.outputs):
        found.append(pyo.value(here.value(variable.name, tau)))
        expected.append(output[i])
        allowed.append(sizes[2][i])
    errors = np.abs(np.array(found) - np.array(expected))
    assert (errors <= 1e-12 * np.array(allowed) + 1e-300).all()
    return len(found)


def _sizes(dae: Any, point: list[ca.DM]) -> list[np.ndarray]:
    """How large the terms of each result are: the sum of what its arguments contribute, and itself."""
    symbols = [ca.SX.sym("a", n) for n in (1, *dae.sizes)]
    results, column = dae.function(*symbols), ca.vertcat(*symbols)
    slopes = ca.Function("slopes", symbols, [ca.jacobian(result, column) for result in results])
    values, everything = dae.function(*point), np.abs(np.array(ca.vertcat(*point))).ravel()
    return [
        np.abs(np.array(slope)) @ everything + np.abs(np.array(value)).ravel()
        for slope, value in zip(slopes(*point), values, strict=True)
    ]
