"""How does a loop become a log? Notes taken as it runs, put into frames at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.control.action import Action
from titer.control.loops.log import Cut, Log
from titer.control.loops.manual import Manual
from titer.control.loops.tracks import span
from titer.control.loops.truth import Moment, Stretch, Truth
from titer.estimation.estimators.sample import Sample
from titer.flowsheets.doubts import doubts
from titer.flowsheets.shapes import Shape
from titer.flowsheets.signals import Signal, shape_of
from titer.flowsheets.simulation import Source, solution_of
from titer.numerics.integration.trajectory import Trajectory
from titer.numerics.solution import PhaseResult
from titer.numerics.solvers import Status

if TYPE_CHECKING:
    import pandas as pd

Event = tuple[float, str, str]


@dataclass
class Notes:
    """What is written down while a loop runs: rows of frames by the time of the step, and what the truth did."""

    times: list[float] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    truth: list[dict[str, float]] = field(default_factory=list)
    measured: list[dict[str, float]] = field(default_factory=list)
    commanded: list[dict[str, float]] = field(default_factory=list)
    applied: list[dict[str, float]] = field(default_factory=list)
    wanted: list[dict[str, float]] = field(default_factory=list)
    estimates: list[dict[str, float]] = field(default_factory=list)
    deviations: list[dict[str, float]] = field(default_factory=list)
    laboratory: list[tuple[float, float, str, float]] = field(default_factory=list)
    plans: list[Any] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    run: list[tuple[Stretch, dict[str, float], dict[str, float]]] = field(default_factory=list)
    complete: bool = False
    said: str = ""

    def decided(
        self, moment: Moment, phase: str, sample: Sample, action: Action, commanded: Mapping[str, float],
        wanted: Mapping[str, float], by_hand: Manual | None,
    ) -> None:  # fmt: skip
        """A step: what was seen, and what came of it."""
        t = moment.clock
        before = self.steps[-1] if self.steps else {"phase": "", "status": action.status.name}
        if phase != before["phase"]:
            self.events.append((t, "phase", f"{phase} begins"))
        said = "; ".join(text for text in (action.fallback, *action.reasons) if text)
        if action.status.name != before["status"] or (said and said != self.said):
            self.events.append((t, "controller", f"{action.status.value}{': ' if said else ''}{said}"))
        self.said = said
        self.times.append(t)
        self.steps.append(
            {
                "phase": phase, "status": action.status.name, "age": int(action.age), "fallback": action.fallback or "",
                "manual": by_hand is not None, "seconds": float(action.seconds), "reasons": "; ".join(action.reasons),
            }
        )  # fmt: skip
        self.truth.append(dict(moment.seen))
        self.measured.append({name: float(value) for name, value in sample.values.items()})
        self.laboratory += [(taken, t, name, float(value)) for name, (taken, value) in sample.late.items()]
        self.commanded.append({name: float(value) for name, value in commanded.items()})
        self.wanted.append(dict(wanted))
        self.estimates.append(dict(action.estimate))
        self.deviations.append(dict(action.deviations))
        self.plans.append(action.plan)

    def ran(
        self, moment: Moment, stretches: Sequence[Stretch], applied: Mapping[str, float] | None,
        shifts: Mapping[str, Signal],
    ) -> None:  # fmt: skip
        """What the truth did until the next step."""
        self.applied.append(dict(applied or {}))
        for stretch in stretches:
            a, b = stretch.trajectory.time[0], stretch.trajectory.time[-1]
            shifted = {name: span(signal, a, max(b, a + 1e-9))[0] for name, signal in shifts.items()}
            self.run.append((stretch, shifted, dict(moment.states)))

    def finished(self, moment: Moment) -> None:
        self.complete = moment.ended
        self.truth.append(dict(moment.seen))
        self.times.append(moment.clock)
        for name in moment.timeouts:
            self.events.append((moment.clock, "phase", f"{name} ended by its upper limit: its condition was not met"))


def written(
    truth: Truth, source: Source, notes: Notes, announced: Sequence[Event], limits: Mapping[str, tuple[float, float]],
    failed: str,
) -> Log:  # fmt: skip
    """The log of a loop; `failed`: why the truth could not go on."""
    import pandas as pd

    phases, cuts = _phases(truth, notes)
    message = failed or "\n".join(doubts(truth.plant, truth.planned[: len(phases)], phases))
    run = solution_of(source, phases, Status.FAILED if failed else Status.SOLVED, message)
    label = f"time [{truth.plant.time}]"
    index = pd.Index(notes.times[: len(notes.steps)], name=label, dtype=float)
    reached = notes.times[-1] if notes.times else 0.0
    events = sorted([*notes.events, *(event for event in announced if event[0] <= reached)], key=lambda e: e[0])
    if failed:
        events.append((reached, "truth", failed))
    return Log(
        run=run,
        truth=pd.DataFrame(notes.truth, index=pd.Index(notes.times[: len(notes.truth)], name=label, dtype=float)),
        measured=_frame(notes.measured, index),
        commanded=_frame(notes.commanded, index),
        applied=_frame(notes.applied, index[: len(notes.applied)]),
        wanted=_frame(notes.wanted, index),
        estimates=_frame(notes.estimates, index),
        deviations=_frame(notes.deviations, index),
        steps=_frame(notes.steps, index),
        laboratory=_table(notes.laboratory, {"taken": float, "arrived": float, "name": str, "value": float}),
        events=_table(events, {"time": float, "kind": str, "text": str}),
        plans=tuple(notes.plans),
        limits=dict(limits),
        cuts=cuts,
        complete=notes.complete and len(phases) == len(truth.planned),
    )


def _frame(rows: Sequence[Mapping[str, Any]], index: pd.Index) -> pd.DataFrame:
    import pandas as pd

    names = list(dict.fromkeys(name for row in rows for name in row))
    return pd.DataFrame({name: [row.get(name, np.nan) for row in rows] for name in names}, index=index, columns=names)


def _table(rows: Sequence[tuple[Any, ...]], columns: Mapping[str, type]) -> pd.DataFrame:
    import pandas as pd

    found = pd.DataFrame(list(rows), columns=list(columns))
    return found.astype({name: kind for name, kind in columns.items() if kind is float})


def _phases(truth: Truth, notes: Notes) -> tuple[tuple[PhaseResult, ...], tuple[Cut, ...]]:
    """The phases that were run, and where along them parameters changed."""
    phases: list[PhaseResult] = []
    cuts: list[Cut] = []
    for k, operation in enumerate(truth.planned):
        own = [entry for entry in notes.run if entry[0].phase == k]
        own = [entry for entry in own if entry[0].pieces] or own[:1]
        if not own:
            break
        place = 0
        for stretch, shifted, _ in own:
            if not cuts or cuts[-1].phase != k or cuts[-1].shifted != shifted:
                cuts.append(Cut(k, place, shifted))
            place += len(stretch.trajectory.time)
        lowered, dae = operation.lowered, operation.lowered.dae
        phases.append(
            PhaseResult(
                name=operation.name,
                trajectory=_joined([stretch.trajectory for stretch, _, _ in own]),
                states=tuple(v.name for v in dae.states),
                algebraics=tuple(v.name for v in dae.algebraics),
                inputs=tuple(v.name for v in dae.inputs),
                outputs=tuple(v.name for v in dae.outputs),
                held={name: own[0][2][name] for name in lowered.held},
                shapes=_shapes([v.name for v in dae.inputs], [stretch for stretch, _, _ in own]),
            )
        )
    return tuple(phases), tuple(cuts)


def _joined(parts: Sequence[Trajectory]) -> Trajectory:
    time, x, z, u, y = (
        np.concatenate([getattr(part, key) for part in parts], axis=-1) for key in ("time", "x", "z", "u", "y")
    )
    return Trajectory(time, x, z, u, y, reached=parts[-1].reached)


def _shapes(names: Sequence[str], stretches: Sequence[Stretch]) -> dict[str, Shape]:
    """What the inputs were, piece by piece, as fractions of the phase; a piece cut short by the end of the phase ends
    there."""
    edges, left, right = [0.0], [], []
    for stretch in stretches:
        ran = stretch.trajectory.duration
        for piece in stretch.pieces:
            share = min(1.0, ran / piece.duration) if piece.duration > 0.0 else 0.0
            if share <= 0.0:
                break
            edges.append(edges[-1] + share * piece.duration)
            left.append(piece.left)
            right.append(piece.left + share * (piece.right - piece.left))
            ran -= share * piece.duration
    if not left:
        return {}
    places = np.array(edges) / edges[-1]
    rows = (np.array(left).T, np.array(right).T)
    return {name: shape_of(places, lefts, rights) for name, lefts, rights in zip(names, *rows, strict=True)}
