"""What does a unit operation declare? Variables with unit, bounds, start and size; ports; equations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from titer.flowsheets.names import ArrayName, Name
from titer.numerics.errors import DeclarationError, unknown

INF = float("inf")


@dataclass(frozen=True, eq=False)
class Declaration:
    """What all declared variables share.

    `unit`: a unit of measure, read by pint. `over`: the name(s) of the unit operation's fields that are its
    index sets (an int n means 0..n-1). `doc`: what it is, with its source, in a few words.
    """

    unit: str
    over: str | tuple[str, ...] = field(default=(), kw_only=True)
    doc: str = field(default="", kw_only=True)
    attribute: str = field(default="", init=False, repr=False)
    kind: ClassVar[str] = "variable"

    def __post_init__(self) -> None:
        what = type(self).__name__
        if not isinstance(self.unit, str):
            raise DeclarationError(
                f"{what}: the first argument is the unit, a text, got {self.unit!r}.\n"
                f'  Write {what}("mol/L", ...), or {what}("1", ...) for a plain number.'
            )
        over = (self.over,) if isinstance(self.over, str) else self.over
        if not isinstance(over, tuple) or not all(isinstance(key, str) for key in over):
            raise DeclarationError(
                f"{what}: over is the name of a field, or a tuple of names, got {self.over!r}.\n"
                '  Declare a field such as `cells: int = 40`, and write over="cells".'
            )
        object.__setattr__(self, "over", over)

    def __set_name__(self, owner: type, name: str) -> None:
        if not self.attribute:
            object.__setattr__(self, "attribute", name)

    def __get__(self, instance: Any, owner: type) -> Any:
        """On a unit operation: the qualified name. On the class: the declaration itself."""
        return self if instance is None else instance.name_of(self.attribute)


@dataclass(frozen=True, eq=False)
class Bounded(Declaration):
    """A variable with a start, bounds (its physical domain) and a nominal size."""

    start: Any = None
    lower: Any = -INF
    upper: Any = INF
    nominal: Any = None


@dataclass(frozen=True, eq=False)
class State(Bounded):
    """A variable with a rate: `State("mol/L", start=1.0, lower=0.0)`."""

    kind: ClassVar[str] = "state"


@dataclass(frozen=True, eq=False)
class Algebraic(Bounded):
    """A variable determined by an equation without a rate; each needs one entry of `Equations.zero`."""

    kind: ClassVar[str] = "algebraic"


@dataclass(frozen=True, eq=False)
class Control(Bounded):
    """A variable that is given from outside as a trajectory: a number, a function of time, pieces, decisions.

    Its bounds are those of the decision. Its `start` is the value tried first when it is decided.
    """

    kind: ClassVar[str] = "control"


@dataclass(frozen=True, eq=False)
class Parameter(Declaration):
    """A constant: `Parameter("1/s", 2.0e9)`. Bounds are used when it is estimated."""

    value: Any = None
    lower: Any = -INF
    upper: Any = INF
    kind: ClassVar[str] = "parameter"

    @property
    def start(self) -> Any:
        return self.value

    @property
    def nominal(self) -> None:
        return None


@dataclass(frozen=True, eq=False)
class Expression(Declaration):
    """A named intermediate, given in `equations` by `v.define(name, value)`.

    It can be plotted, measured, constrained and corrected.
    """

    kind: ClassVar[str] = "expression"


class Port:
    """A stream into or out of a unit operation: a flow, and what it carries.

    `Inlet("L/h", S="g/L", c=("g/L", "components"))`: the variables are `flow`, `S` and `c` (over the field
    `components`). A port that is not connected in a phase carries no flow.
    """

    kind: ClassVar[str] = "port"

    def __init__(self, flow: str, doc: str = "", **carries: str | tuple[str, ...]):
        self.variables: Mapping[str, tuple[str, tuple[str, ...]]] = {
            key: self._checked(key, value) for key, value in {"flow": flow, **carries}.items()
        }
        self.doc = doc
        self.attribute = ""

    def _checked(self, key: str, value: Any) -> tuple[str, tuple[str, ...]]:
        what = type(self).__name__
        if key.startswith("_") or key in _TAKEN:
            raise DeclarationError(
                f"{what}: a stream variable cannot be called {key!r}, which a port's name has already.\n"
                "  Choose another name."
            )
        texts = (value,) if isinstance(value, str) else value
        if not isinstance(texts, tuple | list) or not texts or not all(isinstance(t, str) for t in texts):
            raise DeclarationError(
                f"{what}: {key} needs a unit, or a tuple of a unit and index sets, got {value!r}.\n"
                f'  Write {key}="g/L", or {key}=("g/L", "components").'
            )
        return texts[0], tuple(texts[1:])

    def __set_name__(self, owner: type, name: str) -> None:
        if not self.attribute:
            self.attribute = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else PortName(instance, self)


class Inlet(Port):
    """A stream that comes in: its variables are read in `equations` as `v.feed.flow`, `v.feed.S`."""

    kind: ClassVar[str] = "inlet"


class Outlet(Port):
    """A stream that goes out, returned as `Equations(port={"broth": {"flow": ..., "S": ...}})`."""

    kind: ClassVar[str] = "outlet"


_TAKEN = {*dir(str), "port", "owner"}  # a port's name is a string; these it has already


class PortName(Name):
    """The qualified name of a port, `tank.feed`; its variables are names below it, `tank.feed.flow`."""

    port: Port
    owner: Any

    def __new__(cls, owner: Any, port: Port) -> PortName:
        name = super().__new__(cls, f"{owner.name}.{port.attribute}")
        name.port, name.owner = port, owner
        return name

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.owner, self.port

    def __getattr__(self, variable: str) -> Name:
        if variable.startswith("_"):
            raise AttributeError(variable)
        if variable not in self.port.variables:
            raise AttributeError(unknown(f"{self}: stream variable", variable, self.port.variables))
        _, over = self.port.variables[variable]
        text = f"{self}.{variable}"
        return ArrayName(text, self.owner.index_sets(over, text)) if over else Name(text)


@dataclass(frozen=True, eq=False)
class Equations:
    """What `equations(self, v)` returns.

    `rate`: the time derivative of every state. `zero`: residuals that vanish, as many scalars as there are
    algebraic variables. `port`: what leaves through each outlet.
    """

    rate: Mapping[str, Any] = field(default_factory=dict)
    zero: Mapping[str, Any] = field(default_factory=dict)
    port: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entry in fields(self):
            given = getattr(self, entry.name)
            if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
                raise DeclarationError(
                    f"Equations: {entry.name} must be a dict from names to values, got "
                    f"{type(given).__name__} {given!r}.\n"
                    f'  Write Equations({entry.name}={{"name": ...}}).'
                )


@dataclass(frozen=True, eq=False)
class Conserved:
    """A total that `conserved(self, v)` names, and the rate at which it comes from outside (0: it stays).

    `by_values`: it holds for the values that parameters have, not for any: an element whose yields are parameters.
    """

    total: Any
    source: Any = 0.0
    by_values: bool = False
