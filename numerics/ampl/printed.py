"""What does CasADi print in a call? `printed()` keeps it from the screen, and leaves other threads their own."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

_ONE_AT_A_TIME = threading.RLock()  # sys.stdout is one for all threads: two that replace it would restore each other's


@contextmanager
def printed() -> Iterator[io.StringIO]:
    """A context in which what this thread writes to standard output is kept, as CasADi does through Python's."""
    with _ONE_AT_A_TIME:
        kept = _Kept(sys.stdout)
        with redirect_stdout(kept):  # type: ignore[type-var]
            yield kept.text


class _Kept:
    """Standard output whose own thread writes to `text`, others where they did before."""

    def __init__(self, others: Any):
        self.text, self._others, self._own = io.StringIO(), others, threading.get_ident()

    def write(self, text: str) -> int:
        written: int = (self.text if threading.get_ident() == self._own else self._others).write(text)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._others, name)
