"""How fast is a step of NMPC beside do-mpc? Run by `python -m benchmarks.nmpc --peer PYTHON`.

PYTHON is the interpreter of an environment with do-mpc 5.1.2 and casadi 3.7.2 (or TITER_DO_MPC names it). Its closed
loops of two of its own examples are replayed: at each state titer solves the same program, on one thread and in turns
with do-mpc, and the first moves of both are compared with those of do-mpc's program solved to 1e-10. titer solves it
until a step is below 1e-4 (`converged`), or takes one step prepared before (`feedback`). `cold`: random states without
a plan to go on from; what SQP leaves, fatrop and then IPOPT solve. Times are those of the processor, on an idle machine
those of the wall, which the file has as well. `--quick` takes fewer steps and writes no file.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from benchmarks.harness import RESULTS, record, show, verdict
from benchmarks.nmpc_controller import replay
from benchmarks.nmpc_problems import Example, Posed, fermentation, pose, reactor, scaled
from titer.cases.case import Claim
from titer.numerics.program import Scaling
from titer.numerics.realtime import Sqp, SqpEngine
from titer.numerics.solvers import Engine, Fatrop, Ipopt, Outcome

Array = np.ndarray
EXAMPLES: dict[str, Callable[[], Example]] = {
    "cstr": lambda: reactor(tree=False),
    "tree": lambda: reactor(tree=True),
    "fermentation": fermentation,
}
CONTROLLERS = ("NMPC.step, converged", "NMPC.step, prepared")  # their objective is an integral, not do-mpc's sum
WANTED = {  # times faster than do-mpc, of the medians
    ("cstr", "converged"): 15.0,
    ("tree", "converged"): 10.0,
    ("cstr", "feedback"): 50.0,
    ("cstr", "NMPC.step, converged"): 15.0,
    ("fermentation", "converged"): 5.0,
}


class Clock:
    """Seconds since it was made: of the wall, and of the processor."""

    def __init__(self, seconds: float = 0.0, worked: float = 0.0):
        self.seconds, self.worked = seconds, worked

    def __enter__(self) -> Clock:
        self.seconds, self.worked = perf_counter(), process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.worked, self.seconds = process_time() - self.worked, perf_counter() - self.seconds


@dataclass
class Times:
    """Seconds of one method's steps, and by how much its first moves are off the sharp ones, in sizes of the moves.

    `worked`: of the processor, which another process on the machine does not lengthen as it does those of the wall.
    """

    seconds: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    failures: int = 0

    def add(self, spent: Clock, difference: float, iterations: int, ok: bool) -> None:
        """Note a step."""
        self.seconds.append(spent.seconds)
        self.worked.append(spent.worked)
        self.differences.append(difference if ok else np.nan)
        self.iterations.append(iterations)
        self.failures += not ok

    def figures(self) -> dict[str, float]:
        """Median, 95 % and largest milliseconds of the processor, and the rest."""
        ms, wall = 1e3 * np.array(self.worked), 1e3 * np.array(self.seconds)
        return {
            "median": float(np.median(ms)),
            "p95": float(np.quantile(ms, 0.95)),
            "max": float(ms.max()),
            "median_wall": float(np.median(wall)),
            "p95_wall": float(np.quantile(wall, 0.95)),
            "max_wall": float(wall.max()),
            "iterations": float(np.median(self.iterations)),
            "difference": float(np.nanmax(self.differences)),
            "failures": float(self.failures),
            "steps": float(len(ms)),
        }


class Peer:
    """do-mpc in its own process, one step at a time."""

    def __init__(self, python: str, example: str):
        script = Path(__file__).with_name("nmpc_do_mpc.py")
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [python, str(script), example],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | threads,
        )
        self.version = self._read()["ready"]

    def step(self, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """do-mpc's step at the state it reached, or at another one, cold."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("do-mpc's process ended; does --peer name a Python that has do-mpc?")
        return json.loads(line)


def loop(python: str, name: str, steps: int, repeats: int) -> dict[str, Times]:
    """do-mpc's closed loop, then titer's answers to the same states, in turns: a slow spell falls on both."""
    example = EXAMPLES[name]()
    posed = pose(example)
    engine = SqpEngine(posed.nlp, scaled(posed))
    times = {method: Times() for method in ("do-mpc", "converged", "preparation", "feedback")}
    if name == "cstr":
        times |= {method: Times() for method in CONTROLLERS}
    for _ in range(repeats):
        states = _recorded(python, name, steps, times["do-mpc"], np.array(example.sizes))
        gc.collect()
        gc.disable()
        _converged(posed, engine, states, times["converged"], np.array(example.sizes))
        _stepped(posed, engine, states, times, np.array(example.sizes))
        for method in CONTROLLERS:
            if method in times:
                _controlled(states, method == "NMPC.step, prepared", times[method], np.array(example.sizes))
        gc.enable()
    return times


