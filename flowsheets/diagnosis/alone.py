"""What does a unit operation say by itself? Its equations on symbols, streams into its inlets included, at points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.declarations import Algebraic, Control, Expression, Inlet, Parameter, State
from titer.flowsheets.returned import with_parts
from titer.flowsheets.scalar import Scalar
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import CASADI, Symbol
from titer.flowsheets.trace import Trace, port_scalars, trace
from titer.flowsheets.unit import Unit
from titer.numerics.dae import Dae, Variable, starts
from titer.numerics.integration.consistency import consistent_algebraics

Array = np.ndarray
_POINTS = 6


@dataclass(frozen=True, eq=False)
class Alone:
    """A unit operation traced by itself, every inlet variable a symbol; named expressions stand by their names.

    `symbols`: t, x, z, u, p, with streams into inlets among u. `named`: symbols of expressions with what they are, in
    the order of definition.
    """

    unit: Unit
    traced: Trace
    symbols: tuple[ca.SX, ca.SX, ca.SX, ca.SX, ca.SX]
    named: Mapping[str, tuple[ca.SX, ca.SX]]
    dae: Dae

    @property
    def rates(self) -> dict[str, ca.SX]:
        """Rates of the states by qualified name, in terms of named expressions."""
        return {f"{self.unit.name}.{key}": raw(value) for key, value in self.traced.rate.items()}

    @property
    def zeros(self) -> dict[str, ca.SX]:
        """Residuals of the algebraic equations by their names."""
        return {f"{self.unit.name}.{key} equation": raw(value) for key, value in self.traced.zero.items()}

    def function(self, expressions: Sequence[ca.SX]) -> ca.Function:
        """A function of (t, x, z, u, p) that gives expressions as one column."""
        return ca.Function("alone", list(self.symbols), [_expanded(expressions, self.named)])

    def at(self, expressions: Sequence[ca.SX], points: Sequence[Sequence[Any]]) -> Array:
        """Values (expressions, points)."""
        function = self.function(expressions)
        columns = [np.array(function(*point)).ravel() for point in points]
        return np.array(columns).reshape(len(points), len(expressions)).T

    def random_points(
        self, consistent: bool, seed: int = 20260101, values: Mapping[str, float] | None = None
    ) -> list[list[Any]]:
        """Points (t, x, z, u, p) in the domain, around starts and values; `consistent`: on the algebraic equations.

        Where these have no solution near a point, it is left out. `values`: those of parameters, which vary like the
        rest where none are given.
        """
        rng, dae, points = np.random.default_rng(seed), self.dae, []
        for _ in range(_POINTS):
            x, z, u, p = (
                np.array([_inside(v, rng) for v in group], dtype=float)
                for group in (dae.states, dae.algebraics, dae.inputs, dae.parameters)
            )
            p = p if values is None else np.array([values[v.name] for v in dae.parameters], dtype=float)
            t = float(rng.uniform(0.1, 2.0))
            if consistent and len(z):
                try:
                    z = consistent_algebraics(dae, t, x, starts(dae.algebraics), u, p)
                except RuntimeError:
                    continue
            points.append([t, x, z, u, p])
        return points


def alone(unit: Unit) -> Alone:
    """Trace a unit operation by itself. Raises DeclarationError."""
    measures = {key: scalar.measure for key, scalar in unit.scalars.items()} | port_scalars(unit, Inlet)
    values = {key: Symbol(ca.SX.sym(f"{unit.name}.{key}"), measure, CASADI) for key, measure in measures.items()}
    time = Symbol(ca.SX.sym("time"), Measure.of(unit.time), CASADI)
    declared = {key: Measure.of(d.unit) for key, (_, d) in with_parts(unit, Expression).items()}
    named: dict[str, tuple[ca.SX, ca.SX]] = {}

    def name(key: str, value: Any) -> Symbol:
        symbol = ca.SX.sym(key)
        named[key] = (symbol, raw(value))
        return Symbol(symbol, declared[key.split(".", 1)[1].partition("[")[0]], CASADI)

    traced = trace(unit, values, time, name)
    inlets = [_stream(unit, key) for key in port_scalars(unit, Inlet)]
    groups = [
        [_variable(s) for s in unit.of_kind(State)],
        [_variable(s) for s in unit.of_kind(Algebraic)],
        [*(_variable(s) for s in unit.of_kind(Control)), *inlets],
        [_variable(s) for s in unit.of_kind(Parameter)],
    ]
    own = len(unit.name) + 1
    x, z, u, p = (ca.vertcat(ca.SX(0, 1), *(values[v.name[own:]].value for v in group)) for group in groups)
    symbols = (time.value, x, z, u, p)
    rates, zeros = (_expanded([raw(v) for v in values.values()], named) for values in (traced.rate, traced.zero))
    function = ca.Function(unit.name, list(symbols), [rates, zeros, ca.SX(0, 1)])
    states, algebraics, inputs, parameters = map(tuple, groups)
    names = tuple(f"{unit.name}.{key} equation" for key in traced.zero)
    dae = Dae(unit.name, unit.time, function, states, algebraics, inputs, parameters, equations=names)
    return Alone(unit, traced, symbols, named, dae)


def _expanded(expressions: Sequence[ca.SX], named: Mapping[str, tuple[ca.SX, ca.SX]]) -> ca.SX:
    """Expressions as a column, with named ones replaced by what they are."""
    column = ca.vertcat(ca.SX(0, 1), *expressions)
    if not named:
        return column
    symbols, values = zip(*named.values(), strict=True)
    return ca.substitute_inplace(list(symbols), list(values), [column])[1][0]


def raw(value: Any) -> ca.SX:
    """The expression behind a symbol or a number."""
    return ca.SX(value.value if isinstance(value, Symbol) else value)


def _variable(scalar: Scalar) -> Variable:
    return Variable(str(scalar.name), scalar.measure.label, scalar.lower, scalar.upper, scalar.start, scalar.nominal)


def _stream(unit: Unit, key: str) -> Variable:
    return Variable(f"{unit.name}.{key}", start=1.0)


def _inside(v: Variable, rng: np.random.Generator) -> float:
    """A value inside the domain, not far from the start."""
    start = v.start if np.isfinite(v.start) else 0.0
    size = abs(start) or (v.nominal if np.isfinite(v.nominal) else 1.0)
    low, high = start - 0.3 * size, start + 0.3 * size
    if not start:
        low, high = 0.05 * size, size
    if np.isfinite([v.lower, v.upper]).all():
        low, high = max(low, v.lower + 0.05 * (v.upper - v.lower)), min(high, v.upper - 0.05 * (v.upper - v.lower))
        if low > high:
            low, high = v.lower, v.upper
    return float(np.clip(rng.uniform(low, high), v.lower, v.upper))
