"""How is a culture operated? `Batch`, `FedBatch`, `Perfusion`: a Bioreactor with the streams that the name promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titer.flowsheets.units.cultures.bioreactor import Bioreactor
from titer.flowsheets.units.cultures.feeds import Feed, Outflow, Piped
from titer.numerics.errors import DeclarationError


class Batch(Bioreactor):
    """Culture without feed.

    Equations: those of Bioreactor without feeds; with `outflows` it can be emptied.

    Symbols: as in Bioreactor: X, S by default, with the processes of `kinetics` (mu_max, Y_S, K, mu); V volume [L];
    evaporation, sampling [L/h].

    Assumptions: perfect mixing.
    Source: as Bioreactor.
    """

    def __init__(self, name: str, **changes: Any):
        if changes.get("feeds"):
            raise DeclarationError(f"{name} (Batch): a batch culture has no feeds.\n  Use FedBatch or Bioreactor.")
        super().__init__(name, **changes)


class FedBatch(Bioreactor):
    """Culture that is fed and not emptied: one feed `F` of S unless others are given.

    Equations: those of Bioreactor, d(c_i V)/dt = V r_i + sum_f F_f c_i,f, dV/dt = sum_f F_f - evaporation - sampling.

    Symbols: as in Bioreactor: X, S by default, with the processes of `kinetics` (mu_max, Y_S, K, mu); V volume [L];
    F rate of the feed [L/h], the control; S_feed the concentration of S in it [g/L]; evaporation, sampling [L/h].

    Assumptions: perfect mixing; volumes add.
    Source: as Bioreactor.
    """

    feeds: Mapping[str, Feed | Piped] = {"feed": Feed({"S": 400.0}, flow="F")}

    def __init__(self, name: str, **changes: Any):
        _check_fed(name, type(self), changes)
        super().__init__(name, **changes)


class Perfusion(Bioreactor):
    """Culture with cell retention: fed and harvested at once, cells are kept; a bleed is optional.

    Equations: those of Bioreactor with the outlet `harvest`, which keeps the volume,
    F_harvest = sum_f F_f - F_bleed - evaporation - sampling, and holds back the populations; `bled=True` adds the
    outlet `bleed` of whole broth with its control F_bleed; `keeps_level=False` makes F_harvest a control of its own.

    Symbols: as in Bioreactor: X, S by default, with the processes of `kinetics` (mu_max, Y_S, K, mu); V volume [L];
    F rate of the feed (perfusion) [L/h], the control; S_feed the concentration of S in it [g/L]; X_held_harvest the
    fraction of X that the harvest holds back [1]; evaporation, sampling [L/h].

    Assumptions: perfect mixing; volumes add; retention without hold-up.
    Source: as Bioreactor.
    """

    feeds: Mapping[str, Feed | Piped] = {"feed": Feed({"S": 20.0}, flow="F")}
    bled: bool = False
    keeps_level: bool = True

    def __init__(self, name: str, **changes: Any):
        _check_fed(name, type(self), changes)
        if "outflows" not in changes:
            read = {key: changes.get(key, getattr(type(self), key)) for key in ("populations", "bled", "keeps_level")}
            kept = dict.fromkeys(read["populations"], 1.0)
            changes["outflows"] = {"harvest": Outflow(kept, level=bool(read["keeps_level"]))}
            changes["outflows"] |= {"bleed": Outflow()} if read["bled"] else {}
        super().__init__(name, **changes)


def _check_fed(name: str, kind: type[Bioreactor], changes: Mapping[str, Any]) -> None:
    """A culture that is fed has a feed, of what it has. Raises DeclarationError."""
    feeds = changes.get("feeds", kind.feeds)
    first = next(iter(changes.get("substrates", kind.substrates) or ("S",)))
    write = f'  Write feeds={{"feed": Feed({{"{first}": 400.0}}, flow="F")}}.'
    if not feeds:
        raise DeclarationError(f"{name} ({kind.__name__}): no feed was given.\n{write} Or use Batch.")
    if "feeds" in changes or not isinstance(feeds, Mapping):
        return
    groups = [changes.get(key, getattr(kind, key)) for key in ("populations", "substrates", "products")]
    known = {component for group in groups for component in group}
    if not all(set(getattr(feed, "composition", {})) <= known for feed in feeds.values()):
        raise DeclarationError(f"{name} ({kind.__name__}): the feed has no composition.\n{write}")
