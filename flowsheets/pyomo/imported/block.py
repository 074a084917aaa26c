"""What does a Pyomo.DAE block hold? Its one ContinuousSet, what goes over it, and its equations at any t.

What titer cannot take over is refused here, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import ContinuousSet, DerivativeVar

from titer.flowsheets.pyomo.imported.expressions import Item, is_equality, signature_of
from titer.flowsheets.pyomo.imported.rules import Index, Moment, RuleError, changing, rule_at, said
from titer.numerics.errors import DeclarationError

_REFUSED = {
    "Complementarity": "Write its smooth form, for instance sqrt(x^2 + y^2 + eps^2) == x + y.",
    "Disjunct": "Fix the choice, one model for each; or write a smooth form.",
    "Disjunction": "Fix the choice, one model for each; or write a smooth form.",
    "Piecewise": "Write a smooth formula, or give what it tabulates as a Param over time.",
    "SOSConstraint": "Fix the choice, one model for each.",
    "LogicalConstraint": "Fix the choice, one model for each.",
    "BooleanVar": "Fix the choice, one model for each.",
    "Arc": "Apply TransformationFactory('network.expand_arcs') first.",
    "Integral": "Write a Var whose derivative is the integrand; of an objective, titer's own Integral term.",
}


@dataclass(frozen=True, eq=False)
class Component:
    """A Var, Param or Expression of the block; `position`: where t stands in its index, None where it does not."""

    local: str
    data: Any
    position: int | None

    def at(self, labels: Index, point: float | None) -> Any:
        """The scalar with these labels, at a point of the ContinuousSet."""
        index = labels if self.position is None else (*labels[: self.position], point, *labels[self.position :])
        return self.data[index if len(index) != 1 else index[0]] if index else self.data

    def labels(self) -> list[Index]:
        """The labels that it has, without t, in order."""
        found: dict[Index, None] = {}
        for index in self.data if self.data.is_indexed() else [()]:
            key = index if isinstance(index, tuple) else (index,)
            found[key if self.position is None else (*key[: self.position], *key[self.position + 1 :])] = None
        return list(found)


@dataclass(frozen=True, eq=False)
class Row:
    """An equation: its name, both sides, and the point of the ContinuousSet at which it was taken (None: any t)."""

    name: str
    left: Any
    right: Any
    point: float | None


@dataclass(frozen=True, eq=False)
class Source:
    """A block, read. `rows` hold at every t; `constant` are those without t; `initial` hold at the first point."""

    name: str
    time: Any
    components: dict[str, Component]
    derivatives: Mapping[str, str]  # local name of a DerivativeVar: that of its state
    rows: tuple[Row, ...]
    constant: tuple[Row, ...]
    initial: tuple[Row, ...]
    items: dict[int, tuple[Item, float | None]]  # what a scalar of Pyomo's is, and its point
    original: Any  # the block itself; the rest is of a copy
    copied: Any  # the whole copy, which blocks in it point to only weakly

    @property
    def ends(self) -> tuple[float, float]:
        return float(self.time.first()), float(self.time.last())

    def item(self, leaf: Any) -> tuple[Item, float | None]:
        """The item behind a Var or Param, and its point. Raises DeclarationError for a free Var of another block."""
        if id(leaf) not in self.items:
            outside = leaf.parent_component()
            if outside.ctype is not pyo.Param and not leaf.fixed:
                raise DeclarationError(
                    f"{self.name}: its equations read {leaf.name}, which is not in the block.\n"
                    "  Give the block that holds both, or fix it."
                )
            local = outside.name
            if local in self.components and not self._is_twin(self.components[local].data, outside):
                local = f"{outside.model().name}.{local}"  # the block has another of that name
            clock = self.time if outside.model() is self.copied else self.original.model().find_component(self.time)
            component = Component(local, outside, _position(outside, clock))
            self.components.setdefault(local, component)
            index_component(self, component)
        return self.items[id(leaf)]

    def _is_twin(self, one: Any, other: Any) -> bool:
        """Whether two components are one, or one of the model and its copy."""
        models = (self.copied, self.original.model())
        both = all(any(each.model() is model for model in models) for each in (one, other))
        return one is other or (both and one.name == other.name)


def source_of(block: Any, time: Any) -> Source:
    """Read a block, on a copy in which Params are symbols. `time`: its ContinuousSet, None to find it."""
    original, block = block, _check_block(block)
    chosen = _time_of(block, time)
    try:
        return _read(original, chosen, lambda param: True)
    except RuleError:  # a rule needs the number of a Param, in an `if` or as an index
        return _read(original, chosen, lambda param: _position(param, chosen) is not None)


def _read(original: Any, time: Any, as_symbol: Callable[[Any], bool]) -> Source:
    copied = original.model().clone()
    block = copied if original is original.model() else copied.find_component(original)
    clock = copied.find_component(time)
    _free_params(block, clock, as_symbol)
    components = {c.local: c for c in _components(block, clock)}
    derivatives = _derivatives(block, clock, components)
    source = Source(original.name, clock, components, derivatives, (), (), (), {}, original, copied)
    for found in (*components.values(), *_components(original, time)):
        index_component(source, found)
    rows, constant, initial = _rows(source, block)
    return replace(source, rows=rows, constant=constant, initial=initial)


# --- what is there, and what is refused -----------------------------------------------------------------------------


def _check_block(block: Any) -> Any:
    if getattr(block, "ctype", None) is not pyo.Block or (block.is_indexed() and not hasattr(block, "_ctypes")):
        raise DeclarationError(f"from_pyomo: expected a Pyomo Block or ConcreteModel, got {block!r}.")
    if not block.is_constructed():
        raise DeclarationError(
            f"from_pyomo: {block.name} is an AbstractModel without data.\n  Give model.create_instance(data)."
        )
    for component in block.component_objects(active=True, descend_into=True):
        kind = next((cls.__name__ for cls in type(component).__mro__ if cls.__name__ in _REFUSED), None)
        if kind is not None:
            raise DeclarationError(f"{component.name} is of kind {kind}, which has no form here.\n  {_REFUSED[kind]}")
    return block


def _time_of(block: Any, time: Any) -> Any:
    """The ContinuousSet of the block's variables. Raises DeclarationError for none, several, or a discretized one."""
    used: dict[int, Any] = {}
    for component in block.component_objects((pyo.Var, DerivativeVar, pyo.Constraint), descend_into=True):
        for each in sets_of(component):
            if each.ctype is ContinuousSet:
                used[id(each)] = each
    open_ = [each for each in used.values() if "scheme" not in each.get_discretization_info()]
    done = [each for each in used.values() if each is time or (time is None and not open_)]
    if done and not any(each is done[0] for each in open_):
        raise DeclarationError(
            f"{block.name}: {done[0].name} is discretized already.\n"
            "  Give the model as it is before dae.collocation or dae.finite_difference; titer discretizes itself."
        )
    if time is not None and not any(each is time for each in open_):
        raise DeclarationError(f"{block.name}: time= must be the ContinuousSet of its variables, got {time!r}.")
    if not open_:
        raise DeclarationError(f"{block.name}: no Var goes over a ContinuousSet.\n  Import ContinuousSet of pyomo.dae.")
    if len(open_) > 1:
        names = ", ".join(each.name for each in open_)
        raise DeclarationError(
            f"{block.name}: its equations go over several ContinuousSets: {names}.\n"
            "  Discretize all but time: TransformationFactory('dae.finite_difference').apply_to(m, wrt=m.x, nfe=20)."
        )
    for component in block.component_objects(pyo.Block, descend_into=True):
        if component.is_indexed() and any(each is open_[0] for each in sets_of(component)):
            raise DeclarationError(
                f"{component.name}: a Block for each point of {open_[0].name} cannot be asked for any t.\n"
                f"  Write one Block, whose Vars and Constraints go over {open_[0].name}."
            )
    return open_[0] if time is None else time


