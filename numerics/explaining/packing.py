"""How do a solve and an integration become facts, arrays and functions, and back? For files read without a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import casadi as ca
import numpy as np

from titer.numerics.archive import plain
from titer.numerics.dae import Dae, Variable
from titer.numerics.explaining.attempt import Attempt
from titer.numerics.integration.rerun import Integration
from titer.numerics.integration.trajectory import Piece
from titer.numerics.integration.watch import Event
from titer.numerics.nlp import Array, Batch, Labels, Nlp
from titer.numerics.program import Scaling
from titer.numerics.solvers import Fatrop, Ipopt, Outcome, Status

_OUTCOME = ("w", "row_multipliers", "bound_multipliers")
_GROUPS = ("states", "algebraics", "inputs", "parameters", "outputs")


@dataclass
class Pack:
    """What is written beside the facts: arrays by name, functions as text by the name of their file."""

    arrays: dict[str, Array] = field(default_factory=dict)
    functions: dict[str, Any] = field(default_factory=dict)
    _known: dict[int, str] = field(default_factory=dict)

    def put_function(self, function: ca.Function) -> str:
        """Add a function; its file name."""
        key = self._known.setdefault(id(function), f"functions/{len(self._known)}.casadi")
        if key not in self.functions:
            self.functions[key] = function.serialize()
        return key

    def put_labels(self, key: str, labels: Labels) -> str:
        """Add labels, each text once; their phase is a fact."""
        known: dict[str, int] = {}
        which = np.array([known.setdefault(text, len(known)) for text in labels.texts], dtype=int)
        texts = np.array(list(known), dtype=str)
        self.arrays |= {f"{key}.texts": texts, f"{key}.which": which, f"{key}.tau": np.asarray(labels.tau)}
        return labels.phase

    def labels(self, key: str, phase: str) -> Labels:
        texts = self.arrays[f"{key}.texts"].astype(object)
        return Labels(texts[self.arrays[f"{key}.which"]], phase, self.arrays[f"{key}.tau"])


def put_attempt(attempt: Attempt, pack: Pack) -> dict[str, Any]:
    """The facts of a solve; its arrays and functions are added to the pack."""
    arrays = pack.arrays
    nlp, scaling, outcome = attempt.nlp, attempt.scaling, attempt.outcome
    arrays |= {"lower": nlp.lower, "upper": nlp.upper, "domain": nlp.domain, "data": nlp.data}
    arrays |= {"start": attempt.start, "sizes": scaling.columns, "factors": scaling.rows}
    for key in ("rows_order", "room"):
        if getattr(nlp, key) is not None:
            arrays[key] = getattr(nlp, key)
    if outcome is not None:
        arrays |= {f"outcome.{key}": getattr(outcome, key) for key in _OUTCOME}
    batches = []
    for k, batch in enumerate(nlp.batches):
        key = pack.put_function(batch.function)
        arrays |= {f"batch{k}.index": batch.index, f"batch{k}.lower": batch.lower, f"batch{k}.upper": batch.upper}
        if batch.stage is not None:
            arrays[f"batch{k}.stage"] = batch.stage
        batches.append({"function": key, "weight": batch.weight, "labels": pack.put_labels(f"batch{k}", batch.labels)})
    return {
        "solver": {"kind": type(attempt.solver).__name__, **plain(asdict(attempt.solver))},
        "batches": batches,
        "labels": [pack.put_labels(f"columns{k}", group) for k, group in enumerate(nlp.labels)],
        "data_names": pack.put_labels("data_names", Labels.of(list(nlp.data_names))),
        "objective_factor": scaling.objective,
        "outcome": None if outcome is None else _facts_of(outcome),
        "limits": sorted(attempt.limits),
        "units": dict(attempt.units),
        "times": {key: list(value) for key, value in attempt.times.items()},
        **{key: getattr(attempt, key) for key in ("relaxation", "sign", "time")},
    }


def _facts_of(outcome: Outcome) -> dict[str, Any]:
    facts = {f.name: getattr(outcome, f.name) for f in fields(outcome) if f.name not in _OUTCOME}
    return plain({**facts, "status": outcome.status.name})


def get_attempt(facts: Mapping[str, Any], pack: Pack) -> Attempt:
    """The solve that `put_attempt` took apart; the pack's functions are functions again."""
    arrays = pack.arrays
    batches = tuple(
        Batch(
            function=pack.functions[entry["function"]],
            index=arrays[f"batch{k}.index"],
            lower=arrays[f"batch{k}.lower"],
            upper=arrays[f"batch{k}.upper"],
            labels=pack.labels(f"batch{k}", entry["labels"]),
            weight=entry["weight"],
            stage=arrays.get(f"batch{k}.stage"),
        )
        for k, entry in enumerate(facts["batches"])
    )
    nlp = Nlp(
        lower=arrays["lower"],
        upper=arrays["upper"],
        domain=arrays["domain"],
        labels=tuple(pack.labels(f"columns{k}", phase) for k, phase in enumerate(facts["labels"])),
        data=arrays["data"],
        batches=batches,
        cells={},
        rows_order=arrays.get("rows_order"),
        room=arrays.get("room"),
        data_names=pack.labels("data_names", facts["data_names"]).texts,
    )
    solver = {"Ipopt": Ipopt, "Fatrop": Fatrop}[facts["solver"]["kind"]]
    outcome = None
    if facts["outcome"] is not None:
        told: dict[str, Any] = {**facts["outcome"], "status": Status[facts["outcome"]["status"]]}
        outcome = Outcome(**(told | {key: arrays[f"outcome.{key}"] for key in _OUTCOME}))
    return Attempt(
        nlp=nlp,
        solver=solver(**{key: value for key, value in facts["solver"].items() if key != "kind"}),
        scaling=Scaling(arrays["sizes"], arrays["factors"], facts["objective_factor"]),
        start=arrays["start"],
        outcome=outcome,
        limits=frozenset(facts["limits"]),
        units=facts["units"],
        times={key: (value[0], value[1]) for key, value in facts["times"].items()},
        **{key: facts[key] for key in ("relaxation", "sign", "time")},
    )