def _recorded(python: str, name: str, steps: int, times: Times, sizes: Array) -> list[dict[str, Array]]:
    """do-mpc's closed loop: the state, the moves before and the sharp moves of each step."""
    peer, states = Peer(python, name), []
    for _ in range(steps):
        answer = peer.step()
        times.add(Clock(answer["seconds"], answer["worked"]), _off(answer, sizes), answer["iterations"], answer["ok"])
        states.append({key: np.array(answer[key]) for key in ("x", "before", "sharp")})
    peer.close()
    return states


def _converged(
    posed: Posed, engine: SqpEngine, states: Sequence[Mapping[str, Array]], times: Times, sizes: Array
) -> None:
    """Each state solved from the plan before, shifted."""
    plan = _first_plan(posed, engine.scaling, states[0])
    multipliers = plan.row_multipliers, plan.bound_multipliers
    for at in states:
        with Clock() as spent:
            plan = engine.solve(plan.w[posed.shift], posed.data(at["x"], at["before"]), multipliers=multipliers)
        multipliers = plan.row_multipliers, plan.bound_multipliers
        times.add(spent, _far(plan.w[posed.first], at["sharp"], sizes), plan.iterations, plan.status.ok)


def _stepped(
    posed: Posed, engine: SqpEngine, states: Sequence[Mapping[str, Array]], times: Mapping[str, Times], sizes: Array
) -> None:
    """Each state answered by one step, prepared for the state that was expected."""
    plan = _first_plan(posed, engine.scaling, states[0])
    expected = states[0]["x"]
    for at in states:
        multipliers = plan.row_multipliers, plan.bound_multipliers
        with Clock() as before:
            prepared = engine.prepare(plan.w[posed.shift], posed.data(expected, at["before"]), multipliers=multipliers)
        with Clock() as after:
            plan = engine.feedback(prepared, posed.data(at["x"], at["before"]))
        expected = plan.w[posed.next]
        times["preparation"].add(before, 0.0, 1, prepared.step is not None)
        times["feedback"].add(after, _far(plan.w[posed.first], at["sharp"], sizes), 1, plan.status.ok)


def _controlled(states: Sequence[Mapping[str, Array]], prepared: bool, times: Times, sizes: Array) -> None:
    """Each state answered by a controller."""
    later = iter(states[1:])

    def note(seconds: float, worked: float, moves: Array, iterations: int, ok: bool) -> None:
        times.add(Clock(seconds, worked), _far(moves, next(later)["sharp"], sizes), iterations, ok)

    replay(states, prepared, note)


def cold(python: str, starts: int, seed: int = 1) -> tuple[dict[str, Times], dict[str, int]]:
    """Random states of the reactor, each without a plan to go on from; who of the ladder solved them."""
    example = EXAMPLES["cstr"]()
    posed = pose(example)
    scaling, generator = scaled(posed), np.random.default_rng(seed)
    rungs = {
        "SQP": SqpEngine(posed.nlp, scaling, Sqp(iterations=25)),
        "fatrop": Engine(posed.nlp, Fatrop(tolerance=1e-8, iterations=200)),
        "IPOPT": Engine(posed.nlp, Ipopt(tolerance=1e-8)),
    }
    peer, sizes = Peer(python, "cstr"), np.array(example.sizes)
    times, solved = {"do-mpc": Times(), "ladder": Times()}, dict.fromkeys([*rungs, "nobody"], 0)
    peer.step()
    for _ in range(starts):
        x = np.array(example.start) * generator.uniform(0.8, 1.1, size=4)
        before = np.array([generator.uniform(low, high) for low, high in example.bounds])
        theirs = peer.step({"x": x.tolist(), "before": before.tolist()})
        sharp = np.array(theirs["sharp"])
        spent = Clock(theirs["seconds"], theirs["worked"])
        times["do-mpc"].add(spent, _off(theirs, sizes), theirs["iterations"], theirs["ok"])
        w = posed.start.copy()
        w[posed.first] = before
        with Clock() as spent:
            who, outcome = _climbed(rungs, posed, scaling, w, posed.data(x, before))
        solved[who] += 1
        difference = _far(outcome.w[posed.first], sharp, sizes) if theirs["ok"] else np.nan
        times["ladder"].add(spent, difference, outcome.iterations, outcome.status.ok)
    peer.close()
    return times, solved


