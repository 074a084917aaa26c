"""How does a loop survive a kill? Every action is written down as it is taken, with the controller's memory beside it.

A loop that is begun again in the same folder lets its truth run through the actions that were written, which are not
decided again, and goes on from the memory. Plant, noise and faults depend on the seed alone, so that nothing else needs
to be kept. Memories take turns in two files: a kill while one is written leaves the one that the last line belongs to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from titer.control.action import Action, ActionStatus, Plan
from titer.numerics.errors import SpecificationError

_FILE = "actions.jsonl"
_PLAIN = ("time", "age", "fallback", "ends", "stop", "seconds")


@dataclass(frozen=True, eq=False)
class Journal:
    """A folder of the loop that `told` describes; `actions`: those that were taken before."""

    folder: Path
    actions: tuple[Action, ...]

    @staticmethod
    def opened(folder: str | Path, told: Mapping[str, Any]) -> Journal:
        """The folder, made where there is none. Raises SpecificationError where it is of another loop."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _FILE
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()  # a line that was cut short is none
        first = json.dumps(dict(told), sort_keys=True)
        if not lines:
            _write(path, first + "\n")
            return Journal(folder, ())
        if lines[0] != first:
            raise SpecificationError(
                f"keep: {folder} holds another loop.\n  expected: {first}\n  found:    {lines[0]}\n"
                f"  Name another folder, or remove this one."
            )
        if len(text) > text.rfind("\n") + 1:
            _write(path, text[: text.rfind("\n") + 1])
        return Journal(folder, tuple(action_of(json.loads(line)) for line in lines[1:]))

    def memory(self, step: int) -> Path:
        """Where the memory after a step is."""
        return self.folder / f"memory_{step % 2}.npz"

    def keep(self, step: int, action: Action, memory: Any) -> None:
        """Write down an action and the memory after it."""
        memory.save(self.memory(step))
        with (self.folder / _FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts_of(action)) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _write(path: Path, text: str) -> None:
    other = path.with_name(f".{path.name}")
    other.write_text(text, encoding="utf-8")
    other.replace(path)


def facts_of(action: Action) -> dict[str, Any]:
    """An action as JSON knows it."""
    facts = {key: getattr(action, key) for key in _PLAIN}
    facts |= {key: _numbers(getattr(action, key)) for key in ("values", "estimate", "deviations")}
    facts |= {"status": action.status.name, "reasons": list(action.reasons)}
    return facts | {"plan": None if action.plan is None else _of_plan(action.plan)}


def action_of(facts: Mapping[str, Any]) -> Action:
    """An action from its facts."""
    plan = facts["plan"]
    return Action(
        **{key: facts[key] for key in (*_PLAIN, "values", "estimate", "deviations")},
        status=ActionStatus[facts["status"]],
        reasons=tuple(facts["reasons"]),
        plan=None if plan is None else _plan(plan),
    )


def _of_plan(plan: Plan) -> dict[str, Any]:
    return {
        "names": [str(name) for name in plan.names],
        "times": np.asarray(plan.times).tolist(),
        "values": np.asarray(plan.values).tolist(),
        "ends": _numbers(plan.ends),
        "scenarios": [_of_plan(each) for each in plan.scenarios],
    }


def _plan(facts: Mapping[str, Any]) -> Plan:
    values = np.array(facts["values"], dtype=float).reshape(len(facts["names"]), len(facts["times"]))
    scenarios = tuple(_plan(each) for each in facts["scenarios"])
    return Plan(tuple(facts["names"]), np.array(facts["times"], dtype=float), values, facts["ends"], scenarios)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}
