"""What is a plant under its recipe as a network? Its exact derivatives from stage to stage, along the planned run.

    X[k+1] = F(X[k], inputs, parameters) + V      beta = dF/dX, dF/du, dF/dp at the planned run

F is the step of the collocated model (Radau, order 5), and the derivatives are those of the steps themselves, by the
implicit function theorem: jumps between phases are passed by the chain rule. Source of the hybrid: Zheng, Xie, Ryzhov
& Xie, INFORMS Journal on Computing 35 (2023) 66.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from titer.analysis.networks import Network, network
from titer.analysis.networks.graph import Address
from titer.analysis.networks.network import Edge
from titer.analysis.processes.process import Process, process_of
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe

Array = np.ndarray
_ACCURACY = 1e-8  # of steps, relative to sizes: the planned run is made once
_NOTHING = 1e-13  # of an effect, relative to sizes, that is rounding


def linear_network(
    plant: Flowsheet,
    recipe: Recipe,
    uncertain: Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
    stages: int | Iterable[float] = 4,
    attributes: Mapping[str, Any] | None = None,
    noise: Mapping[str, Any] | None = None,
    durations: Mapping[str, Any] | None = None,
) -> Network:
    """The network of a process: `linear_network(plant, recipe, {reactor.X: 0.1, reactor.F: Vary(0.05, True)})`.

    `uncertain`: of starts, parameters and inputs, a standard deviation in the declared unit, or `Vary`. `inputs` as in
    `simulate`. `stages`: parts of each phase, or times. `attributes`: by name, `AtEnd(f)` or a variable, at the end of
    the recipe or a phase. `noise`: of states, standard deviation of what the model leaves out at each stage after the
    first. `durations`: of phases whose length is free (default: the guess) or ends by a condition (needed).

    Nodes: states at every stage; inputs at the stage from which on they depart, their average until they depart anew;
    parameters (noise, without causes) at 0; attributes. A stage at the end of a phase is before what the next one sets.
    Means are those of the planned run. Raises SpecificationError, and SolveError where the run cannot be made.
    """
    return network_of(
        process_of(plant, recipe, inputs, stages, uncertain, attributes, noise, durations, accuracy=_ACCURACY)
    )


def network_of(process: Process) -> Network:
    """The network of a process that is ready. Raises SolveError."""
    model, states = process.model, process.states
    mean: dict[Address, float] = {s.node.address: s.mean for s in process.sources}
    deviation: dict[Address, float] = {s.node.address: s.deviation for s in process.sources}
    coefficients: dict[Edge, float] = {}
    run = [model.start]
    for k, (t0, t1) in enumerate(pairwise(process.stages)):
        step = model.linearized(run[-1], {}, t0, t1)
        run.append(step.mean)
        for i, name in enumerate(states):
            _connect(process, coefficients, (name, t1), step.transition[i], k, t0)
    for k, t in enumerate(process.stages):
        spread = process.noise if k else process.starts
        mean |= {(name, t): float(run[k][i]) for i, name in enumerate(states)}
        deviation |= {(name, t): spread.get(name, 0.0) for name in states}
    for attribute in process.attributes:
        address, k = attribute.node.address, process.stages.index(attribute.node.stage)
        value, slope = attribute.read(model, run[k])
        mean[address], deviation[address] = value, process.noise.get(address[0], 0.0)
        _connect(process, coefficients, address, slope, k - 1, address[1])
    return network(process.nodes, coefficients, mean, deviation, time=process.time)


def _connect(
    process: Process,
    coefficients: dict[Edge, float],
    effect: Address,
    slope: Array,
    span: int,
    stage: float,
) -> None:
    """Edges to an effect from the states at a stage, and from the sources that act in a span."""
    weight = np.abs(slope) * process.model.phases[0].steps.step.sizes[0]
    for j, name in enumerate(process.states):
        if weight[j] > _NOTHING * weight.max():
            coefficients[(name, stage), effect] = float(slope[j])
    for source in process.sources:
        if span in source.spans and slope[source.entry] != 0.0:
            coefficients[source.node.address, effect] = float(slope[source.entry] / source.scale)
