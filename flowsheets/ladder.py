"""What has been tried so far? The rungs of the start ladder."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from titer.numerics.solution import Rung


@dataclass
class Ladder:
    """The rungs climbed so far."""

    rungs: list[Rung] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    last: float = field(default_factory=time.perf_counter)
    mesh: int = 0

    def begin(self) -> None:
        """Begin a mesh; rungs of later ones say which."""
        self.mesh += 1

    def climbed(self, name: str, result: str) -> None:
        """Report a rung; its time is that since the last one."""
        now = time.perf_counter()
        prefix = f"mesh {self.mesh}: " if self.mesh > 1 else ""
        self.rungs.append(Rung(prefix + name, now - self.last, result))
        self.last = now

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.began

    def seconds(self, *beginnings: str) -> float:
        """Seconds of all rungs, of any mesh, whose names begin so."""
        return sum(r.seconds for r in self.rungs if r.name.split(": ")[-1].startswith(beginnings) and not _second(r))

    @property
    def seconds_of_second_start(self) -> float:
        return sum(r.seconds for r in self.rungs if _second(r))


def _second(rung: Rung) -> bool:
    return "second start" in rung.name or rung.name.endswith("starts")
