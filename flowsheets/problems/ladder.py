"""What has been tried so far? The rungs of the start ladder."""

from __future__ import annotations

import time
from collections.abc import Sequence
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

    def report(self, steps: Sequence[tuple[str, float, str]], prefix: str = "") -> None:
        """Report steps that were timed where they were done."""
        before = f"mesh {self.mesh}: " if self.mesh > 1 else ""
        self.rungs += [Rung(f"{before}{prefix}{name}", seconds, said) for name, seconds, said in steps]
        self.last = time.perf_counter()

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
    return (": " in rung.name.removeprefix("mesh ") and "start" in rung.name) or rung.name.endswith("starts")
