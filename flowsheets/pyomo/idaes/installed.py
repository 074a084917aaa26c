"""Is IDAES here? It is an optional dependency; what needs it says how to get it."""

from __future__ import annotations

from importlib.util import find_spec

from titer.numerics.errors import SpecificationError


def check_idaes(what: str) -> None:
    """Raise SpecificationError where IDAES is not installed."""
    if find_spec("idaes") is None:
        raise SpecificationError(f"{what} needs IDAES, which is not installed.\n  pip install titer[idaes]")
