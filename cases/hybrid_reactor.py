"""A batch reactor whose model lacks two effects: learned from six batches, then planned with what is known."""

from __future__ import annotations

from titer.cases.case import Outcome, Progress, case


@case("hybrid_reactor", title="Hybrid reactor: what batches teach, and how far")
def hybrid_reactor(progress: Progress, *, quick: bool = False) -> Outcome:
    """A reactor with autocatalysis and fouling that the model lacks: learned from six batches, planned, and trapped.

    A Gaussian process corrects the rate of A -> B; the plan stays where the data are. A network that was learned from
    cold batches only, and is let loose, plans worse than no correction at all. Setting: `quick` checks fewer batches.
    """
    from titer.cases.hybrid_reactor_answers import answered  # its names need a plant, which listing the cases need not

    return answered(progress, quick)
