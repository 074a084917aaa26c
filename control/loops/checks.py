"""Is it a number, a list, a controller? What everyone who sets up a loop can get wrong, named where it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from titer.estimation.estimators.sample import Sample
from titer.numerics.errors import SpecificationError

_WANTED = ("plant", "recipe", "every", "manipulated", "measured", "inputs", "start", "step", "resume")


def check_number(value: Any, what: str, least: float = -np.inf, most: float = np.inf, endless: bool = False) -> None:
    """A finite number from `least` to `most`, or without end where that makes sense. Raises SpecificationError."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if number and least <= value <= most and (endless or np.isfinite(value)):
        return
    limits = [f"at least {least:g}"] * bool(np.isfinite(least)) + [f"at most {most:g}"] * bool(np.isfinite(most))
    raise SpecificationError(f"{what} must be a{'' if endless else ' finite'} number"
                             f"{', ' if limits else ''}{' and '.join(limits)}, got {value!r}.")  # fmt: skip


def check_list(value: Any, what: str, example: str) -> None:
    """A list, of whatever. Raises SpecificationError."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise SpecificationError(f"{what}: expected a list, such as [{example}], got {value!r}.")


def check_seed(seed: Any, what: str) -> None:
    """What random numbers can begin with. Raises SpecificationError."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool) and seed >= 0
    if not whole and not isinstance(seed, np.random.SeedSequence):
        raise SpecificationError(f"{what}: seed must be a whole number of at least 0, got {seed!r}.")


def check_controller(controller: Any, what: str) -> None:
    """Something that decides. Raises SpecificationError."""
    known = dir(controller)
    missing = [name for name in _WANTED if name not in known]
    if missing:
        raise SpecificationError(
            f"{what}: expected a controller, such as NMPC(...), PID(...) or OpenLoop(plan), got {controller!r}.\n"
            f"  It has no {', '.join(missing)}; titer.control.Controller says what they are."
        )


def check_sample(sample: Any) -> None:
    """What a controller reads. Raises SpecificationError."""
    if not isinstance(sample, Sample):
        raise SpecificationError(f"expected Sample(time, {{name: value}}), got {type(sample).__name__} {sample!r}.")
