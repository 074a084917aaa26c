"""Which Pyomo models reach the IPOPT inside CasADi? What cannot is refused here, by the name of its component."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.errors import InfeasibleConstraintException
from pyomo.core.base.block import BlockData
from pyomo.core.expr.numeric_expr import Expr_ifExpression, ExternalFunctionExpression
from pyomo.dae import DerivativeVar
from pyomo.repn.plugins.nl_writer import NLWriter, NLWriterInfo

from titer.numerics.ampl.stub import Stub, UnreadFunctionError, read_plain
from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Array

_LISTED = 4  # names that a message gives


class ProvenInfeasibleError(SpecificationError):
    """A constraint without free variables is violated, or a variable's bounds cross: no solve is needed."""


@dataclass(frozen=True, eq=False)
class Written:
    """A model as IPOPT reads it: Pyomo's order of rows and columns, and the symbols; seconds by what took them.

    Scaling factors of the model are already in the symbols, and taken out again by the methods.
    """

    model: Any
    info: NLWriterInfo
    stub: Stub
    seconds: dict[str, float]

    @property
    def sense(self) -> int:
        """-1 for a maximization, which CasADi's reader turns into a minimization without saying so."""
        return -1 if self.info.objectives and self.info.objectives[0].sense == pyo.maximize else 1

    @property
    def sizes(self) -> tuple[Array, Array, float]:
        """Scaling factors of columns, rows and the objective."""
        info = self.info
        if not info.scaling:
            return np.ones(len(info.variables)), np.ones(len(info.constraints)), 1.0
        factor = float(info.scaling.objectives[0]) if info.objectives else 1.0
        return np.asarray(info.scaling.variables), np.asarray(info.scaling.constraints), factor

    def values(self, x: Array) -> Array:
        """Values of the Vars."""
        return x / self.sizes[0]

    def objective(self, f: float) -> float:
        """The objective in the user's sense and scale."""
        return self.sense * f / self.sizes[2]

    def duals(self, rows: Array) -> Array:
        """Changes of the user's objective per right-hand side, from multipliers of a minimized f + lambda g."""
        _, factors, factor = self.sizes
        return -self.sense * rows * factors / factor

    def bound_duals(self, bounds: Array) -> tuple[Array, Array]:
        """`ipopt_zL_out` and `ipopt_zU_out`: changes of the user's objective per lower and upper bound."""
        columns, _, factor = self.sizes
        z = bounds * columns / factor
        return self.sense * np.maximum(-z, 0.0) + 0.0, -self.sense * np.maximum(z, 0.0) + 0.0

    def row_names(self) -> list[str]:
        return [constraint.name for constraint in self.info.constraints]

    def column_names(self) -> list[str]:
        return [variable.name for variable in self.info.variables]


def written(model: Any, keep: Path | None = None) -> Written:
    """Write a model, refuse what cannot be solved, and read it into symbols; `keep`: the file, where it shall stay.

    Raises SpecificationError by the name of what is not continuous, not smooth or not one; ProvenInfeasibleError.
    """
    began = perf_counter()
    _check_before(model)
    with tempfile.TemporaryDirectory(prefix="titer-") as folder:
        path = Path(folder) / "model.nl" if keep is None else keep
        info = _write(model, path)
        _check(model, info)
        after = perf_counter()
        try:
            stub = read_plain(path)
        except UnreadFunctionError as error:
            raise _naming(model, info, error) from error
    _check_bounds(info, stub)
    return Written(model, info, stub, {"write": after - began, "read": perf_counter() - after})


def _write(model: Any, path: Path) -> NLWriterInfo:
    try:
        with path.open("w", newline="\n", encoding="utf-8") as stream, _silent_suffixes(model):
            # Presolve would drop rows, and their duals with them.
            return NLWriter().write(model, stream, linear_presolve=False)
    except InfeasibleConstraintException as error:
        raise ProvenInfeasibleError(f"{model.name}: {error} Free one of its variables, or drop it.") from error
    except ValueError as error:
        valueless = [v.name for v in model.component_data_objects(pyo.Var) if v.fixed and v.value is None]
        if valueless:
            raise SpecificationError(
                f"{model.name}: fixed variables have no value: {_listed(valueless)}.\n  Fix them to a number."
            ) from error
        said = "\n".join(f"  {line.strip()}" for line in str(error).splitlines() if line.strip())
        raise SpecificationError(f"{model.name}: Pyomo cannot write this model.\n{said}{_hint(str(error))}") from error


