"""What must be added to a plant's rates, as a function of its state? `learn(plant, experiments, on=..., features=...)`.

Infer what the rates are off by over each batch; regress that on features, with its uncertainty; take the regressor that
predicts batches best which it has not seen; if wanted, refine its coefficients on all data at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from titer.estimation.experiment import Experiment
from titer.estimation.learning.discrepancy import Discrepancy, checked, discrepancy, forms_of
from titer.estimation.learning.learned import Learned
from titer.estimation.learning.refining import refined
from titer.estimation.learning.regression import Candidate, candidates_of, regressed
from titer.estimation.learning.validation import Learning, folds_of, validated
from titer.flowsheets import Correction, Flowsheet, LearnedTerm
from titer.flowsheets.corrections.forms import Form, Multiplicative
from titer.flowsheets.corrections.layers import Affine
from titer.flowsheets.corrections.model import LoweredModel
from titer.flowsheets.names import elements_of
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import Grid

Progress = Callable[[str], None]
_PROPOSED = 12  # features that a message lists


def learn(
    plant: Flowsheet,
    experiments: Sequence[Experiment],
    on: Sequence[str] | str,
    features: Sequence[str] | None = None,
    model: Any = None,
    form: Form | Mapping[str, Form] | None = None,
    splitter: Any = None,
    refine: bool = False,
    grid: Grid | None = None,
    progress: Progress | None = None,
) -> Learned:
    """A correction of the named rates, learned from batches: `better = plant.corrected(learn(...))`.

    `on`: named expressions; `features`: what they are corrected by: states, algebraics, inputs, or expressions that do
    not depend on them. `model`: a scikit-learn regressor with derivatives, or a list, of which the one with the least
    error of simulated outputs on batches left out is taken; by default a Gaussian process on at most 60 points, where
    data are few a ridge polynomial of second order. `form`: `Multiplicative()` (the default, for rates of one sign) or
    `Additive(lower, upper)`, for all or {rate: form}. `splitter`: scikit-learn's, which splits batches, never points of
    one (default: leave one batch out). `refine`: all weights are estimated again from all data in one fit, and taken
    if batches left out are predicted no worse; each fold costs a fit, seconds for ten weights, a minute for sixty. The
    domain follows the batches (`near_batches`).

    Raises SpecificationError for names, data, splitters and regressors that do not fit, SolveError for a fit that
    fails. Method: Psichogios & Ungar, AIChE J. 38 (1992) 1499, with discrepancies inferred first, as Kennedy &
    O'Hagan, J. R. Stat. Soc. B 63 (2001) 425, describe them.
    """
    from sklearn.model_selection import LeaveOneGroupOut

    forms = forms_of(plant, on, form)
    batches = checked(plant, experiments)
    names = features_of(plant, forms, features)
    folds = folds_of(splitter or LeaveOneGroupOut(), len(batches))
    candidates = candidates_of(model, sum(len(b.frame) for b in batches), len(names))
    found = discrepancy(plant, batches, tuple(forms), names, forms, grid, progress)
    learning: dict[str, Learning] = {c.name: partial(_without, plant, batches, found, c) for c in candidates}
    validation = validated(plant, batches, found, learning, folds)
    best = str(validation.summary().index[0])
    chosen = next(c for c in candidates if c.name == best)
    final = regressed(plant, found, chosen)
    correction = final.correction
    if refine:
        again: dict[str, Learning] = {
            f"{best}, refined": partial(_refined_without, plant, batches, found, chosen, grid)
        }
        validation = validation.joined(validated(plant, batches, found, again, folds))
        better = validation.summary()["outputs"]
        if better[f"{best}, refined"] <= better[best]:
            best, correction = f"{best}, refined", refined(plant, batches, correction, found, grid)
    about = _about(batches, found, best, validation.summary().loc[best].to_dict(), splitter)
    about |= {f"weights of {on}": how for on, how in final.weighted.items()}
    about |= {"warned": list(final.warned)} if final.warned else {}
    if progress is not None:
        progress(f"{best}: held-out error {about['held-out error, corrected by mechanistic']:.3g} of the mechanistic")
    return Learned(correction.terms, about, found, validation, best)


def features_of(plant: Flowsheet, forms: Mapping[str, Form], features: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the features. Raises SpecificationError for none, for unknown ones, and for a loop."""
    if not isinstance(features, Sequence) or not features:
        raise SpecificationError(
            f"learn: features names what {', '.join(forms)} may be corrected by, got {features!r}.\n"
            f"  Choose few that drive it, for instance of: {', '.join(_proposed(plant, forms))}."
        )
    given = [features] if isinstance(features, str) else features
    names = tuple(str(each) for name in given for each in elements_of(name))
    nothing = LoweredModel(Affine(len(names), 1), np.zeros(len(names) + 1))
    plant.corrected(Correction(*(LearnedTerm(on, names, nothing, form) for on, form in forms.items())))
    return names


def _proposed(plant: Flowsheet, forms: Mapping[str, Form]) -> list[str]:
    """States and controls of the units whose rates are corrected, then those of others."""
    units = {on.split(".", 1)[0] for on in forms}
    moving = [str(name) for name, scalar in plant.scalars.items() if scalar.kind in ("state", "algebraic", "control")]
    moving.sort(key=lambda name: name.split(".", 1)[0] not in units)
    return moving[:_PROPOSED] + (["..."] if len(moving) > _PROPOSED else [])


def _without(
    plant: Flowsheet, batches: Sequence[Experiment], found: Discrepancy, candidate: Candidate, train: Sequence[int]
) -> Correction:
    return regressed(plant, found, candidate, [batches[r].label(r) for r in train]).correction


def _refined_without(
    plant: Flowsheet,
    batches: Sequence[Experiment],
    found: Discrepancy,
    candidate: Candidate,
    grid: Grid | None,
    train: Sequence[int],
) -> Correction:
    rough = _without(plant, batches, found, candidate, train)
    return refined(plant, [batches[r] for r in train], rough, found, grid)


def _about(
    batches: Sequence[Experiment], found: Discrepancy, model: str, errors: Mapping[str, float], splitter: Any
) -> dict[str, Any]:
    """What the card says besides terms and versions."""
    told: dict[str, Any] = {
        "batches": len(batches),
        "measurements": sum(batch.count for batch in batches),
        "data hash": data_hash(batches),
        "model": model,
        "validated by": repr(splitter) if splitter is not None else "leaving one batch out",
        "held-out error, corrected by mechanistic": errors["ratio"],
        "held-out error of outputs [deviations]": errors["outputs"],
        "held-out error of rates, by their discrepancy": errors["rates ratio"],
    }
    for on, prior in found.priors.items():
        what = "log of a factor" if isinstance(found.forms[on], Multiplicative) else "summand"
        told[f"size of the discrepancy of {on}, {what}"] = prior.amplitude
        told[f"memory of the discrepancy of {on}, in time"] = prior.memory
    return told


def data_hash(batches: Sequence[Experiment]) -> str:
    """A hash of times, names and measurements of all batches."""
    digest = hashlib.sha256()
    for batch in batches:
        digest.update("\n".join(map(str, batch.frame.columns)).encode())
        for numbers in (batch.frame.index, batch.frame.to_numpy()):
            digest.update(np.ascontiguousarray(numbers, dtype="<f8").tobytes())
    return digest.hexdigest()


__all__ = ["data_hash", "features_of", "learn"]
