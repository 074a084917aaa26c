"""What is a case? A named study with settings, whose outcome is a list of claims, facts and figures."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from titer.cases.record import plain
from titer.numerics.errors import DeclarationError, SpecificationError, unknown
from titer.numerics.solution import Solution

if TYPE_CHECKING:  # drawing is loaded by the cases that draw
    from matplotlib.figure import Figure

Kind = Literal["equal", "at most", "at least"]
Progress = Callable[[str], None]
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
EXPECTED = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}


@dataclass(frozen=True)
class Claim:
    """One number the case stands for: equal to the expected one within a tolerance, at most, or at least."""

    name: str
    value: float
    expected: float
    tolerance: float = 0.0
    kind: Kind = "equal"
    unit: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise DeclarationError("a claim needs a name that says what is claimed.")
        for label in ("value", "expected", "tolerance"):
            object.__setattr__(self, label, _number(f"claim {self.name!r}: {label}", getattr(self, label)))
        if not math.isfinite(self.expected):
            raise DeclarationError(f"claim {self.name!r}: expected must be finite, got {self.expected}.")
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0.0):
            raise DeclarationError(
                f"claim {self.name!r}: tolerance must be finite and not negative, got {self.tolerance}."
            )
        if self.kind not in get_args(Kind):
            raise DeclarationError(f"claim {self.name!r}: " + unknown("kind", self.kind, get_args(Kind)))

    @property
    def ok(self) -> bool:
        """Whether the claim holds; a value that is not finite proves nothing."""
        if not math.isfinite(self.value):
            return False
        excess = self.value - self.expected
        distance = {"equal": abs(excess), "at most": excess, "at least": -excess}[self.kind]
        return distance <= self.tolerance

    @property
    def wanted(self) -> str:
        """What was expected, as one reads it: `<= 0.15`, `0.61045 +- 5e-05`."""
        sign = {"equal": "", "at most": "<= ", "at least": ">= "}[self.kind]
        slack = f" +- {self.tolerance:.3g}" if self.tolerance else ""
        return f"{sign}{self.expected:.8g}{slack}"


@dataclass(frozen=True)
class Outcome:
    """What a case found: claims, facts for results.json, figures by file name, and lines of its report.

    A figure may be given as a function that draws it, called only after the claims are written. For the report:
    `solutions` by name, the main one first; `sections` by title (frames, dicts, paragraphs); `sources` of values by
    qualified name; `data` by name, whose hashes are noted.
    """

    claims: tuple[Claim, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Figure | Callable[[], Figure]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    solutions: Mapping[str, Solution] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "claims", tuple(self.claims))
        object.__setattr__(self, "facts", plain(self.facts))
        object.__setattr__(self, "notes", (self.notes,) if isinstance(self.notes, str) else tuple(self.notes))
        names = [claim.name for claim in self.claims]
        if not names:
            raise DeclarationError("an outcome needs at least one claim: a case is a program that ends in claims.")
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise DeclarationError(f"claim {doubled[0]!r} is made twice; give each claim a name of its own.")
        for name in self.figures:
            if not FILE_NAME.fullmatch(name):
                raise DeclarationError(f"figure {name!r}: use letters, digits, - and _, it becomes a file name.")
        for name, solution in self.solutions.items():
            if not isinstance(solution, Solution):
                raise DeclarationError(f"solution {name!r}: expected a Solution, got {type(solution).__name__}.")

    @property
    def ok(self) -> bool:
        """Whether every claim holds."""
        return all(claim.ok for claim in self.claims)


@dataclass(frozen=True)
class Setting:
    """A keyword of a case that its users may change: name, type and default."""

    name: str
    type: type
    default: Any

    def parse(self, text: str) -> Any:
        """Read the value from a text, as the command line gives it."""
        try:
            return self.check(WORDS[text.strip().lower()] if self.type is bool else self.type(text))
        except (KeyError, ValueError):
            raise SpecificationError(f"setting {self.name} expects {EXPECTED[self.type]}, got {text!r}.") from None

    def check(self, value: Any) -> Any:
        """Return the value in the setting's type; only a whole number given for a number is converted."""
        if self.type is float and type(value) is int:
            value = float(value)
        of_type = type(value) is self.type  # True is an int to isinstance, and no number of elements
        if not of_type or (self.type is float and not math.isfinite(value)):
            raise SpecificationError(f"setting {self.name} expects {EXPECTED[self.type]}, got {value!r}.")
        return value


@dataclass(frozen=True)
class Case:
    """A complete study: call it with a function for progress lines and its settings, get its `Outcome`."""

    name: str
    title: str
    function: Callable[..., Outcome]
    settings: tuple[Setting, ...] = field(init=False)
    summary: str = field(init=False)

    def __post_init__(self) -> None:
        if not FILE_NAME.fullmatch(self.name):
            raise DeclarationError(f"case {self.name!r}: use letters, digits, - and _, it becomes a folder name.")
        object.__setattr__(self, "settings", _settings(self.name, self.function))
        lines = (inspect.getdoc(self.function) or "").splitlines()
        if not lines:
            raise DeclarationError(f"case {self.name}: the function needs a docstring; its first line is the summary.")
        object.__setattr__(self, "summary", lines[0])

    def __call__(self, progress: Progress = lambda text: None, **given: Any) -> Outcome:
        """Run the study; settings that are not given keep their defaults."""
        outcome = self.function(progress, **self.complete(given))
        if not isinstance(outcome, Outcome):
            raise DeclarationError(f"case {self.name}: expected an Outcome, got {type(outcome).__name__}.")
        return outcome

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings: the given ones, checked, over the defaults."""
        checked = {name: self.setting(name).check(value) for name, value in given.items()}
        return {setting.name: setting.default for setting in self.settings} | checked

    def setting(self, name: str) -> Setting:
        """Return the setting of this name."""
        known = {setting.name: setting for setting in self.settings}
        if name not in known:
            raise SpecificationError(unknown(f"setting of {self.name}", name, known))
        return known[name]


def case(name: str, title: str = "") -> Callable[[Callable[..., Outcome]], Case]:
    """Make a case of `function(progress, *, quick=False, ...)`; what follows the star are its settings."""
    return lambda function: Case(name, title or name.replace("_", " ").capitalize(), function)


def _settings(name: str, function: Callable[..., Outcome]) -> tuple[Setting, ...]:
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    if len([p for p in parameters if p.kind is not p.KEYWORD_ONLY]) != 1:
        raise DeclarationError(f"case {name}: write its function as (progress, *, quick: bool = False, ...).")
    settings = tuple(Setting(p.name, p.annotation, p.default) for p in parameters if p.kind is p.KEYWORD_ONLY)
    for setting in settings:
        if setting.type not in EXPECTED or type(setting.default) is not setting.type:
            raise DeclarationError(
                f"case {name}: setting {setting.name} needs a type and a default of that type.\n"
                "  expected: bool, int, float or str"
            )
    if Setting("quick", bool, False) not in settings:
        raise DeclarationError(f"case {name}: needs the setting quick: bool = False, for a run in at most a minute.")
    return settings


def _number(what: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DeclarationError(f"{what} must be a number, got {value!r}.") from None