def _hint(said: str) -> str:
    if "network.arc" in said:
        return "\n  Expand Arcs first: TransformationFactory('network.expand_arcs').apply_to(model)."
    if "disjunct" in said:
        return "\n  IPOPT solves no disjunctions: apply a transformation of pyomo.gdp, and fix or relax its binaries."
    if "complementarity" in said:
        return "\n  Make complementarities smooth: TransformationFactory('mpec.simple_nonlinear').apply_to(model)."
    return ""


def _check_before(model: Any) -> None:
    if not isinstance(model, BlockData):
        raise SpecificationError(f"expected a Pyomo model or Block (pyomo.environ), got {type(model).__name__}.")
    if not model.is_constructed():
        raise SpecificationError(f"{model.name}: the model is not constructed. Call create_instance(), and solve that.")
    sets = [s.name for s in model.component_data_objects(pyo.SOSConstraint, active=True)]
    if sets:
        raise SpecificationError(
            f"{model.name}: IPOPT solves continuous problems, and there are special ordered sets: {_listed(sets)}.\n"
            "  Deactivate them, or write a smooth form."
        )


def _check(model: Any, info: NLWriterInfo) -> None:
    discrete = [v.name for v in info.variables if not v.is_continuous()]
    if discrete:
        raise SpecificationError(
            f"{model.name}: IPOPT solves continuous problems, and there are discrete variables:"
            f" {_listed(discrete)}.\n"
            "  Fix them, or relax them by TransformationFactory('core.relax_integer_vars')."
        )
    if len(info.objectives) > 1:  # the reader would take the last one
        names = ", ".join(o.name for o in info.objectives)
        raise SpecificationError(f"{model.name}: one active objective is expected; found {names}. Deactivate others.")
    if not info.variables:
        raise SpecificationError(f"{model.name}: no active constraint or objective reads a free Var. Unfix one.")
    if info.external_function_libraries:
        found = _where(info, lambda node: isinstance(node, ExternalFunctionExpression))
        raise SpecificationError(
            f"{model.name}: compiled external functions cannot be read by CasADi: {_listed(found)}.\n"
            "  Write these expressions out, or replace them by a smooth surrogate."
        )
    loose = [v.name for v in info.variables if v.parent_component().ctype is DerivativeVar]
    if loose:
        raise SpecificationError(
            f"{model.name}: derivatives are not discretized: {_listed(loose)}.\n"
            "  Apply TransformationFactory('dae.collocation') or ('dae.finite_difference') first."
        )


def _check_bounds(info: NLWriterInfo, stub: Stub) -> None:
    crossed = [info.variables[i] for i in np.flatnonzero(stub.lower > stub.upper)]
    if crossed:
        said = _listed(f"{v.name} (from {v.lb:.6g} to {v.ub:.6g})" for v in crossed)
        raise ProvenInfeasibleError(f"the lower bound lies above the upper one: {said}.")


def _naming(model: Any, info: NLWriterInfo, error: UnreadFunctionError) -> SpecificationError:
    """The reader's refusal, with the constraints that call the function."""

    def calls(node: Any) -> bool:
        if isinstance(node, Expr_ifExpression):
            return error.function == "Expr_if"
        return getattr(node, "_name", None) == error.function

    first, *rest = str(error).splitlines()
    found = _where(info, calls)
    said = f" It is called in {_listed(found)}." if found else ""
    return SpecificationError("\n".join([f"{model.name}: {first}{said}", *rest]))


def _where(info: NLWriterInfo, wanted: Callable[[Any], bool]) -> list[str]:
    """Names of constraints and objectives with a wanted node in their expressions."""
    bodies = [(c.name, c.body) for c in info.constraints] + [(o.name, o.expr) for o in info.objectives]
    return [name for name, body in bodies if any(wanted(node) for node in _nodes(body))]


def _nodes(expression: Any) -> Iterator[Any]:
    stack = [expression]
    while stack:
        node = stack.pop()
        yield node
        if hasattr(node, "is_expression_type") and node.is_expression_type():
            stack += node.args


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - _LISTED
    return ", ".join(every[:_LISTED]) + (f" and {more} more" if more > 0 else "")


@contextmanager
def _silent_suffixes(model: Any) -> Iterator[None]:
    """Keep suffixes out of the file, where CasADi refuses them; the writer itself applies scaling factors."""
    exported = [
        suffix
        for suffix in model.component_objects(pyo.Suffix, active=True)
        if suffix.export_enabled() and suffix.local_name != "scaling_factor"
    ]
    for suffix in exported:
        suffix.deactivate()
    try:
        yield
    finally:
        for suffix in exported:
            suffix.activate()
