"""What are the decisions at a given trajectory, and how large is each? Values, sizes and bounds of columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from titer.flowsheets.declarations import State
from titer.flowsheets.operation import Decided
from titer.flowsheets.problems.assembly import Assembled, Placement
from titer.flowsheets.problems.hedged import hedged_values
from titer.flowsheets.problems.wiring import log_block, starts_block
from titer.flowsheets.simulation import parameters_of
from titer.numerics.dae import sizes_of
from titer.numerics.solution import PhaseResult

Array = np.ndarray


def fill(assembled: Assembled, nominal: Sequence[Sequence[PhaseResult]], numbers: Mapping[str, float]) -> Array:
    """Decisions that describe given trajectories: states and algebraics interpolated, the others as they were."""
    nlp = assembled.nlp
    w = np.zeros(nlp.columns)

    def put(cells: Array, values: Array) -> None:
        cells, values = np.ravel(cells), np.broadcast_to(values, np.shape(cells)).ravel()
        decided = (cells >= 0) & (cells < nlp.columns) & np.isfinite(values)
        w[cells[decided]] = values[decided]

    for r, placements in enumerate(assembled.runs):
        clock = 0.0
        totals: dict[str, float] = {}
        for placement, result in zip(placements, nominal[r], strict=True):
            block, t = placement.block, result.trajectory
            cells = nlp.cells[block.name]
            grid = placement.transcribed.tau
            known = {**assembled.problem.runs[r].plant.values, **numbers}
            x = _with_totals(placement, result, parameters_of(placement.operation, known, result.held), totals)
            put(cells[block.ports["x"]], _interpolated(t.tau, x, grid))
            z_local = block.ports["z"]
            z = _interpolated(t.tau, t.z, grid)
            put(np.where(z_local >= 0, cells[z_local], -1), z)
            for port, at in (("start", 0), ("end", -1)):
                local = block.ports[port][len(placement.dae.states) :][: len(t.z)]
                put(np.where(local >= 0, cells[local], -1), t.z[:, at])
            jumped = block.ports["jumped"]
            instants = block.own.labels.tau[jumped[0]] if jumped.size else np.zeros(0)
            put(cells[jumped], _interpolated(t.tau, t.z, np.minimum(instants + 1e-9, 1.0)))  # right of the jump
            for name, (_, values) in placement.shapes.items():
                put(cells[block.slot(f"input:{name}").cells], values)
            if placement.transcribed.segment.movable is not None:
                put(cells[block.slot("edges").cells], placement.transcribed.segment.movable)
            put(cells[block.slot("duration").cells], np.array([t.duration]))
            put(cells[block.slot("clock").cells], np.array([clock]))
            clock += t.duration
            after = f"clock after {block.name}"
            if after in nlp.cells:
                put(nlp.cells[after], np.array([clock]))
    names = [str(s.name) for s in assembled.problem.plant.scalars.values() if s.kind == "parameter"]
    for r, block in enumerate(assembled.plants):
        for i, name in enumerate(names):
            if name in numbers:
                put(nlp.cells[block.name][[i]], np.array([numbers[name]]))
                if log_block(name, r) in nlp.cells:
                    put(nlp.cells[log_block(name, r)], np.array([np.log(numbers[name])]))
    for name, cells in _starts(assembled):
        put(cells, np.array([numbers[name]]))
    terms = [[placement.terms for placement in run] for run in assembled.runs]
    for wire, values, _ in hedged_values(assembled.problem, terms, nominal, dict(numbers)):
        put(nlp.where(wire), values)
    return w


def column_sizes(assembled: Assembled, nominal: Sequence[Sequence[PhaseResult]]) -> Array:
    """Typical magnitude of each column: simulated for states and algebraics, bounds and guesses for decisions.

    Powers of two: scaling by them is exact, so that a coefficient of 1 stays 1, as fatrop requires of its gaps.
    """
    nlp = assembled.nlp
    sizes = np.ones(nlp.columns)

    def put(cells: Array, size: Array) -> None:
        cells, values = np.ravel(cells), np.broadcast_to(size, np.shape(cells)).ravel()
        decided = (cells >= 0) & (cells < nlp.columns)
        sizes[cells[decided]] = values[decided]

    everywhere = _seen([result for results in nominal for result in results])
    for r, placements in enumerate(assembled.runs):
        # scenarios are one process: a state that happens to stay at zero in one of them has its size in the others
        seen = everywhere if assembled.problem.share_decisions else _seen(nominal[r])
        longest = sum(result.trajectory.duration for result in nominal[r])
        for placement, result in zip(placements, nominal[r], strict=True):
            block, dae = placement.block, placement.dae
            cells = nlp.cells[block.name]
            for port, variables in (("x", dae.states), ("z", dae.algebraics)):
                local = block.ports[port]
                rows = np.array([seen.get(v.name, np.nan) for v in variables]).reshape(-1, 1)
                put(np.where(local >= 0, cells[local], -1), sizes_of(variables, rows)[:, None])
            offset = len(dae.states)
            z_sizes = sizes_of(
                dae.algebraics, np.array([seen.get(v.name, np.nan) for v in dae.algebraics]).reshape(-1, 1)
            )
            for port in ("start", "end"):
                local = block.ports[port][offset : offset + len(dae.algebraics)]
                put(np.where(local >= 0, cells[local], -1), z_sizes)
            put(cells[block.ports["jumped"]], z_sizes[:, None])
            for (name, (_, values)), source in zip(placement.shapes.items(), placement.operation.inputs, strict=True):
                put(cells[block.slot(f"input:{name}").cells], np.array([_input_size(source, values)]))
            put(cells[block.slot("duration").cells], np.array([max(result.trajectory.duration, 1e-9)]))
            put(cells[block.slot("clock").cells], np.array([longest]))
            if f"clock after {block.name}" in nlp.cells:
                put(nlp.cells[f"clock after {block.name}"], np.array([longest]))
    names = [str(s.name) for s in assembled.problem.plant.scalars.values() if s.kind == "parameter"]
    for number in assembled.numbers:
        if number.name in names:
            for block in assembled.plants:
                put(nlp.cells[block.name][[names.index(number.name)]], np.array([abs(number.guess) or 1.0]))
    guesses = {n.name: abs(n.guess) for n in assembled.numbers}
    for name, cells in _starts(assembled):
        put(cells, np.array([max(guesses[name], everywhere.get(name, 0.0)) or 1.0]))
    terms = [[placement.terms for placement in run] for run in assembled.runs]
    known = {n.name: n.guess for n in assembled.numbers}
    for wire, _, size in hedged_values(assembled.problem, terms, nominal, known):
        put(nlp.where(wire), np.array([size]))
    return 2.0 ** np.round(np.log2(sizes))


def _starts(assembled: Assembled) -> Iterator[tuple[str, Array]]:
    """Names and cells of decided initial states, of every run that decides its own."""
    names = [n.name for n in assembled.numbers if n.kind == State.kind]
    for r in range(len(assembled.runs)):
        cells = assembled.nlp.cells.get(starts_block(r), np.zeros(0, dtype=int))
        for name, cell in zip(names, cells, strict=False):
            yield name, np.array([cell])


def _seen(results: Sequence[PhaseResult]) -> dict[str, float]:
    seen: dict[str, float] = {}
    for result in results:
        for name, values in result.columns():
            finite = np.abs(values[np.isfinite(values)])
            seen[name] = max(seen.get(name, 0.0), float(finite.max(initial=0.0)))
    return seen


def _with_totals(placement: Placement, result: PhaseResult, parameters: Array, totals: dict[str, float]) -> Array:
    """States along a phase, with the totals integrated by the trapezoidal rule: a start, not a result."""
    t = result.trajectory
    extra = placement.dae.states[len(t.x) :]
    if not extra:
        return t.x
    rows = [t.x]
    for variable, placed in zip(extra, placement.terms.carried, strict=True):
        n = len(t.time)
        p = np.repeat(parameters[:, None], n, axis=1)
        rate = np.array(placed.function.map(n)(t.time[None, :], t.x, t.z, t.u, p)).ravel()
        steps = np.diff(t.time) * 0.5 * (rate[1:] + rate[:-1])
        total = totals.get(variable.name, 0.0) + np.concatenate([[0.0], np.cumsum(np.nan_to_num(steps))])
        totals[variable.name] = float(total[-1])
        rows.append(total[None, :])
    return np.concatenate(rows)


def _interpolated(tau: Array, rows: Array, at: Array) -> Array:
    return np.array([np.interp(at, tau, row) for row in rows]).reshape(len(rows), len(at))


def _input_size(source: Any, values: Array) -> float:
    candidates = [float(np.abs(values).max(initial=0.0))]
    if isinstance(source, Decided):
        candidates += [abs(b) for b in (source.lower, source.upper) if np.isfinite(b)]
    return max(candidates) or 1.0
