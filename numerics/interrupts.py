"""Was Ctrl-C pressed while compiled code ran? Solvers turn it into a failure like any other; this remembers it."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn


class Interrupts:
    """A context in which Ctrl-C works as always (KeyboardInterrupt), and `seen` tells afterwards that it came.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.seen = False
        self._before: Any = None
        self._watching = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Interrupts:
        if self._watching:
            self._before = signal.getsignal(signal.SIGINT)
            self._watching = self._before is signal.default_int_handler  # another handler knows better
        if self._watching:
            signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watching:
            signal.signal(signal.SIGINT, self._before)

    def _interrupted(self, number: int, frame: FrameType | None) -> NoReturn:
        self.seen = True
        raise KeyboardInterrupt
