"""How does a process run from stage to stage, and what makes its batches differ? What networks and ensembles share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.analysis.networks import Kind, Node
from titer.analysis.processes.attributes import Attribute, attributes_of
from titer.analysis.processes.departing import departing, departure_of
from titer.analysis.processes.integrated import check_planned
from titer.analysis.processes.stages import stages_of
from titer.analysis.processes.variations import Variations, Vary, deviations_by_name, variations_of
from titer.estimation.estimators.building import assembled
from titer.estimation.estimators.deviations import Deviations
from titer.estimation.estimators.entries import Entries
from titer.estimation.estimators.model import SampledModel
from titer.estimation.estimators.timeline import Timeline, stretches, timeline_of
from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import operations
from titer.flowsheets.recipe import Recipe
from titer.numerics.dae import Variable, sizes_of
from titer.numerics.errors import SpecificationError

Array = np.ndarray


@dataclass(frozen=True)
class Source:
    """A node without causes that moves an entry of the model: node = mean + scale * entry's departure.

    `deviation`: of the node. `spans`: the stages (by number) from which on it acts until the next one.
    """

    node: Node
    entry: int
    mean: float
    scale: float
    deviation: float
    spans: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Process:
    """A plant under its recipe, from stage to stage, with what varies from batch to batch.

    `starts`, `noise`: standard deviations of states at the start, and of what is added to states at each later stage
    and to attributes.
    """

    model: SampledModel
    stages: tuple[float, ...]
    sources: tuple[Source, ...]
    attributes: tuple[Attribute, ...]
    starts: Mapping[str, float]
    noise: Mapping[str, float]
    relative: Mapping[str, bool]  # of the departure of an input: whether it is a share

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states, the first entries of the model."""
        return self.model.entries.states

    @property
    def time(self) -> str:
        """The unit of the stages."""
        return self.model.plant.time

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Sources, states stage by stage, attributes."""
        units = {name: scalar.measure.label for name, scalar in self.model.plant.scalars.items()}
        states = [Node(name, t, Kind.STATE, units[name]) for t in self.stages for name in self.states]
        return (*(s.node for s in self.sources), *states, *(a.node for a in self.attributes))


def process_of(
    plant: Flowsheet,
    recipe: Recipe,
    inputs: Mapping[str, Any] | None,
    stages: int | Iterable[float],
    uncertain: Mapping[str, Any],
    attributes: Mapping[str, Any] | None = None,
    noise: Mapping[str, Any] | None = None,
    durations: Mapping[str, Any] | None = None,
    measured: tuple[str, ...] = (),
    accuracy: float = 1e-6,
) -> Process:
    """A process, checked and ready to run; arguments as in `linear_network`. `measured`: names read at stages.

    Raises SpecificationError for what does not fit, SolveError where the recipe cannot be run as planned.
    """
    varied = variations_of(plant, uncertain, "uncertain")
    planned = departing(operations(plant, recipe, inputs or {}), varied.inputs)
    for operation in planned:
        if operation.event is not None and operation.name not in (durations or {}):
            raise SpecificationError(
                f"Phase {operation.name!r} ends {operation.event.text}, at another time in each batch; stages are "
                f"times.\n  Hold its length by durations={{{operation.name!r}: ...}}."
            )
    timeline = timeline_of(plant, planned, durations or {}, ())
    times = stages_of(stages, timeline.ends.tolist(), plant.time)
    entries = _entries(plant, varied)
    none = Deviations(np.zeros(0), np.zeros(len(entries.names)), np.zeros(len(entries.names)))
    sizes = _sizes(plant, entries, varied)
    every = float(np.diff(times).max())
    model = assembled(plant, recipe, every, entries, measured, timeline, none, sizes, accuracy)
    check_planned(model, times)
    found = attributes_of(planned, timeline, entries, attributes or {}, times)
    known = dict.fromkeys(entries.states) | {a.node.name: None for a in found}
    return Process(
        model,
        times,
        (*_parameters(plant, entries, varied, len(times)), *_inputs(plant, entries, varied, timeline, times)),
        found,
        {name: vary.deviation for name, vary in varied.starts.items()},
        deviations_by_name(noise, known, "noise"),
        {departure_of(name): vary.relative for name, vary in varied.inputs.items()},
    )


def planned_average(timeline: Timeline, name: str, t0: float, t1: float) -> float | None:
    """The average of an input between two times, over the phases that have it; None where none has."""
    total = length = 0.0
    for stretch in stretches(timeline, {}, t0, t1):
        names = [v.name for v in timeline.operations[stretch.phase].lowered.dae.inputs]
        if name in names:
            i = names.index(name)
            total += 0.5 * (stretch.left[i] + stretch.right[i]) * stretch.length
            length += stretch.length
    return total / length if length > 0.0 else None


def _entries(plant: Flowsheet, varied: Variations) -> Entries:
    states = tuple(name for name, scalar in plant.scalars.items() if scalar.kind == State.kind)
    known = [plant.scalars[name] for name in (*states, *varied.parameters)]
    departures = [departure_of(name) for name in varied.inputs]
    free = [np.inf] * len(departures)
    return Entries(
        states=states,
        parameters=(*varied.parameters, *departures),
        rates=(),
        biases=(),
        start=np.array([s.start for s in known] + [0.0] * len(departures)),
        lower=np.array([s.lower for s in known] + [-x for x in free]),
        upper=np.array([s.upper for s in known] + free),
        walks={},
    )


def _sizes(plant: Flowsheet, entries: Entries, varied: Variations) -> Array:
    known = [plant.scalars[name] for name in (*entries.states, *varied.parameters)]
    variables = [Variable(str(s.name), "", s.lower, s.upper, s.start, s.nominal) for s in known]
    departures = [Variable(departure_of(n), nominal=v.deviation) for n, v in varied.inputs.items()]
    return sizes_of([*variables, *departures])


def _parameters(plant: Flowsheet, entries: Entries, varied: Variations, count: int) -> list[Source]:
    every = tuple(range(count - 1))
    found = []
    for name, vary in varied.parameters.items():
        scalar = plant.scalars[name]
        node = Node(name, 0.0, Kind.NOISE, scalar.measure.label)
        found.append(Source(node, entries.index[name], float(scalar.start), 1.0, vary.deviation, every))
    return found


def _inputs(
    plant: Flowsheet, entries: Entries, varied: Variations, timeline: Timeline, times: Sequence[float]
) -> list[Source]:
    found: list[Source] = []
    for name, vary in varied.inputs.items():
        spans = [(k,) for k in range(len(times) - 1)] if vary.each_stage else [tuple(range(len(times) - 1))]
        own = [_input(plant, entries, timeline, times, name, vary, span) for span in spans]
        if not any(own):
            raise SpecificationError(
                f"uncertain: {name} is zero in all of the recipe, a share of which is nothing.\n"
                "  Give its deviation itself: Vary(deviation) in its unit."
            )
        found += [source for source in own if source is not None]
    return found


def _input(
    plant: Flowsheet,
    entries: Entries,
    timeline: Timeline,
    times: Sequence[float],
    name: str,
    vary: Vary,
    span: tuple[int, ...],
) -> Source | None:
    """An input over stages in which it departs by one number; None where that moves nothing."""
    first, last = times[span[0]], times[span[-1] + 1]
    average = planned_average(timeline, name, first, last)
    if average is None or (vary.relative and average == 0.0):
        return None
    scale = average if vary.relative else 1.0
    node = Node(name, first, Kind.INPUT, plant.measures[name].label)
    return Source(node, entries.index[departure_of(name)], average, scale, vary.deviation * abs(scale), span)
