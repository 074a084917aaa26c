"""Which numbers can these data tell? A ranking by estimability, groups that cannot be told apart, and what to fix.

Sensitivities are scaled to be free of units: S[i, j] = size_j dy_i/dtheta_j / deviation_i, a number's value being its
size. The ranking takes the largest column, then the one with the largest part orthogonal to those taken, and so on
(a QR decomposition with column pivoting); 1 / that part is the relative standard error of a number that is fitted with
those before it. A group is collinear where the index 1 / sqrt(smallest eigenvalue of S~' S~), of columns of unit length
S~, is large: a change of one number is made up by the others but for the share 1 / index. Priors do not count.
Sources: Yao, Shaw, McAuley, Polymer React. Eng. 11 (2003) 563; Brun, Reichert & Kuensch, Water Resour. Res. 37 (2001)
1015.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.estimation.work import Number, Work
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

    from titer.estimation.fit import Fit

Array = np.ndarray
COLLINEAR = 15.0  # index from which a group is called collinear: Brun et al. use 5 to 20
_TOLD = 2.0  # standard errors that a number must be away from none of it, to be called determined
_NOTHING = 1e-9  # of the largest sensitivity: rounding
_INFINITE = 1e6  # an index beyond which collinearity is exact but for rounding
_SMALL = 1e-3  # of its guess: a value that says nothing of a number's size
_FEW = 3  # members up to which a group that is told is worth a word
_SAME = 0.03  # relative difference of exponents that is called none


@dataclass(frozen=True)
class Group:
    """Numbers whose effects on the measurements make each other up.

    `labels`: the numbers; `index`: their collinearity index; `fix`: those ranked last, without which the others are
    told apart; `told`: whether each is determined all the same, by very precise data; `known`: a combination that the
    data do determine, where it is a simple one.
    """

    labels: tuple[str, ...]
    index: float
    fix: tuple[str, ...]
    told: bool
    known: str = ""

    def __str__(self) -> str:
        names = _listed(self.labels)
        index = "infinite" if self.index > _INFINITE else f"{self.index:.0f}"
        only = f": hardly more than {self.known} is known" if self.known else ""
        if self.told:
            return (
                f"{names} act nearly alike on these data (collinearity index {index}), "
                f"which are precise enough to tell them"
            )
        return f"{names} cannot be told apart by these data (collinearity index {index}){only}"


@dataclass(frozen=True, eq=False)
class Estimability:
    """What the data of a fit can tell of its numbers.

    `ranking`: from the best determined to the last; columns `sensitivity` (how many standard deviations of the noise
    all measurements together move when the number doubles), `own` (the part of it that those before it do not make
    up), `relative error %` (100 / own), `determined`, `note`. `singular_values` of the scaled sensitivities, largest
    first. `groups`: collinear ones. `advice`: what to do, a sentence each.
    """

    ranking: pd.DataFrame
    singular_values: Array
    groups: tuple[Group, ...]
    advice: tuple[str, ...]
    count: int

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Numbers that the data do not determine beside those ranked before them."""
        return tuple(self.ranking.index[~self.ranking["determined"]])

    def __str__(self) -> str:
        largest, smallest = (self.singular_values[0], self.singular_values[-1]) if len(self.singular_values) else (0, 0)
        lines = [
            f"estimability of {len(self.ranking)} numbers from {self.count} measurements "
            f"(singular values {largest:.3g} to {smallest:.3g})",
            *("  " + line for line in self.ranking.to_string(float_format=lambda x: f"{x:.3g}").splitlines()),
            *(f"{group}." for group in self.groups),
            *(f"- {sentence}" for sentence in self.advice),
        ]
        return "\n".join(lines)


