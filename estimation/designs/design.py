"""Which batches should be run next? `information_of` proposed ones, and `design`: those that tell most.

The Fisher information of batches to be is the sum of J' J / deviation^2 over their samples, J the derivatives of the
predictions in the unknown numbers; its inverse is the covariance to be expected of a fit (Gauss-Newton). A design makes
a criterion of it small by inputs, starts, durations and sampling times, all batches at once, on top of what is known.
Sources: Franceschini & Macchietto, Chem. Eng. Sci. 63 (2008) 4846; Fedorov & Leonov, Optimal Design for Nonlinear
Response Models (2014).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.estimation.designs.criterion import Criterion
from titer.estimation.designs.planning import Plan, Planning
from titer.estimation.designs.proposal import Proposal
from titer.estimation.designs.proposing import prospect
from titer.estimation.designs.prospect import LostError, Prospect
from titer.estimation.designs.searching import ACCURACY, Progress, refined, resolved, searched
from titer.estimation.designs.settling import settled
from titer.estimation.designs.unknowns import Unknowns, unknowns
from titer.estimation.fit import Fit
from titer.estimation.statistics.covariance import inverse
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Free
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.grid import Grid, is_whole
from titer.numerics.solution import Solution

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = np.ndarray
Robust = int | Sequence[Mapping[str, float]]
_ACCURACY = 1e-7  # relative, of an information that is asked for
_DEGREE = 5  # of the collocation polynomials where no grid is given: samples lie anywhere in elements


@dataclass(frozen=True, eq=False)
class Design:
    """The batches to run next.

    `proposals`: with everything decided in place, samples as `times`; `proposal.experiment(frame)` makes an Experiment
    of what was then measured. `before`, `after`: the criterion of the batches as they were proposed (samples spread
    evenly) and as they are decided, `without`: of what is known without them; infinite where that leaves something
    undetermined. `information`: of all unknown numbers by label, with what was known before. `starts`: the criterion
    that each start of the search reached, NaN where it failed. `message`: what is doubtful, else empty.
    """

    plant: Flowsheet
    proposals: tuple[Proposal, ...]
    criterion: Criterion
    before: float
    after: float
    without: float
    information: pd.DataFrame
    table: pd.DataFrame
    starts: tuple[float, ...]
    message: str

    @property
    def covariance(self) -> pd.DataFrame:
        """The covariance to be expected of a fit of all data; infinite for what stays undetermined."""
        import pandas as pd

        labels = self.information.index
        return pd.DataFrame(inverse(self.information.to_numpy()), index=labels, columns=labels)

    @property
    def standard_errors(self) -> pd.Series:
        """The standard errors to be expected, by label."""
        import pandas as pd

        return pd.Series(np.sqrt(np.diag(self.covariance)), index=self.information.index, name="standard error")

    @property
    def simulations(self) -> tuple[Solution, ...]:
        """The batches, simulated at the values that are believed."""
        from titer.estimation.designs.design_report import simulated

        return tuple(simulated(self.plant, proposal) for proposal in self.proposals)

    def plot(self) -> Figure:
        """What is to be run and what it is expected to give, samples marked: a column for each batch."""
        from titer.estimation.designs.design_report import plot_design

        return plot_design(self)

    def __str__(self) -> str:
        from titer.estimation.designs.design_report import described

        return described(self)


def information_of(
    plant: Flowsheet,
    proposals: Sequence[Proposal],
    free: Sequence[str] | Mapping[str, Free],
    grid: Grid | None = None,
) -> pd.DataFrame:
    """The Fisher information of proposed batches, by label (k, k): what they would add to what is known.

    `free`: the unknown numbers, as in `estimate`: names of parameters, believed to have the plant's values, or
    {name: Free(guess)}, believed to have that of the guess; initial states and parameters with each=True are each
    batch's own. What a proposal leaves to be decided stands at its guess, decided samples are spread evenly. Priors are
    not counted. Raises SpecificationError, SolveError where a batch does not run.
    """
    known = unknowns(plant, free, None)
    prospects = _prospects(known, _checked(proposals, "information_of"), grid)
    planning = Planning(prospects, _scenarios(known, prospects, 0, 0), known.aim(prospects, Criterion.D, None))
    try:
        plan = _first(planning)
        planning = resolved(planning, plan, _ACCURACY)
        return known.framed(planning.prospects, _informations(planning, plan))
    except LostError as lost:
        raise SolveError(f"information_of: {lost}") from None


def design(
    plant: Flowsheet,
    proposals: Sequence[Proposal],
    free: Sequence[str] | Mapping[str, Free] | None = None,
    criterion: Criterion = Criterion.D,
    fit: Fit | None = None,
    robust: Robust = 0,
    interest: Sequence[str] | None = None,
    grid: Grid | None = None,
    starts: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
) -> Design:
    """Decide proposed batches, all at once, such that a fit to them, and to what is known, is sure of its numbers.

    `free`: the unknown numbers, as in `information_of`; by default those of `fit` that all its experiments share.
    `fit`: what is known: its values and its information, with its priors. Without one, priors of `free` count:
    Free(guess, prior=(mean, deviation)). `criterion`: of errors relative to the believed values (nominal sizes where
    these are zero). `interest`: the numbers that matter, where others are unknown but do not. `robust`: how many other
    values of the shared parameters to allow for, drawn from what is known, or a list of them ({name: value});
    the logarithm of the criterion is averaged over them and the believed ones. `grid`: elements of the collocation;
    where it is left open they follow the decisions. `starts`: of the search, the first from the guesses, the others at
    random by `seed`. `progress` is told of each.

    Raises SpecificationError for what does not fit, SolveError where no start can be simulated.
    """
    proposals = _checked(proposals, "design")
    _check_search(criterion, starts)
    if fit is not None:
        plant = plant.with_values(fit.values)
    known = unknowns(plant, free, fit)
    prospects = _prospects(known, proposals, grid)
    _check_decides(prospects)
    scenarios = _scenarios(known, prospects, robust, seed)
    planning = Planning(prospects, scenarios, known.aim(prospects, criterion, interest))
    try:
        guess = _first(planning)
        planning = resolved(planning, guess, ACCURACY)
        before, proposed = planning.value(guess), _informations(planning, guess)
    except LostError as lost:
        raise SolveError(f"design: {lost}") from None
    found = searched(planning, guess, starts, seed, progress)
    planning, plan, message = refined(planning, found.plan)
    informations = _informations(planning, plan)
    return Design(
        plant=plant,
        proposals=tuple(
            settled(p, planning.course(0, b, plan.decided[b]), plan.times[b]) for b, p in enumerate(planning.prospects)
        ),
        criterion=criterion,
        before=before,
        after=planning.value(plan),
        without=planning.aim.value([np.zeros_like(m) for m in informations]),
        information=known.framed(prospects, informations, prior=True),
        table=known.table(prospects, proposed, informations),
        starts=found.values,
        message="\n".join(
            [line for line in (message, _undetermined(known.framed(prospects, informations, True))) if line]
        ),
    )


def _undetermined(information: pd.DataFrame) -> str:
    """A word on numbers that stay undetermined; empty where there are none."""
    lost = np.isinf(np.diag(inverse(information.to_numpy())))
    names = ", ".join(information.index[lost])
    return (
        f"{names}: not determined by these batches. Measure what it acts on, or leave it out of free." if names else ""
    )


def _first(planning: Planning) -> Plan:
    """The batches as they are proposed. Raises LostError."""
    return planning.spread([p.first[p.decided] for p in planning.prospects])


def _informations(planning: Planning, plan: Plan) -> list[Array]:
    """The information of each batch at the believed values. Raises LostError."""
    return [np.asarray(sum(x.information for x in own)) for own in planning.seen(plan, 0)]


def _prospects(known: Unknowns, proposals: Sequence[Proposal], grid: Grid | None) -> list[Prospect]:
    fine = grid if grid is not None else Grid(degree=_DEGREE)
    return [prospect(known.plant, proposal, known.free, known.values, fine) for proposal in proposals]


def _scenarios(known: Unknowns, prospects: Sequence[Prospect], robust: Robust, seed: int) -> list[list[Array]]:
    """Values of the unknown numbers of each batch, by scenario."""
    return [[known.theta(p, values) for p in prospects] for values in known.scenarios(robust, seed)]


def _checked(proposals: Sequence[Proposal], who: str) -> tuple[Proposal, ...]:
    if isinstance(proposals, Proposal) or not all(isinstance(p, Proposal) for p in proposals) or not len(proposals):
        raise SpecificationError(f"{who}: proposals is a list of Proposal(...), got {proposals!r}.")
    return tuple(proposals)


def _check_search(criterion: Criterion, starts: int) -> None:
    if not isinstance(criterion, Criterion):
        raise SpecificationError(f"design: criterion is one of {', '.join(map(str, Criterion))}, got {criterion!r}.")
    if not is_whole(starts, 1):
        raise SpecificationError(f"design: starts must be a whole number of at least 1, got {starts!r}.")


def _check_decides(prospects: Sequence[Prospect]) -> None:
    """There must be something to decide. Raises SpecificationError."""
    if not any(len(p.decided) or any(g.decided for g in p.groups) for p in prospects):
        raise SpecificationError(
            "design: nothing is to be decided.\n"
            "  Give a Proposal times=8 (how many samples), free={control: PiecewiseConstant(5)}, or a duration "
            "Free(guess, lower, upper); or ask information_of(...)."
        )
