"""What becomes of 200 batches when kinetics are wrong and things fail? Run by `python -m benchmarks.nmpc_loops`.

The loops of the case batch_nmpc: both frequency factors of the plant up to 30 % off, its heat transfer up to 10 %; one
in twenty solves and one in twenty measurements fails. Open loop, PI, nominal and robust NMPC meet the same plants and
the same noise. Input bounds and rate must hold, nothing may raise, every batch must end; objective and misses of the
limits are recorded as distributions, with the picture of the case (nmpc_loops.png).

`--folder` keeps each finished loop, so that a run that was stopped goes on; `--plants` takes fewer and writes nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from time import perf_counter

from benchmarks.harness import RESULTS, record, show, verdict
from titer.cases.batch_nmpc_answers import Loops, claims, draw_losses, facts, looped, notes
from titer.cases.batch_nmpc_loops import controllers, plan_of, plant

PLANTS = 200


def present(loops: Loops, seconds: float) -> None:
    """Print the numbers of each way to carry the batch out."""
    found = facts(loops)
    rows = []
    for name in loops.study.controllers:
        lost = found["lost_against_perfect_knowledge_EUR"][name]
        missed = [found["share_of_loops_that_missed"][limit][name] for limit in ("impurity", "temperature")]
        rows.append(
            (name, f"{lost['mean']:.0f}", f"{lost['0.95']:.0f}", *(f"{100.0 * share:.1f} %" for share in missed))
        )
    columns = ("", "EUR lost, mean", "95 %", "impurity missed", "temperature missed")
    show(f"{len(loops.perfect)} plants, {seconds:.0f} s", columns, rows)
    sys.stdout.write("\n".join(notes(loops)) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Close all loops, print, record, and return 1 when a claim fails."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nmpc_loops", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--plants", type=int, default=PLANTS, help="fewer plants; writes no file")
    parser.add_argument("--folder", help="where finished loops are kept")
    parser.add_argument("--processes", type=int, default=None, help="loops side by side")
    given = parser.parse_args(arguments)
    began = perf_counter()
    ways = controllers(plan_of(plant))
    with tempfile.TemporaryDirectory() as scratch:
        loops = looped(
            ways, given.plants, lambda text: None, folder=given.folder or scratch, jobs=given.processes
        )  # fmt: skip
    promised = claims(loops)
    present(loops, perf_counter() - began)
    if given.plants == PLANTS:
        columns = ["controller", "objective", "end", "missed impurity", "missed temperature", "fallbacks"]
        table = loops.study.table[columns]
        each = {name: own.drop(columns="controller").to_dict("list") for name, own in table.groupby("controller")}
        figures = facts(loops) | {"loops": each, "perfect": loops.perfect.tolist()}
        record("nmpc_loops", figures, promised)
        draw_losses(loops).savefig(RESULTS / "nmpc_loops.png", dpi=120)
    return verdict(promised)


if __name__ == "__main__":
    sys.exit(main())