def estimability(fit: Fit, collinear: float = COLLINEAR) -> Estimability:
    """Rank the numbers of a fit, and name those that its data cannot tell apart.

    `collinear`: the index from which a group is called so. Numbers on a bound are ranked too. Raises
    SpecificationError for an index not above 1, LinAlgError where the equations do not determine the states.
    """
    if isinstance(collinear, bool) or not isinstance(collinear, int | float) or not collinear > 1.0:
        raise SpecificationError(f"estimability: collinear must be a number above 1, such as 15.0, got {collinear!r}.")
    numbers = fit.numbers
    sizes = _sizes(fit.work)
    scaled = scaled_sensitivities(fit.work, sizes)
    order, own = ranked(scaled)
    lengths = np.linalg.norm(scaled, axis=0)
    groups = _groups(scaled, order, numbers, sizes, float(collinear))
    ranking = _ranking(fit, [numbers[i] for i in order], lengths[order], own)
    values = np.linalg.svd(scaled, compute_uv=False)
    return Estimability(ranking, values, groups, _advice(ranking, groups), len(scaled))


def scaled_sensitivities(work: Work, sizes: Array) -> Array:
    """Derivatives of all predictions in all numbers (n, k), times the numbers' sizes, over the deviations."""
    numbers = work.numbers
    follow = work.reduced(numbers).follow[:, : len(numbers)]
    rows = [s.jacobian / s.deviations[:, None] for s in work.samples(follow)]
    return np.concatenate([np.zeros((0, len(numbers))), *rows]) * sizes


def ranked(scaled: Array) -> tuple[Array, Array]:
    """Columns from the best determined to the last (k,), and the length of the part that is their own (k,)."""
    from scipy.linalg import qr

    if not scaled.size:
        return np.arange(scaled.shape[1]), np.zeros(scaled.shape[1])
    triangle, order = qr(scaled, mode="r", pivoting=True)
    own = np.zeros(scaled.shape[1])
    diagonal = np.abs(np.diag(triangle))
    own[: len(diagonal)] = diagonal
    own[own < _NOTHING * max(own[0], 1e-300)] = 0.0
    return order, own


def collinearity(columns: Array) -> float:
    """The collinearity index of columns (n, k): 1 where they are orthogonal, infinite where they are dependent."""
    unit = columns / np.linalg.norm(columns, axis=0)
    if unit.shape[1] > unit.shape[0]:
        return np.inf
    smallest = float(np.linalg.svd(unit, compute_uv=False)[-1])
    return 1.0 / smallest if smallest > 0.0 else np.inf


def _sizes(work: Work) -> Array:
    """The size of each number: its value, or its guess where a bound holds it or the value is next to nothing."""
    guesses = {n.name: abs(n.guess) for n in work.solved.started.assembled.numbers}
    sizes = []
    for number in work.numbers:
        value, guess = abs(number.value), guesses[number.name]
        small = value < _SMALL * guess or not value
        sizes.append((guess or 1.0) if small else value)
    return np.array(sizes)


def _groups(
    scaled: Array, order: Array, numbers: tuple[Number, ...], sizes: Array, threshold: float
) -> tuple[Group, ...]:
    """Smallest collinear groups, one after another: of each, the number ranked last is set aside before the next."""
    lengths = np.linalg.norm(scaled, axis=0)
    left = [int(i) for i in order if lengths[i] > _NOTHING * lengths.max(initial=0.0)]  # best determined first
    found = []
    while len(left) > 1 and collinearity(scaled[:, left]) > threshold:
        members = _smallest(scaled, left, threshold)
        if len(members) == 2:
            members = _alike(scaled, members, left, threshold)
        aside = members[1:] if _all_pairs(scaled, members, threshold) else members[-1:]
        group = _group(scaled, members, aside, numbers, sizes)
        if not group.told or len(members) <= _FEW:
            found.append(group)
        left = [i for i in left if i not in aside]
    return tuple(found)


def _smallest(scaled: Array, members: list[int], threshold: float) -> list[int]:
    """A collinear group from which nothing can be left out."""
    while len(members) > 2:
        rests = [[j for j in members if j != i] for i in members]
        indices = [collinearity(scaled[:, rest]) for rest in rests]
        best = int(np.argmax(indices))
        if indices[best] <= threshold:
            break
        members = rests[best]
    return members


def _alike(scaled: Array, pair: list[int], left: list[int], threshold: float) -> list[int]:
    """A collinear pair with all others that are collinear with each of them, best determined first."""
    members = list(pair)
    for i in left:
        if i not in members and _all_pairs(scaled, [*members, i], threshold):
            members.append(i)
    return [i for i in left if i in members]


