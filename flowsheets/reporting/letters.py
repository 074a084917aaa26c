"""How is a name written in a formula? `k0_1` as k with the index 0,1; `rhoCp` as rho C_p; `dH_1` with a capital delta.

Underscores and digits begin indices, Greek names are letters, d before H, G or S is a difference. Single letters are
italic and indices upright, for they are labels (ISO 80000-2).
"""

from __future__ import annotations

import re
from html import escape
from typing import NamedTuple

from titer.flowsheets.symbols.measure import Measure

_NAMES = (
    *(
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
    ),
    *("omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
_GREEK = dict(zip(_NAMES, "αβγδεζηθικλμνξοπρστυφχψω", strict=True))
GREEK = {**_GREEK, **{name.capitalize(): letter.upper() for name, letter in _GREEK.items()}, "lam": "λ"}
_SUPERSCRIPTS = str.maketrans("-0123456789.", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹·")
_SPACE = "\u00a0"  # at which no line breaks


class Written(NamedTuple):
    """A name as MathML: the letter, and its index (empty where it has none)."""

    base: str
    below: str

    def __str__(self) -> str:
        return f"<msub>{self.base}{self.below}</msub>" if self.below else self.base


def written(name: str) -> Written:
    """A name as it is written: "k_a[product]", "c_feed[3,product]"."""
    stem, _, inside = name.partition("[")
    head, *below = stem.split("_")
    if not head:  # a leading underscore is part of the name
        head, below = stem, []
    digits = re.fullmatch(r"(.*?[A-Za-z])(\d+)", head)
    if digits:
        head, below = digits[1], [digits[2], *below]
    base, own = _letters(head)
    labels = [*own, *below, *filter(None, inside.rstrip("]").split(","))]
    index = "<mo>,</mo>".join(_label(label) for label in labels)
    return Written(base, f"<mrow>{index}</mrow>" if len(labels) > 1 else index)


def extent(name: str) -> float:
    """About how wide a written name is, in em."""
    stem, _, inside = name.partition("[")
    head, *below = stem.split("_")
    labels = [*below, *filter(None, inside.rstrip("]").split(","))]
    return 0.6 * (1 if head in GREEK else len(head)) + sum(0.4 * len(label) + 0.2 for label in labels)


def unit_text(unit: str) -> str:
    """A unit as one writes it, "mol L⁻¹ s⁻¹"; empty for a plain number."""
    if unit in ("", "1"):
        return ""
    names = Measure.of(unit).names
    ordered = sorted(names.items(), key=lambda item: item[1] < 0)  # stable: what is above the line comes first
    return _SPACE.join(f"{name}{'' if n == 1 else f'{n:g}'.translate(_SUPERSCRIPTS)}" for name, n in ordered)


def _letters(head: str) -> tuple[str, list[str]]:
    """The main letter, and indices that are part of the word (Cp)."""
    if head in GREEK:
        return f"<mi>{GREEK[head]}</mi>", []
    for name in sorted(_GREEK, key=len, reverse=True):  # rhoCp, muMax
        if head.startswith(name) and head[len(name) : len(name) + 1].isupper():
            rest, below = _letters(head[len(name) :])
            if below:
                rest, below = str(Written(rest, "".join(map(_label, below)))), []
            return f"<mrow><mi>{GREEK[name]}</mi>{rest}</mrow>", below
    if re.fullmatch(r"d[HGS]", head):
        return f"<mrow><mi mathvariant='normal'>Δ</mi><mi>{head[1]}</mi></mrow>", []
    if head in ("Cp", "Cv"):
        return f"<mi>{head[0]}</mi>", [head[1]]
    return f"<mi>{escape(head)}</mi>", []


def _label(label: str) -> str:
    if re.fullmatch(r"\d+", label):
        return f"<mn>{label}</mn>"
    upright = ' mathvariant="normal"' if len(label) == 1 or label in GREEK else ""
    return f"<mi{upright}>{GREEK.get(label, escape(label))}</mi>"
