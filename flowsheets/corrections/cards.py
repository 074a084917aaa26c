"""How is a correction kept? As a folder: card.json, which one reads, and numbers.npz. No pickle, no code.

The card names expressions, features with units and ranges, forms, layers, domains, versions, what the user added, and a
hash of the numbers, so that a card and numbers that do not belong together are refused.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from titer.flowsheets.corrections import domain, external, forms, kernels, layers
from titer.flowsheets.corrections.correction import Correction
from titer.flowsheets.corrections.domain import Domain
from titer.flowsheets.corrections.forms import Form
from titer.flowsheets.corrections.kernels import Kernel
from titer.flowsheets.corrections.layers import Layer
from titer.flowsheets.corrections.learned_term import LearnedTerm
from titer.flowsheets.corrections.model import LoweredModel
from titer.numerics.errors import SpecificationError, unknown

FORMAT = 1
_CARD, _NUMBERS = "card.json", "numbers.npz"
_KINDS: dict[str, type] = {
    name: kind
    for module in (layers, kernels, forms, domain, external)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Layer | Kernel | Form)
}


def save(correction: Correction, folder: Path) -> None:
    """Write a folder; one that is there is overwritten."""
    numbers = {key: array for i, term in enumerate(correction.terms) for key, array in _numbers(i, term).items()}
    card = {
        "format": FORMAT,
        "versions": _versions(),
        "hash": _hash(numbers),
        "about": dict(correction.about),
        "terms": [_term(term) for term in correction.terms],
    }
    try:
        text = json.dumps(card, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SpecificationError(
            f"Correction.save: what `about` says cannot be written: {error}.\n  Give texts, finite numbers, and lists."
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CARD).write_text(text + "\n", encoding="utf-8")
    np.savez_compressed(folder / _NUMBERS, **numbers)  # type: ignore[arg-type]


def load(folder: Path) -> Correction:
    """Read a folder. Raises SpecificationError."""
    if not (folder / _CARD).is_file() or not (folder / _NUMBERS).is_file():
        raise SpecificationError(f"Correction.load: {folder} has no {_CARD} with {_NUMBERS}, as Correction.save makes.")
    card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
    if card.get("format") != FORMAT:
        raise SpecificationError(
            f"Correction.load: {folder} has format {card.get('format')!r}, this version reads {FORMAT}.\n"
            "  Learn the correction again, or read it with the version that its card names."
        )
    with np.load(folder / _NUMBERS, allow_pickle=False) as archive:
        numbers = {key: archive[key] for key in archive.files}
    if _hash(numbers) != card["hash"]:
        raise SpecificationError(
            f"Correction.load: {folder / _NUMBERS} does not belong to its card: its numbers have changed."
        )
    return Correction(*(_read(i, told, numbers) for i, told in enumerate(card["terms"])), about=card["about"])


def _term(term: LearnedTerm) -> dict[str, Any]:
    count = len(term.features)
    units: Sequence[Any] = term.units or [None] * count
    ranges: Sequence[Any] = term.ranges or [(None, None)] * count
    features = [
        {"name": name, "unit": unit, "lower": lower, "upper": upper}
        for name, unit, (lower, upper) in zip(term.features, units, ranges, strict=True)
    ]
    model, valid = term.model, term.domain
    return {
        "on": term.on,
        "features": features,
        "form": _written(term.form),
        "model": {
            "source": model.source,
            "mean": _written(model.mean),
            "variance": _written(model.variance),
            "variance_range": model.variance_range,
        },
        "domain": None
        if valid is None
        else {"square": _written(valid.square), "limit": valid.limit, "fades": valid.fades},
    }


def _numbers(i: int, term: LearnedTerm) -> dict[str, np.ndarray]:
    found = {f"{i}.mean": term.model.coefficients}
    if term.model.variance_coefficients is not None and term.model.variance is not None:
        found[f"{i}.variance"] = term.model.variance_coefficients
    if term.domain is not None:
        found[f"{i}.domain"] = term.domain.coefficients
    return found


def _read(i: int, told: Mapping[str, Any], numbers: Mapping[str, np.ndarray]) -> LearnedTerm:
    model, valid, features = told["model"], told["domain"], told["features"]
    spread = model["variance_range"]
    return LearnedTerm(
        told["on"],
        [f["name"] for f in features],
        LoweredModel(
            _made(model["mean"]),
            numbers[f"{i}.mean"],
            _made(model["variance"]),
            numbers.get(f"{i}.variance"),
            None if spread is None else (spread[0], spread[1]),
            model["source"],
        ),
        _made(told["form"]),
        None
        if valid is None
        else Domain(_made(valid["square"]), numbers[f"{i}.domain"], valid["limit"], valid["fades"]),
        [f["unit"] for f in features] if features[0]["unit"] is not None else (),
        [(f["lower"], f["upper"]) for f in features] if features[0]["lower"] is not None else (),
    )


def _written(value: Any) -> Any:
    """A layer, a kernel or a form as what JSON holds."""
    if is_dataclass(value):
        return {"kind": type(value).__name__} | {f.name: _written(getattr(value, f.name)) for f in fields(value)}
    return [_written(item) for item in value] if isinstance(value, tuple) else value


def _made(told: Any) -> Any:
    """The layer, kernel or form that was written; only those of titer are made."""
    if isinstance(told, list):
        return tuple(_made(item) for item in told)
    if not isinstance(told, dict):
        return told
    if told["kind"] not in _KINDS:
        raise SpecificationError(f"Correction.load: {unknown('kind', told['kind'], _KINDS)}")
    return _KINDS[told["kind"]](**{key: _made(item) for key, item in told.items() if key != "kind"})


def _hash(numbers: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for key in sorted(numbers):
        digest.update(key.encode() + np.ascontiguousarray(numbers[key], dtype="<f8").tobytes())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("titer", "casadi", "numpy", "scikit-learn"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


__all__ = ["FORMAT", "load", "save"]