def sets_of(component: Any) -> list[Any]:
    """The sets of a component's index, products taken apart."""
    return list(component.index_set().subsets()) if component.is_indexed() else []


def _components(block: Any, time: Any) -> Iterator[Component]:
    """Vars, derivatives, Params and Expressions of a block, states before their derivatives."""
    for component in block.component_objects(
        (pyo.Var, DerivativeVar, pyo.Param, pyo.Expression), active=True, descend_into=True
    ):
        if not component.is_reference():
            local = component.getname(fully_qualified=True, relative_to=block)
            yield Component(local, component, _position(component, time))


def _position(component: Any, time: Any) -> int | None:
    """Where time stands in the index of a component."""
    before, found = 0, None
    for each in sets_of(component):
        if each is time:
            if found is not None:
                raise DeclarationError(f"{component.name} goes over {time.name} twice.\n  Write it over one time.")
            found = before
        before += each.dimen if isinstance(each.dimen, int) else 1
    return found


def _derivatives(block: Any, time: Any, components: Mapping[str, Component]) -> dict[str, str]:
    found: dict[str, str] = {}
    for derivative in block.component_objects(DerivativeVar, active=True, descend_into=True):
        state, along = derivative.get_state_var(), derivative.get_continuousset_list()
        if along != [time] and len(along) > 1:
            raise DeclarationError(
                f"{derivative.name} is a derivative of order {len(along)}.\n"
                f"  Write two of the first: a Var v with {state.name}' == v, and v' in its place."
            )
        own = state.getname(fully_qualified=True, relative_to=block)
        local = derivative.getname(fully_qualified=True, relative_to=block)
        if own not in components:
            raise DeclarationError(f"{derivative.name}: its Var {state.name} is not in the block.")
        if own in found.values():
            raise DeclarationError(f"{derivative.name}: {state.name} has two DerivativeVars.\n  Keep one.")
        found[local] = own
    return found


