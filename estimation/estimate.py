"""Which parameters fit the data? `estimate`: all experiments at once, by simultaneous collocation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from titer.estimation.experiment import Experiment
from titer.estimation.fit import Fit
from titer.estimation.losses import Loss
from titer.estimation.statistics.covariance import taken
from titer.estimation.work import Samples, Work
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.names import elements_of
from titer.flowsheets.problems.certificate import certify_all
from titer.flowsheets.problems.problem import Problem, Run
from titer.flowsheets.problems.results import read
from titer.flowsheets.problems.solving import Solved, failure_of, solve
from titer.flowsheets.recipe import Free
from titer.numerics.errors import SolveError, SpecificationError, unknown
from titer.numerics.grid import Grid
from titer.numerics.solvers import Ipopt

Array = np.ndarray
Progress = Callable[[str], None]
_ROUNDS = 50  # of variances and parameters in turn
_BARRIER = 1e-6  # first barrier parameter: a fit starts inside its bounds, and seldom ends on one
_SETTLED = 1e-6  # relative change of a standard deviation that is called none


def estimate(
    plant: Flowsheet,
    experiments: Sequence[Experiment],
    free: Sequence[str] | Mapping[str, Free],
    grid: Grid | None = None,
    solver: Ipopt | None = None,
    loss: Loss | None = None,
    starts: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fit:
    """Fit parameters to experiments: min over free of sum ((model - data) / deviation)^2.

    `free`: names of parameters (guess: their values, bounds: as declared), or {name: Free(guess, lower, upper)}; with
    `prior=(mean, deviation)` of Free, ((value - mean) / deviation)^2 is added; with `log=True` the logarithm is
    decided; with `each=True` every experiment has a value of its own, as it has of an initial state that is free.
    `grid`: its elements end at every sample; where it is left open it is refined until replays agree. `loss`: what a
    weighted square counts (`Huber(2.0)`, `Cauchy(3.0)`), for data with outliers. Where the noise of a name is
    `Estimated()`, its standard deviation is that of its residuals (with n - p in place of n, p without what priors
    know), in turn with the parameters; under a `loss` too it is that of all, so that outliers widen it: state the
    noise there.
    `starts`, `seed`: as in `optimize`. `progress` is told of rounds.

    Look at `ok` and `message` of the fit: a solved fit on too coarse a mesh is no fit. Raises SpecificationError before
    any solve, SolveError (with the unfinished fit as `solution`) after a failed one.
    Method: simultaneous collocation of all experiments (Zavala & Biegler, Comput. Chem. Eng. 32 (2008) 1763).
    """
    chosen = _free(plant, free)
    experiments = _converted(plant, experiments)
    problem = _problem(plant, experiments, chosen, grid or Grid(), loss)
    solver = solver or Ipopt()
    solver = replace(solver, options={"mu_init": _BARRIER, **solver.options})
    solved = solve(problem, solver, starts=starts, seed=seed)
    fit = Fit(plant, tuple(experiments), chosen, loss, Work.of(solved))
    if not fit.status.ok:
        raise SolveError(failure_of(solved.solutions[0], "estimate: "), fit)
    if any(experiment.estimated for experiment in experiments):
        fit = _with_variances(fit, progress)
    return fit


def _converted(plant: Flowsheet, experiments: Sequence[Experiment]) -> tuple[Experiment, ...]:
    """The experiments in the units and the time of the plant."""
    if isinstance(experiments, Experiment) or not all(isinstance(e, Experiment) for e in experiments):
        raise SpecificationError(f"estimate: experiments is a list of Experiment(...), got {experiments!r}.")
    if not experiments:
        raise SpecificationError("estimate: no experiment was given.")
    return tuple(e.converted(plant) for e in experiments)


def _problem(
    plant: Flowsheet, experiments: Sequence[Experiment], free: Mapping[str, Free], grid: Grid, loss: Loss | None
) -> Problem:
    runs = tuple(
        Run(plant.with_values(e.start), e.recipe, dict(e.inputs), e.residuals(plant, loss)) for e in experiments
    )
    _check_enough(experiments, plant, free)
    return Problem(runs, free, grid, share_decisions=False)


def _check_enough(experiments: Sequence[Experiment], plant: Flowsheet, free: Mapping[str, Free]) -> None:
    """There are at least as many data as numbers that nothing else is known of, more where noise is estimated."""
    data = sum(experiment.count for experiment in experiments)
    wanted = 0
    for name, value in free.items():
        own = value.each or plant.scalars[str(name)].kind == "state"
        wanted += 0 if value.prior is not None else (len(experiments) if own else 1)
    if data < wanted:
        raise SpecificationError(
            f"estimate: {data} measurements cannot determine {wanted} free numbers.\n"
            f"  Free fewer, measure more, or give priors: Free(..., prior=(mean, deviation))."
        )
    if data == wanted and any(experiment.estimated for experiment in experiments):
        raise SpecificationError(
            f"estimate: {data} measurements for {wanted} free numbers leave nothing to estimate the noise from.\n"
            f"  Free fewer, measure more, or give the noise as a number."
        )


def _with_variances(fit: Fit, progress: Progress | None) -> Fit:
    """Standard deviations that are estimated and parameters in turn, until neither moves: maximum likelihood."""
    work = fit.work
    for k in range(_ROUNDS):
        data, change = _reweighted(fit, work)
        if progress is not None:
            progress(f"variances, round {k + 1}: standard deviations change by {change:.1e}")
        outcome = work.again(data)
        if not outcome.status.ok:
            raise SolveError(f"estimate: the fit with estimated variances failed: {outcome.status.value}.", fit)
        work = work.with_solve(outcome, data)
        if change < _SETTLED:
            break
    return replace(fit, work=_read_again(work))


def _reweighted(fit: Fit, work: Work) -> tuple[Array, float]:
    """The data with standard deviations that their residuals have, by name over all experiments; what the numbers that
    were fitted took from the residuals is given back."""
    data, change = work.data.copy(), 0.0
    spent = float(taken(work).sum()) / max(fit.count, 1)
    groups: dict[str, list[Samples]] = {}
    for samples in work.samples():
        if samples.name in fit.experiments[samples.experiment].estimated:
            groups.setdefault(samples.name, []).append(samples)
    for name, members in groups.items():
        squares = sum(float(((s.predicted - s.measured) ** 2).sum()) for s in members)
        deviation = np.sqrt(squares / (sum(len(s.times) for s in members) * max(1.0 - spent, 1e-3)))
        before = float(members[0].deviations[0])
        if not deviation > 1e-12 * before:
            raise SolveError(f"estimate: the model meets every measurement of {name}: their variance is zero.", fit)
        change = max(change, abs(deviation / before - 1.0))
        for samples in members:
            data[samples.data[2]] = deviation
    return data, change


def _read_again(work: Work) -> Work:
    """The trajectories and certificates of a program that was solved with other data."""
    before = work.solved.started
    assembled = replace(before.assembled, nlp=replace(before.assembled.nlp, data=work.data))
    stats = before.solutions[0].stats
    reached = replace(before.reached, outcome=work.outcome)
    solutions = tuple(
        read(assembled, r, work.outcome, before.ladder.rungs, stats) for r in range(len(before.solutions))
    )
    started = replace(before, assembled=assembled, reached=reached, solutions=solutions)
    certificates = certify_all(started)
    solutions = tuple(replace(s, certificate=c, iterate=started) for s, c in zip(solutions, certificates, strict=True))
    return Work(Solved(started, solutions), work.data, work.outcome)


def _free(plant: Flowsheet, free: Sequence[str] | Mapping[str, Free]) -> dict[str, Free]:
    if isinstance(free, Mapping):
        return {str(each): value for name, value in free.items() for each in elements_of(name)}
    free = [free] if isinstance(free, str) else free
    if not isinstance(free, Sequence) or not all(isinstance(name, str) for name in free):
        raise SpecificationError(
            f"estimate: free is a list of names of parameters, or a dict from names to Free(guess, lower, upper), "
            f"got {free!r}."
        )
    scalars = plant.scalars
    chosen = {}
    for name in free:
        for each in elements_of(name):
            if str(each) not in scalars:
                raise SpecificationError(f"estimate: free: {unknown('parameter', each, scalars)}")
            scalar = scalars[str(each)]
            chosen[str(each)] = Free(scalar.start, scalar.lower, scalar.upper)
    return chosen
