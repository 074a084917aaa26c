"""Where is a solve kept while it is unfinished? In a file of its own, which goes when the solve succeeds.

So a process that dies in the middle of a solve leaves what it had. The folder is the environment variable
TITER_UNFINISHED, else the user's state folder; an empty variable keeps nothing. The newest files are kept.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from titer.numerics.explaining.record import Record, save_record

VARIABLE = "TITER_UNFINISHED"
_MOST = 20  # files
_numbers = itertools.count(1)


def folder() -> Path | None:
    """Where unfinished solves are kept; None: nowhere."""
    told = os.environ.get(VARIABLE)
    if told is not None:
        return Path(told) if told else None
    from platformdirs import user_state_path

    return user_state_path("titer", appauthor=False) / "unfinished"


def kept() -> list[Path]:
    """Files of unfinished solves, the newest first."""
    where = folder()
    found = [] if where is None or not where.is_dir() else list(where.glob("*.titer"))
    return sorted(found, key=lambda file: (_age(file), file.name), reverse=True)


def _age(file: Path) -> int:
    """When a file was written; one that another process has just removed is the oldest."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


@dataclass
class Keeper:
    """Keeps one solve: `write` replaces what was kept of it, `discard` forgets it."""

    path: Path | None

    @staticmethod
    def begin() -> Keeper:
        """A keeper with a file name of its own; older files than the newest are removed."""
        where = folder()
        if where is None:
            return Keeper(None)
        with suppress(OSError):
            for old in kept()[_MOST - 1 :]:
                old.unlink(missing_ok=True)
        stamp = time.strftime("%Y%m%d-%H%M%S")
        return Keeper(where / f"{stamp}-{os.getpid()}-{next(_numbers)}.titer")

    def write(self, record: Callable[[], Record]) -> Path | None:
        """Keep a record; what cannot be written is not kept, a solve must not fail for it."""
        if self.path is None:
            return None
        try:
            return save_record(record(), self.path)
        except (OSError, RuntimeError, TypeError, ValueError):  # nowhere to write, or a function that cannot be written
            self.path = None
            return None

    def discard(self) -> None:
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