def _free_params(block: Any, time: Any, as_symbol: Callable[[Any], bool]) -> None:
    """Replace Params that are numbers by mutable ones of the same values: they stay symbols in expressions."""
    points = list(time)
    for param in list(block.component_objects(pyo.Param, descend_into=True)):
        if param.mutable or not as_symbol(param):
            continue
        values = {index: param[index] for index in param.index_set()} if param.is_indexed() else {None: param.value}
        if not values or not all(isinstance(x, int | float) and not isinstance(x, bool) for x in values.values()):
            continue
        parent, name, sets = param.parent_block(), param.local_name, [param.index_set()] * param.is_indexed()
        units = param._units
        parent.del_component(param)
        parent.add_component(name, pyo.Param(*sets, initialize=values, mutable=True, units=units, doc=param.doc))
    assert points == list(time)


def index_component(source: Source, component: Component) -> None:
    """Note what the scalars of a component are."""
    for index, data in component.data.items():
        if not hasattr(data, "ctype") and not hasattr(data, "parent_component"):
            continue  # a number: a Param that stays one
        key = index if isinstance(index, tuple) else () if index is None else (index,)
        position = component.position
        if position is None:
            source.items[id(data)] = Item(component.local, key), None
        else:
            labels = (*key[:position], *key[position + 1 :])
            source.items[id(data)] = Item(component.local, labels), key[position]


# --- equations ------------------------------------------------------------------------------------------------------


def _rows(source: Source, block: Any) -> tuple[tuple[Row, ...], tuple[Row, ...], tuple[Row, ...]]:
    rows: list[Row] = []
    constant: list[Row] = []
    initial: list[Row] = []
    for constraint in block.component_objects(pyo.Constraint, active=True, descend_into=True):
        local = constraint.getname(fully_qualified=True, relative_to=block)
        component = Component(local, constraint, _position(constraint, source.time))
        if component.position is None:
            for index, data in constraint.items():
                if data.active:
                    labels = index if isinstance(index, tuple) else () if index is None else (index,)
                    row = _row(str(Item(local, labels)), data.expr, None)
                    (initial if _at_points(source, row) else constant).append(row)
            continue
        for labels in component.labels():
            at_first, any_ = _over_time(source, component, labels)
            name = str(Item(local, labels))
            if any_ is not None:
                rows.append(_row(name, any_[1], any_[0]))
            if at_first is not None:
                initial.append(_row(name, at_first, None))
    return tuple(rows), tuple(constant), tuple(initial)


