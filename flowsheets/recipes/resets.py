"""What are states set to when a phase begins? By `start` first, then by actions, each seeing what is left by those
before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Parameter, State
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.given import check_bounds, kind_of
from titer.flowsheets.lowering import evaluate
from titer.flowsheets.names import Name, elements_of
from titer.flowsheets.plant_view import unit_view
from titer.flowsheets.recipe import Phase
from titer.flowsheets.recipes.actions import Action, OfferedAction, offered
from titer.flowsheets.returned import scalars_of, with_parts
from titer.flowsheets.signals import finite
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import FLOATS, Symbol, magnitude, quantity, symbol_array
from titer.flowsheets.view import View
from titer.numerics.errors import SpecificationError, TiterError, unknown

Values = Mapping[str, Symbol]
_ABSENT = (
    "an action reads states, parameters, fields and parts, which have values before and after rest alike;\n"
    "  a parameter that only the phase before fixes has none: fix it in this phase as well."
)


def resets_of(plant: Flowsheet, phase: Phase, before: View | None, values: Values) -> dict[str, float | Symbol]:
    """States by qualified name, with the number they are set to, or the symbol of it in their unit.

    `before`: the view of the previous phase's end (None: the phase is the first). `values`: symbols of all states just
    before this phase, and of the parameters in it. Raises SpecificationError.
    """
    resets: dict[str, float | Symbol] = {}
    for name, value in phase.start.items():
        _check_states(plant, phase, name)
        resets |= _started(plant, name, value, before)
    if phase.actions:
        resets |= _acted(plant, phase, values, resets)
    return resets


def _check_states(plant: Flowsheet, phase: Phase, name: str) -> None:
    for each in elements_of(name):
        if kind_of(plant, each) != State.kind:
            states = [n for n, s in plant.scalars.items() if s.kind == State.kind]
            raise SpecificationError(f"start: {unknown('state', each, states)}")
        if each.split(".", 1)[0] in phase.idle_names:
            raise SpecificationError(f"start: {each} cannot be set, its unit operation is idle in this phase.")


def _started(plant: Flowsheet, name: str, value: Any, before: View | None) -> dict[str, float | Symbol]:
    """What one entry of `start` sets: numbers, or a function of the previous phase's end."""
    if not callable(value):
        numbers: dict[str, float | Symbol] = {}
        for each, given in by_element({name: value}, "start").items():
            numbers[each] = number = finite(given, plant.measures[each], f"start: {each}")
            check_bounds(plant, each, number, "start")
        return numbers
    what = f"start of {name}"
    if before is None:
        raise SpecificationError(f"{what}: the first phase has no phase before it; give a number.")
    result, names = evaluate(value, before, what), elements_of(name)
    results = list(np.asarray(result, dtype=object).ravel()) if np.ndim(result) else [result] * len(names)
    if len(results) != len(names):
        raise SpecificationError(f"{what}: expected {len(names)} values, the function gives {len(results)}.")
    return {str(each): _in_unit(one, plant.measures[each], what) for each, one in zip(names, results, strict=True)}


def _in_unit(value: Any, measure: Measure, what: str) -> Symbol:
    """What a function of `start` gives, in the unit of the state."""
    if not isinstance(value, Symbol):
        return quantity(finite(value, measure, f"{what}: what the function gives"), measure)  # type: ignore[no-any-return]
    if not value.measure.same(measure):
        raise SpecificationError(
            f"{what}: the function gives {value.measure.label!r}, expected {measure.label!r}.\n"
            f'  Convert it: quantity(magnitude(x, "{measure.label}"), "{measure.label}").'
        )
    return value


def _acted(
    plant: Flowsheet, phase: Phase, values: Values, started: Mapping[str, float | Symbol]
) -> dict[str, float | Symbol]:
    """What the actions of a phase leave, of the states they change."""
    now = dict(values)
    for name, value in started.items():
        now[name] = value if isinstance(value, Symbol) else quantity(value, plant.measures[name])
    changed: dict[str, float | Symbol] = {}
    for action in phase.actions:
        offer = _offer(plant, phase, action)
        left = _left(plant, action, offer, now)
        for name in left:
            if name in started:
                raise SpecificationError(
                    f"start: {name} is set by start={{...}} and changed by the action {action} as well.\n"
                    f"  Leave it out of start, or the action out of actions."
                )
        now |= left
        changed |= left
    for name, value in changed.items():
        if isinstance(value, Symbol) and value.reading is FLOATS:
            number = finite(value, plant.measures[name], f"actions: {name}")
            check_bounds(plant, name, number, "actions")
            changed[name] = number
    return changed


