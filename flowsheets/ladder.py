"""What has been tried so far? The rungs of the start ladder."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from titer.numerics.solution import Rung

Array = np.ndarray


@dataclass
class Ladder:
    """The rungs climbed so far."""

    rungs: list[Rung] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    last: float = field(default_factory=time.perf_counter)

    def climbed(self, name: str, result: str) -> None:
        now = time.perf_counter()
        self.rungs.append(Rung(name, now - self.last, result))
        self.last = now

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.began

    def seconds(self, *names: str) -> float:
        return sum(r.seconds for r in self.rungs if r.name in names)
