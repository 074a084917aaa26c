"""What does feedback gain a fermentation whose strain is not the published one? Oil and nitrogen fed online.

The published Yarrowia batch of citrate_feeding, with a feed of nitrogen besides that of oil: 2 g/L of nitrogen are
charged, the rest is decided. Strains differ from the published one in the largest rates of growth (10 %) and of citrate
(20 %), and in the yield of biomass on oil (10 %, which nobody estimates). Samples are taken every 7 h: dry mass and
volume on line, citrate and oil from a laboratory that is 3 h late, so that its values count at the next sample. The
human feed on its own charge, the plan for the published strain, NMPC that learns both rates, and the optimum of each
strain are compared. What feedback brings here is less oil above its limit, not reward. How far strains differ, noise
and limits are assumptions: see citrate_nmpc_loops.
"""

from __future__ import annotations

from titer.cases.case import Outcome, Progress, case


@case("citrate_nmpc", title="Citrate from oil: fed by what the strain shows")
def citrate_nmpc(progress: Progress, *, quick: bool = False, strains: int = 12) -> Outcome:
    """Oil and nitrogen feeds of the published Yarrowia batch decided online for strains that are not the published one.

    Settings: `strains` that are drawn; `quick` takes a quarter.
    """
    from titer.cases.citrate_nmpc_answers import answered  # its plants parse units, which listing the cases need not

    return answered(progress, quick, strains)