def _offer(plant: Flowsheet, phase: Phase, action: Action) -> OfferedAction:
    names = [unit.name for unit in plant.units]
    if action.unit not in names:
        raise SpecificationError(f"actions: {action}: {unknown('unit operation', action.unit, names)}")
    if action.unit in phase.idle_names:
        raise SpecificationError(
            f"actions: {action}: {action.unit} is idle in this phase, its states are held.\n"
            f"  Leave {action.unit} out of idle=[...], or act in a phase in which it is active."
        )
    known = offered(type(plant.unit(action.unit)))
    if action.name not in known:
        raise SpecificationError(f"actions: {unknown(f'{action.unit}: action', action.name, known)}")
    return known[action.name]


def _left(plant: Flowsheet, action: Action, offer: OfferedAction, now: Values) -> dict[str, Symbol]:
    """The states that one action changes, each a symbol in its unit."""
    unit, what = plant.unit(action.unit), f"actions: {action}"
    offer.made(action.unit, (), action.arguments)  # data from a file are checked like those from a call
    arguments = {
        key: _argument(plant, value, offer.unit_of(key), now, f"{what}: {key}")
        for key, value in action.arguments.items()
    }
    view = unit_view(unit, now, _ABSENT)
    returned = evaluate(lambda v: offer.body(unit, v, **arguments), view, what)
    if not isinstance(returned, Mapping):
        raise SpecificationError(f"{what}: the action must return a dict from states to values, got {returned!r}.")
    declared = with_parts(unit, State)
    left: dict[str, Symbol] = {}
    for key, value in returned.items():
        if key not in declared:
            raise SpecificationError(f"{what} returns a value for {unknown('state', key, declared)}")
        owner, declaration = declared[key]
        measure = Measure.of(declaration.unit)
        try:
            scalars = scalars_of(key, value, owner.index_sets(declaration.over), measure, f"{what}: ")
        except TiterError as error:
            raise SpecificationError(str(error)) from None
        for local, one in scalars.items():
            left[f"{unit.name}.{local}"] = one if isinstance(one, Symbol) else quantity(one, measure)
    return left


def _argument(plant: Flowsheet, value: Any, measure: Measure | None, now: Values, what: str) -> Any:
    """An argument as the body is given it: numbers and parameters as quantities where the action states a unit."""
    if isinstance(value, Mapping):
        return {key: _argument(plant, one, measure, now, f"{what}[{key}]") for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        array = np.asarray(value, dtype=object)
        return symbol_array([_argument(plant, one, measure, now, what) for one in array.flat], array.shape)
    if isinstance(value, str):
        value = _parameter(plant, value, measure, now, what)
    if measure is None or isinstance(value, str | bool | None):
        return value
    if isinstance(value, np.ndarray):
        return symbol_array([_converted(one, measure, what) for one in value.flat], value.shape)
    return _converted(value, measure, what)


def _converted(value: Any, measure: Measure, what: str) -> Any:
    try:
        return quantity(magnitude(value, measure), measure)
    except TiterError as error:
        raise SpecificationError(f"{what}: {error}") from None


def _parameter(plant: Flowsheet, name: str, measure: Measure | None, now: Values, what: str) -> Any:
    """The value of the parameter that a text names. A text that can name none (no unit is stated) stays a text."""
    names = elements_of(name)
    if all(kind_of(plant, each) == Parameter.kind for each in names):
        for each in names:
            if each not in now:
                raise SpecificationError(
                    f"{what}: {each} is fixed by the phase before, and not in this one.\n"
                    f"  Fix it in this phase as well: fixed={{{each}: ...}}."
                )
        symbols = [now[str(each)] for each in names]
        return symbols[0] if names == (name,) else symbol_array(symbols)
    if measure is None and not isinstance(name, Name):
        return name
    kind = kind_of(plant, names[0])
    if kind is not None:
        raise SpecificationError(
            f"{what}: {name} is a {kind}; an argument is a number, a quantity, or the name of a parameter."
        )
    raise SpecificationError(f"{what}: {unknown('parameter', name, _parameters(plant))}")


def _parameters(plant: Flowsheet) -> Iterator[str]:
    return (name for name, scalar in plant.scalars.items() if scalar.kind == Parameter.kind)


def values_before(
    plant: Flowsheet, look: Callable[[str], Symbol], fixed: Mapping[str, float], released: Sequence[str]
) -> Values:
    """Symbols of all states and parameters as actions see them.

    `look`: what a name is at the previous phase's end. `fixed`: parameters that the new phase fixes; `released`: those
    that only the previous phase fixed, whose own value is not to be had there.
    """
    values: dict[str, Symbol] = {}
    for name, scalar in plant.scalars.items():
        if name in fixed:
            values[name] = quantity(fixed[name], scalar.measure)
        elif scalar.kind in (State.kind, Parameter.kind) and name not in released:
            values[name] = look(name)
    return values