def _over_time(source: Source, component: Component, labels: Index) -> tuple[Any, Any]:
    """What a constraint says at the first point only, and what it says at any t, with the point it was taken at."""
    first, last = source.time.first(), source.time.last()
    points = [point for point in source.time if _is_active(component, labels, point)]
    points.sort(key=lambda point: (point == first, point == last))  # inner points, the last, the first

    def sign(expression: Any, point: float | None) -> Any:
        return signature_of(_relation(expression), lambda leaf: signed(source, leaf, point))

    assert component.position is not None
    asked = (component.data, labels, component.position)
    any_ = rule_at(*asked, [p for p in points if p != first], source.ends, sign)
    at_first = said(*asked, first, source.ends, sign) if first in points else None
    if at_first is None or (any_ is not None and sign(at_first, None) == sign(any_[1], None)):
        return None, any_
    if _reads_derivative(source, at_first):
        if any_ is not None:
            raise changing(component.data, any_[0], first)
        return None, (first, at_first)
    return at_first, any_


def _is_active(component: Component, labels: Index, point: float) -> bool:
    """Whether a constraint is active at a point, or was skipped there by its rule, which then says so."""
    assert component.position is not None
    index = (*labels[: component.position], point, *labels[component.position :])
    data = component.data._data.get(index if len(index) > 1 else index[0])
    return data is not None and data.active


def signed(source: Source, leaf: Any, point: float | None) -> Any:
    """What a leaf is, comparable at different points of time; whatever its own point where that is None."""
    if isinstance(leaf, Moment):
        return "t"
    found = source.items.get(id(leaf))
    if found is None and getattr(leaf, "is_named_expression_type", bool)():  # of another block
        return signature_of(leaf.expr, lambda each: signed(source, each, point))
    if found is None and not hasattr(leaf, "parent_component"):
        return str(leaf)
    found = found or source.item(leaf)
    return found[0], "now" if point is None or found[1] == point else found[1]


def _relation(expression: Any) -> Any:
    """What a rule returned, as Pyomo's own Constraint reads it."""
    if not isinstance(expression, tuple):
        return expression
    scratch = pyo.ConcreteModel()
    scratch.row = pyo.Constraint(expr=expression)
    return scratch.row.expr


def _row(name: str, expression: Any, point: float | None) -> Row:
    relation = _relation(expression)
    if not is_equality(relation):
        raise DeclarationError(
            f"{name} is an inequality: {relation}\n"
            f"  Deactivate it, and give titer's optimize a Path(lambda v: ..., upper=...) in its place."
        )
    left, right = relation.args
    return Row(name, left, right, point)


def _leaves(expression: Any) -> Iterator[Any]:
    stack = [expression]
    while stack:
        node = stack.pop()
        if hasattr(node, "is_expression_type") and node.is_expression_type():
            stack += node.args
        else:
            yield node


def _at_points(source: Source, row: Row) -> bool:
    """Whether a constraint without t reads variables at points of time."""
    points = {
        found[1]
        for side in (row.left, row.right)
        for leaf in _leaves(side)
        if (found := source.items.get(id(leaf))) is not None and found[1] is not None
    }
    if points - {source.time.first()}:
        raise DeclarationError(
            f"{row.name} reads variables at t = {max(points):g}.\n"
            "  Deactivate it, and give titer's optimize an AtEnd(lambda v: ..., lower=..., upper=...) in its place."
        )
    return bool(points)


def _reads_derivative(source: Source, expression: Any) -> bool:
    found = (source.items.get(id(leaf)) for leaf in _leaves(_relation(expression)))
    return any(item is not None and item[0].component in source.derivatives for item in found)
