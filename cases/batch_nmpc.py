"""What is it worth to decide a batch anew while it runs? Jacket and stop time online, where the kinetics are wrong.

The flagship reactor A -> B -> C of batch_reactor. The plan is made with frequency factors that may be 30 % off, each on
its own, and a heat transfer that may be 10 % off. Four ways to carry the batch out meet the same plants, noise and late
laboratory: the plan as it is; a PI controller that holds the planned temperature; NMPC whose model learns both
frequency factors, with a shrinking horizon and a free stop time; and the same over scenarios of what it has not learnt.
One in twenty solves and one in twenty measurements fails. What all of them are compared with is the optimum of a plant
that is known perfectly. Prices, limits and deviations are illustrative: see batch_nmpc_loops.
"""

from __future__ import annotations

from titer.cases.case import Outcome, Progress, case


@case("batch_nmpc", title="Batch reactor: decided anew while it runs")
def batch_nmpc(progress: Progress, *, quick: bool = False, plants: int = 16) -> Outcome:
    """Jacket and stop time of the flagship batch re-optimized online, against the plan, PI and perfect knowledge.

    Settings: `plants` that are drawn. `quick` takes half as many and leaves the robust controller out.
    """
    from titer.cases.batch_nmpc_answers import answered  # its plants parse units, which listing the cases need not

    return answered(progress, quick, plants)