def _all_pairs(scaled: Array, members: list[int], threshold: float) -> bool:
    return all(collinearity(scaled[:, [i, j]]) > threshold for k, i in enumerate(members) for j in members[k + 1 :])


def _group(scaled: Array, members: list[int], aside: list[int], numbers: tuple[Number, ...], sizes: Array) -> Group:
    columns = scaled[:, members]
    _, own = ranked(columns)
    known = _combination(scaled, members, numbers, sizes) if len(members) == 2 else ""
    labels = tuple(sorted(numbers[i].label for i in members))
    fix = tuple(numbers[i].label for i in aside)
    return Group(labels, collinearity(columns), fix, bool(own[-1] >= _TOLD), known)


def _combination(scaled: Array, pair: list[int], numbers: tuple[Number, ...], sizes: Array) -> str:
    """What a collinear pair leaves known, where it is a product, a ratio or a simple power: a * b^p."""
    a, b = sorted(pair, key=lambda i: numbers[i].label)
    if any(abs(numbers[i].value) != sizes[i] for i in pair):
        return ""
    first, second = (scaled[:, i] * np.sign(numbers[i].value) for i in (a, b))
    power = float(np.sign(first @ second) * np.linalg.norm(second) / np.linalg.norm(first))
    name, other = numbers[a].label, numbers[b].label
    forms = {1.0: f"{name} * {other}", -1.0: f"{name} / {other}", 2.0: f"{name} * {other}^2"}
    forms |= {-2.0: f"{name} / {other}^2", 0.5: f"{name}^2 * {other}", -0.5: f"{name}^2 / {other}"}
    return next((text for p, text in forms.items() if abs(power / p - 1.0) < _SAME), "")


def _ranking(fit: Fit, numbers: list[Number], lengths: Array, own: Array) -> pd.DataFrame:
    import pandas as pd

    priors = {name for name, free in fit.free.items() if free.prior is not None}
    rows = [
        {
            "sensitivity": lengths[i],
            "own": own[i],
            "relative error %": 100.0 / own[i] if own[i] > 0.0 else np.inf,
            "determined": bool(own[i] >= _TOLD),
            "note": "; ".join(_notes(number, number.name in priors)),
        }
        for i, number in enumerate(numbers)
    ]
    return pd.DataFrame(rows, index=pd.Index([n.label for n in numbers], name="number"))


def _notes(number: Number, prior: bool) -> list[str]:
    notes = [f"held by its {number.bound} bound"] if number.bound else []
    return notes + (["has a prior"] if prior else [])


def _advice(ranking: pd.DataFrame, groups: tuple[Group, ...]) -> tuple[str, ...]:
    """What to do about groups, and about numbers that act on next to nothing by themselves."""
    sentences = []
    grouped = {label for group in groups for label in group.labels}
    for group in groups:
        others = [label for label in group.labels if label not in group.fix]
        if group.told:
            sentences.append(
                f"The errors of {_listed(group.labels)} are strongly correlated: write the model with quantities that "
                f"are less so, such as a rate at a reference temperature."
            )
        else:
            sentences.append(
                f"Fix {_listed(group.fix)} at {'a value' if len(group.fix) == 1 else 'values'} known from elsewhere, "
                f"or give {'it a prior' if len(group.fix) == 1 else 'them priors'}, or measure what tells "
                f"{'it' if len(group.fix) == 1 else 'them'} from {_listed(others)}."
            )
    for label, row in ranking[~ranking["determined"]].iterrows():
        if row["sensitivity"] < _TOLD:
            sentences.append(
                f"Fix {label}: doubling it moves all measurements together by {row['sensitivity']:.2g} standard "
                f"deviations; these data do not determine it."
            )
        elif label not in grouped:
            sentences.append(
                f"Fix {label}, or give it a prior: beside the numbers ranked before it, these data do not determine it."
            )
    return tuple(sentences) or ("These data determine all numbers.",)


def _listed(labels: Sequence[str]) -> str:
    comma = "; " if any(", " in label for label in labels) and len(labels) > 2 else ", "
    return labels[0] if len(labels) == 1 else f"{comma.join(labels[:-1])} and {labels[-1]}"
