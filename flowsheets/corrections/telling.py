"""Where does a correction act, how large is it, and how sure? In words, and along trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.flowsheets.corrections.applying import learned
from titer.flowsheets.corrections.domain import Domain, Mahalanobis, Nearest
from titer.flowsheets.corrections.forms import Multiplicative
from titer.flowsheets.corrections.learned_term import LearnedTerm
from titer.flowsheets.symbols.measure import Measure
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

    from titer.flowsheets.corrections.correction import Correction
    from titer.flowsheets.flowsheet import Flowsheet
    from titer.numerics.solution import Solution

Facts = dict[str, Any]

_SHOWN = ("correction", "low", "high")


def described(correction: Correction) -> str:
    """A few lines on each term, then what its card says."""
    lines = [line for term in correction.terms for line in _lines(term)]
    return "\n".join([*lines, *(f"{key}: {value}" for key, value in correction.about.items())])


def along(correction: Correction, frame: pd.DataFrame, units: Mapping[str, str] | None = None) -> pd.DataFrame:
    """What acts along trajectories; `units` of the frame's columns, where they are not those of the features."""
    import pandas as pd

    found: dict[tuple[str, str], np.ndarray] = {}
    for term in correction.terms:
        columns = [_column(term, name, unit, frame, units or {}) for name, unit in _features(term)]
        value, low, high, distance = term.at(np.column_stack(columns))
        found |= {(term.on, key): term.form.shown(x) for key, x in zip(_SHOWN, (value, low, high), strict=True)}
        found[term.on, "distance"] = distance
    return pd.DataFrame(found, index=frame.index)


def facts_along(plant: Flowsheet, solution: Solution) -> list[Facts]:
    """For a report: each term, what acts along a solution, and how much of it lies within the data."""
    correction = learned(plant.with_values({n: x for n, x in solution.values.items() if n in plant.scalars}))
    if correction is None:
        return []
    frame = solution.frame()
    told = along(correction, frame, solution.units)
    facts = []
    for term in correction.terms:
        mine = told[term.on]
        acting, distance = mine["correction"].to_numpy(), mine["distance"].to_numpy()
        known = term.domain is not None and np.isfinite(distance).any()
        facts.append(
            {
                "on": term.on,
                "acts": _form(term),
                "features": list(term.features),
                "model": term.model.source,
                "lowest": float(np.nanmin(acting)),
                "highest": float(np.nanmax(acting)),
                "band": float(np.nanmax(mine["high"] - mine["low"])) if term.model.variance is not None else None,
                "domain": _domain(term.domain),
                "farthest": float(np.nanmax(distance)) if known else None,
                "share_within": float(np.mean(distance[np.isfinite(distance)] <= 1.0)) if known else None,
            }
        )
    return facts


def _lines(term: LearnedTerm) -> list[str]:
    lines = [f"{term.on}: {_form(term)}", f"  predicted by {term.model.source or 'a model'} from"]
    for i, (name, unit) in enumerate(_features(term)):
        seen = f", in the data {term.ranges[i][0]:.6g} to {term.ranges[i][1]:.6g}" if term.ranges else ""
        lines.append(f"    {name} [{unit or 'declared unit'}]{seen}")
    return [*lines, f"  {_domain(term.domain)}"]


def _features(term: LearnedTerm) -> list[tuple[str, str]]:
    return list(zip(term.features, term.units or [""] * len(term.features), strict=True))


def _form(term: LearnedTerm) -> str:
    lower, upper = term.form.lower, term.form.upper
    if isinstance(term.form, Multiplicative):
        return f"a factor from {lower:.6g} to {upper:.6g}"
    return f"a summand from {lower:.6g} to {upper:.6g}"


def _domain(domain: Domain | None) -> str:
    if domain is None:
        return "acts everywhere, with nothing known of where its data end"
    what = "of the deviation before any data"
    if isinstance(domain.square, Mahalanobis):
        what = "standard deviations from the middle of the data"
    elif isinstance(domain.square, Nearest):
        what = "neighbourhoods from the nearest sample"
    beyond = "fades out beyond" if domain.fades else "goes on beyond"
    return f"valid up to {domain.limit:.4g} {what}; {beyond}"


def _column(term: LearnedTerm, name: str, unit: str, frame: pd.DataFrame, units: Mapping[str, str]) -> np.ndarray:
    if name == "time":
        return frame.index.to_numpy(dtype=float)
    if name not in frame.columns:
        raise SpecificationError(
            f"the correction of {term.on}: the frame has no column {name}.\n"
            f"  Give a run's frame(), or columns for {', '.join(term.features)}."
        )
    values = frame[name].to_numpy(dtype=float)
    return values * Measure.of(units[name]).ratio_to(Measure.of(unit)) if unit and name in units else values


__all__ = ["along", "described", "facts_along"]
