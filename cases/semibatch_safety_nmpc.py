"""Does a safety limit hold where the reaction is slower and hotter than the model? Feed and end decided online.

The published semibatch reactor A + B -> C of semibatch_safety, isothermal, with a limit on the temperature that its
contents would reach if the cooling failed. Rate constant (25 %), heat of reaction (10 %) and heat capacity (3 %) of the
plant differ from the model's, each on its own. Four feeds meet the same plants: the plan of the model; a constant feed
that is safe for the slowest and hottest plant; NMPC that learns rate and heat from calorimetry and a late laboratory;
and a robust one, which counts with a slower and hotter plant than it has learnt, and stands back from the limit until
it has learnt something. The charge has less B than the published one, which lies on the limit and has no room for any
mismatch. What is off by how much, and the noise, are assumptions: see semibatch_safety_nmpc_loops.
"""

from __future__ import annotations

from titer.cases.case import Outcome, Progress, case


@case("semibatch_safety_nmpc", title="Semibatch reactor: safe where the model is wrong")
def semibatch_safety_nmpc(progress: Progress, *, quick: bool = False, plants: int = 30) -> Outcome:
    """Published semibatch A + B -> C under mismatch: the safety limit held by robust NMPC, and what that costs.

    Settings: `plants` that are drawn; `quick` takes a quarter.
    """
    from titer.cases.semibatch_safety_nmpc_answers import (
        answered,  # its plants parse units, which listing the cases need not
    )

    return answered(progress, quick, plants)