def _climbed(
    rungs: Mapping[str, SqpEngine | Engine], posed: Posed, scaling: Scaling, w: Array, data: Array
) -> tuple[str, Outcome]:
    nlp = posed.nlp
    for name, engine in rungs.items():
        if isinstance(engine, SqpEngine):
            outcome = engine.solve(w, data)
        else:
            outcome = engine.solve(w, scaling, nlp.lower, nlp.upper, data)
        if outcome.status.ok:
            return name, outcome
    return "nobody", outcome


def _first_plan(posed: Posed, scaling: Scaling, at: Mapping[str, Array]) -> Outcome:
    """The plan a loop begins with, by IPOPT: a cold start is not what is timed here."""
    nlp, data = posed.nlp, posed.data(at["x"], at["before"])
    return Engine(nlp, Ipopt(tolerance=1e-9)).solve(posed.start, scaling, nlp.lower, nlp.upper, data)


def _off(answer: Mapping[str, Any], sizes: Array) -> float:
    return _far(np.array(answer["u"]), np.array(answer["sharp"]), sizes)


def _far(move: Array, sharp: Array, sizes: Array) -> float:
    return float((np.abs(move - sharp) / sizes).max())


def claims(loops: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[Claim]:
    """What the project promises: times faster, with first moves as near to the sharp ones as do-mpc's."""
    found = []
    for (name, method), wanted in WANTED.items():
        if name in loops:
            ratio = loops[name]["do-mpc"]["median"] / loops[name][method]["median"]
            found.append(Claim(f"{name}, {method}: times faster than do-mpc", ratio, wanted, kind="at least"))
    for name, figures in loops.items():
        theirs, own = figures["do-mpc"]["difference"], figures["converged"]["difference"]
        found.append(Claim(f"{name}: first moves off, of do-mpc's", own / theirs, 1.0, kind="at most"))
        found.append(Claim(f"{name}: solves that failed", figures["converged"]["failures"], 0.0, kind="at most"))
    return found


def rows(loops: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[tuple[str, ...]]:
    """The table's rows."""
    table = []
    for name, methods in loops.items():
        base = methods["do-mpc"]["median"]
        for method, f in methods.items():
            times = f"{f['median']:.3g} / {f['p95']:.3g} / {f['max']:.3g}"
            table.append(
                (f"{name}, {method}", times, f"{base / f['median']:.3g}", f"{f['iterations']:.0f}",
                 f"{f['difference']:.1e}", f"{f['failures']:.0f} of {f['steps']:.0f}")
            )  # fmt: skip
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print; without `--quick` also write results/nmpc.json and nmpc.png."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nmpc", description=__doc__)
    parser.add_argument("--peer", default=os.environ.get("TITER_DO_MPC"), help="a Python with do-mpc 5.1.2")
    parser.add_argument("--quick", action="store_true", help="few steps, no file")
    options = parser.parse_args(arguments)
    if not options.peer:
        print("no peer: give --peer PYTHON, or set TITER_DO_MPC, to an interpreter that has do-mpc.", file=sys.stderr)
        return 2
    steps = (
        {"cstr": 10, "tree": 4, "fermentation": 10} if options.quick else {"cstr": 50, "tree": 25, "fermentation": 100}
    )
    repeats = 1 if options.quick else 3
    timed = {name: loop(options.peer, name, count, repeats) for name, count in steps.items()}
    loops = {name: {method: t.figures() for method, t in methods.items()} for name, methods in timed.items()}
    starts, solved = cold(options.peer, 10 if options.quick else 200)
    loops_and_cold = {**loops, "cstr, cold": {method: t.figures() for method, t in starts.items()}}
    columns = ("step", "ms: median / 95 % / max", "times faster", "iterations", "move off", "failed")
    show("A step of NMPC, one thread", columns, rows(loops_and_cold))
    print("cold starts solved by: " + ", ".join(f"{who} {count}" for who, count in solved.items()))
    stated = claims(loops)
    if not options.quick:
        from benchmarks.nmpc_picture import draw

        record("nmpc", {"loops": loops_and_cold, "ladder": solved, "peer": "do-mpc 5.1.2"}, stated, ("casadi",))
        draw({name: {m: t.worked for m, t in methods.items()} for name, methods in timed.items()}, RESULTS / "nmpc.png")
    return verdict(stated)


if __name__ == "__main__":
    sys.exit(main())
