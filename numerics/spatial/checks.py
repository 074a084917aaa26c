"""Is a number of elements, cells or points one? Checked where a method is made."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.numerics.errors import SpecificationError


def check_count(method: Any, key: str, least: int) -> None:
    """Raise SpecificationError where a field is no whole number of at least `least`."""
    value = getattr(method, key)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SpecificationError(
            f"{type(method).__name__}: {key} must be a whole number of at least {least}, got {value!r}.\n"
            f"  Write {type(method).__name__}({key}={max(least, 8)})."
        )
