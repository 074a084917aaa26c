"""How does a memory become a file, and a file a memory? Numbers, texts and arrays in one .npz, without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from titer.control.action import Action, ActionStatus, Plan
from titer.control.nmpc.memory import ControlMemory, Event, Kept, Kind, Mode
from titer.control.nmpc.timetable import Horizon, Part
from titer.estimation.estimators.memory import Memory as Estimated
from titer.flowsheets.signals import Signal
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError

_FORMAT = 1
_PLAIN = ("time", "phase", "entered", "changed", "planned", "lasted", "ending", "over", "bad")
_NUMBERS = ("estimated", "totals", "manual", "counts")
_OF_ACTION = ("time", "age", "fallback", "ends", "stop", "seconds")


def save(memory: ControlMemory, path: str | Path) -> Path:
    """Write a memory; a process that dies while it writes leaves the file before."""
    path = Path(path)
    path = path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"facts": np.array(json.dumps(_facts(memory)))}
    arrays |= {"x": memory.x, "applied": memory.applied}
    if memory.waiting is not None:
        arrays["waiting"] = memory.waiting
    if memory.kept is not None:
        arrays |= {"kept.w": memory.kept.w, "kept.data": memory.kept.data}
        if memory.kept.multipliers is not None:
            arrays |= dict(zip(("kept.rows", "kept.bounds"), memory.kept.multipliers, strict=True))
    if memory.estimator is not None:
        arrays |= {f"estimator.{key}": value for key, value in memory.estimator.to_arrays().items()}
    for name, signal in memory.given.items():
        arrays[f"given.{name}"] = np.stack([signal.times, signal.left, signal.right])
    if memory.action.plan is not None:
        plans = (memory.action.plan, *memory.action.plan.scenarios)
        for i, plan in enumerate(plans):
            arrays |= {f"plan.{i}.times": plan.times, f"plan.{i}.values": plan.values}
    written = path.with_name(f".{path.name}")
    with written.open("wb") as file:
        np.savez(file, **arrays)
    written.replace(path)
    return path


def load(path: str | Path) -> ControlMemory:
    """Read a memory. Raises SpecificationError for anything else."""
    path = Path(path)
    path = path if path.suffix == ".npz" or path.is_file() else path.with_name(f"{path.name}.npz")
    if not path.is_file():
        raise SpecificationError(f"ControlMemory: there is no file {path.name} in {path.parent}.")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        facts = json.loads(str(arrays["facts"]))
        if facts["format"] != _FORMAT:
            raise SpecificationError(
                f"ControlMemory: {path.name} has format {facts['format']}, this version reads {_FORMAT}."
            )
        return _memory(facts, arrays)
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise SpecificationError(
            f"ControlMemory: {path.name} in {path.parent} is no memory of a controller, or is damaged "
            f"({type(error).__name__}).\n  Give a file that ControlMemory.save wrote."
        ) from None


def _facts(memory: ControlMemory) -> dict[str, Any]:
    facts: dict[str, Any] = {key: getattr(memory, key) for key in _PLAIN}
    facts |= {key: dict(getattr(memory, key)) for key in _NUMBERS}
    facts["format"] = _FORMAT
    facts["mode"] = memory.mode.name
    facts["signals"] = {name: list(pair) for name, pair in memory.signals.items()}
    facts["events"] = [[event.time, event.kind.name, event.text] for event in memory.events]
    if memory.kept is not None:
        kept = memory.kept
        parts = [[p.phase, list(p.lengths), p.open, p.begins, p.ends, p.gone] for p in kept.horizon.parts]
        facts["kept"] = {"parts": parts, "whole": kept.horizon.whole, "time": kept.time, "age": kept.age}
    action = memory.action
    facts["action"] = {key: getattr(action, key) for key in _OF_ACTION}
    facts["action"] |= {"status": action.status.name, "reasons": list(action.reasons)}
    facts["action"] |= {key: dict(getattr(action, key)) for key in ("values", "estimate", "deviations")}
    if action.plan is not None:
        facts["plan"] = {
            "names": list(action.plan.names),
            "ends": dict(action.plan.ends),
            "scenarios": [dict(plan.ends) for plan in action.plan.scenarios],
        }
    return facts


def _memory(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> ControlMemory:
    own = {key.removeprefix("estimator."): value for key, value in arrays.items() if key.startswith("estimator.")}
    given = {key.removeprefix("given."): Signal(*value) for key, value in arrays.items() if key.startswith("given.")}
    plain = {key: facts[key] for key in _PLAIN}
    return ControlMemory(
        **{**plain, "lasted": tuple(plain["lasted"]), "bad": tuple(plain["bad"])},
        **{key: facts[key] for key in _NUMBERS},
        x=arrays["x"],
        applied=arrays["applied"],
        waiting=arrays.get("waiting"),
        kept=_kept(facts["kept"], arrays) if "kept" in facts else None,
        action=_action(facts, arrays),
        estimator=Estimated.from_arrays(own) if own else None,
        mode=Mode[facts["mode"]],
        signals={name: (pair[0], pair[1]) for name, pair in facts["signals"].items()},
        given=given,
        events=tuple(Event(time, Kind[kind], text) for time, kind, text in facts["events"]),
    )


def _kept(entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> Kept:
    parts = tuple(Part(k, tuple(lengths), *others) for k, lengths, *others in entry["parts"])
    multipliers = (arrays["kept.rows"], arrays["kept.bounds"]) if "kept.rows" in arrays else None
    horizon = Horizon(parts, entry["whole"])
    return Kept(horizon, entry["time"], arrays["kept.w"], arrays["kept.data"], multipliers, entry["age"])


def _action(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> Action:
    entry, plan = facts["action"], None
    if "plan" in facts:
        names = tuple(facts["plan"]["names"])
        several = [facts["plan"]["ends"], *facts["plan"]["scenarios"]]
        first, *others = (
            Plan(names, arrays[f"plan.{i}.times"], arrays[f"plan.{i}.values"], ends) for i, ends in enumerate(several)
        )
        plan = Plan(names, first.times, first.values, first.ends, tuple(others))
    return Action(
        **{key: entry[key] for key in _OF_ACTION},
        values=entry["values"],
        status=ActionStatus[entry["status"]],
        reasons=tuple(entry["reasons"]),
        plan=plan,
        estimate=entry["estimate"],
        deviations=entry["deviations"],
    )
