"""What may be said to IPOPT? Options by IPOPT's own names, as numbers or as text, checked and turned into CasADi's."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping
from typing import Any

from titer.numerics.errors import SpecificationError

HSL = ("ma27", "ma57", "ma77", "ma86", "ma97")
_OTHER_NAMES = {"maxit": "max_iter", "outlev": "print_level"}  # AMPL's keywords for options of IPOPT
_OF_AMPL = ("halt_on_ampl_error", "wantsol", "objno", "timing", "version")  # these speak to AMPL's side of the program
_WHOLE = re.compile(r"[+-]?\d+")


def ipopt_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """IPOPT's options by their names, with numbers as numbers; AMPL's own options are left out.

    Pyomo's `OF_` (in the options file) is taken off. Raises SpecificationError for a solver that crashes.
    """
    options = {}
    for key, value in given.items():
        name = str(key).removeprefix("OF_").removeprefix("ipopt.")
        name = _OTHER_NAMES.get(name, name)
        if name not in _OF_AMPL and name != "solver":
            options[name] = _value(value)
    if str(options.get("linear_solver", "")).startswith("pardiso"):
        raise SpecificationError("linear_solver 'pardiso' of CasADi's wheel crashes the process; use 'mumps'.")
    return options


def with_loadable_solver(options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The options with MUMPS in place of a solver of HSL that cannot be loaded, and a note that says so."""
    wanted = options.get("linear_solver")
    if wanted not in HSL or _hsl_loads(str(options.get("hsllib", "libhsl.so"))):
        return dict(options), ""
    return {**options, "linear_solver": "mumps"}, f"linear_solver={wanted} needs HSL, which is not here: mumps is used"


def _value(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        text = value.strip().strip("\"'")
        if _WHOLE.fullmatch(text):
            return int(text)
        try:
            return float(text)
        except ValueError:
            return text
    return value.item() if hasattr(value, "item") else value


def _hsl_loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def refused(said: str, printed: str) -> SpecificationError:
    """What CasADi said of options, in the words of who wrote them."""
    unknown = re.search(r"No such IPOPT option: (\S+)", said)
    if unknown:
        return SpecificationError(f"IPOPT has no option {unknown[1]!r}. Its names: https://coin-or.github.io/Ipopt.")
    reason = "\n".join(f"  {line.strip()}" for line in printed.splitlines()[:4] if line.strip())
    return SpecificationError(f"IPOPT refuses an option.\n{reason or '  ' + said.splitlines()[-1].strip()}")
