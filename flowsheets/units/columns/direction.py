"""How does a column run backwards? The same flow on values in the reverse order."""

from __future__ import annotations

from typing import Any

from scipy.sparse import csr_array, eye_array

from titer.flowsheets.symbols.vectors import times
from titer.numerics.spatial.line import Flow


def either_way(flow: Flow, nodes: int, forward: Any) -> Flow:
    """A flow of which the share `forward` (1, or 0) runs forward, and the rest backward."""
    turned = csr_array(eye_array(nodes, format="csr")[::-1])

    def rates(c: Any, c_in: Any) -> tuple[Any, Any]:
        ahead, left = flow(c, c_in)
        back, right = flow(times(turned, c), c_in)
        backward = 1.0 - forward
        return forward * ahead + backward * times(turned, back), forward * left + backward * right

    return rates
