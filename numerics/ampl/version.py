"""Which IPOPT is inside CasADi's wheel?"""

from __future__ import annotations

import re
from functools import lru_cache

import casadi as ca

from titer.numerics.ampl.printed import printed


@lru_cache(maxsize=1)
def ipopt_version() -> tuple[int, ...]:
    """The version that IPOPT prints of itself: (3, 14, 19)."""
    x = ca.SX.sym("x")
    with printed() as said:
        ca.nlpsol("version", "ipopt", {"x": x, "f": x**2}, {"print_time": False, "ipopt.sb": "yes"})(x0=0)
    found = re.search(r"Ipopt version (\d+(?:\.\d+)+)", said.getvalue())
    return tuple(int(part) for part in found[1].split(".")) if found else (0,)