def put_integration(run: Integration, pack: Pack) -> dict[str, Any]:
    """The facts of an integration; its arrays and functions are added to the pack."""
    pack.arrays |= {"run.x": run.x, "run.p": run.p}
    for k, piece in enumerate(run.pieces):
        pack.arrays |= {f"piece{k}.left": piece.left, f"piece{k}.right": piece.right}
    event = run.event
    return {
        "dae": _put_dae(run.dae, pack),
        "pieces": [piece.duration for piece in run.pieces],
        "event": event and [pack.put_function(event.function), event.direction, event.text],
        **{key: getattr(run, key) for key in ("clock", "points", "independent", "tolerance")},
    }


def get_integration(facts: Mapping[str, Any], pack: Pack) -> Integration:
    """The integration that `put_integration` took apart."""
    arrays, event = pack.arrays, facts["event"]
    pieces = tuple(
        Piece(duration, arrays[f"piece{k}.left"], arrays[f"piece{k}.right"])
        for k, duration in enumerate(facts["pieces"])
    )
    return Integration(
        dae=_get_dae(facts["dae"], pack),
        x=arrays["run.x"],
        p=arrays["run.p"],
        pieces=pieces,
        event=event and Event(pack.functions[event[0]], event[1], event[2]),
        **{key: facts[key] for key in ("clock", "points", "independent", "tolerance")},
    )


def _put_dae(dae: Dae, pack: Pack) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for f in fields(dae):
        value = getattr(dae, f.name)
        if not f.init:
            continue
        if isinstance(value, ca.Function):
            facts[f.name] = pack.put_function(value)
        elif f.name in _GROUPS:
            facts[f.name] = [asdict(variable) for variable in value]
        else:
            facts[f.name] = value
    return facts


def _get_dae(facts: Mapping[str, Any], pack: Pack) -> Dae:
    told: dict[str, Any] = {}
    for key, value in facts.items():
        if key in _GROUPS:
            told[key] = tuple(Variable(**entry) for entry in value)
        elif isinstance(value, str) and value in pack.functions:
            told[key] = pack.functions[value]
        else:
            told[key] = tuple(value) if isinstance(value, list) else value
    return Dae(**told)
