"""Which single change of a rate would close totals that do not hold? A sign, a term that is doubled or missing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.diagnosis.alone import Alone

Array = np.ndarray
_EXACT = 1e-6  # how well one number must close all totals at all points
_MOST = 3  # suspicions that are told
_MOST_TERMS = 40  # of one rate
_MOST_STATES = 80  # of a unit operation whose rates are searched


@dataclass(frozen=True, eq=False)
class Books:
    """The totals of a unit operation at points: `rate` (states, points), `weight` of each rate in each total and its
    `share` (totals, states, points), what is `left` over (totals, points), the largest `turnover` of each
    and the largest `size` of the total itself (totals,)."""

    one: Alone
    points: Sequence[Sequence[Any]]
    rate: Array
    weight: Array
    share: Array
    left: Array
    turnover: Array
    size: Array


@dataclass(frozen=True)
class Suspicion:
    """A change of one rate that would close every total: which state's, and in words."""

    state: str
    text: str
    rank: int


@dataclass(frozen=True, eq=False)
class _Term:
    """A term of a rate: how it reads without its sign, the sign with which it stands there, its values (points,)."""

    name: str
    sign: float
    values: Array


def suspicions(books: Books, broken: Sequence[int]) -> list[Suspicion]:
    """Changes that close all broken totals and break no other, the likeliest first; few, and of one likelihood."""
    if len(books.one.rates) > _MOST_STATES:
        return []
    own = _terms_by_state(books)
    touched = [i for i in range(len(own)) if np.any(books.weight[broken, i])]
    found: dict[str, Suspicion] = {}
    for i in touched:
        state = list(books.one.rates)[i]
        for suspicion in (*_changes(books, i, state, own[i]), *_absences(books, i, state, own)):
            found.setdefault(suspicion.text, suspicion)
    ranked = sorted(found.values(), key=lambda s: s.rank)
    return [s for s in ranked if s.rank == ranked[0].rank][:_MOST]


def _changes(books: Books, i: int, state: str, terms: Sequence[_Term]) -> Iterator[Suspicion]:
    """The rate, or one of its terms, with another factor."""
    whole = _Term("", 1.0, books.rate[i])
    for term in (whole, *(terms if len(terms) > 1 else ())):
        factor = _factor(books, i, term.values)
        if factor is None:
            continue
        what = f"the term {term.name} in the rate of {state}" if term.name else f"the rate of {state}"
        number = 1.0 + factor
        if abs(number + 1.0) < _EXACT:
            yield Suspicion(state, f"{what} changes its sign", 0)
        elif abs(number) < _EXACT:
            yield Suspicion(state, f"{what} is left out" if term.name else f"{what} is zero", 2)
        else:
            yield Suspicion(state, f"{what} is multiplied by {number:.6g}", 1 if _usual(number) else 3)


def _absences(books: Books, i: int, state: str, own: Sequence[Sequence[_Term]]) -> Iterator[Suspicion]:
    """A term that the rate lacks though it stands in other rates."""
    mine = {term.name for term in own[i]}
    for term in {t.name: t for terms in own for t in terms if t.name not in mine}.values():
        factor = _factor(books, i, term.values)
        if factor is not None and abs(abs(factor) - 1.0) < _EXACT:
            yield Suspicion(state, f"the rate of {state} gains {'+' if factor * term.sign > 0 else '-'} {term.name}", 2)


def _factor(books: Books, i: int, values: Array) -> float | None:
    """The number k with which k * values, added to a rate, closes all totals at all points; None if there is none."""
    scale = 1.0 / np.where(books.turnover > 0.0, books.turnover, 1.0)[:, None]
    effect = (books.weight[:, i] * values * scale).ravel()
    left = (books.left * scale).ravel()
    square = float(effect @ effect)
    if square == 0.0:
        return None
    k = -float(effect @ left) / square
    return k if np.abs(left + k * effect).max() <= _EXACT * np.abs(left).max() and abs(k) > _EXACT else None


def _usual(factor: float) -> bool:
    """Whether a factor is one by which people err: doubled, halved, or a factor between units."""
    usual = (2.0, 0.5, 60.0, 3600.0, 1000.0, 24.0, 100.0, 1e6)
    return any(abs(abs(factor) / f - 1.0) < _EXACT for u in usual for f in (u, 1.0 / u))


def _terms_by_state(books: Books) -> list[list[_Term]]:
    """The terms of each rate with their values."""
    split = [_terms(rate) for rate in books.one.rates.values()]
    rows = iter(books.one.at([term for terms in split for term in terms.values()], books.points))
    return [
        [_Term(name, -1.0 if t.is_op(ca.OP_NEG) else 1.0, next(rows)) for name, t in terms.items()] for terms in split
    ]


def _terms(rate: ca.SX) -> dict[str, ca.SX]:
    """The terms of a sum, by how they read; a quotient or product of a sum is spread over it."""
    found: dict[str, ca.SX] = {}
    for term in _spread(rate, ca.SX(1.0), ca.SX(1.0)):
        name = _read(term)
        found[name] = found[name] + term if name in found else term
    return found if len(found) <= _MOST_TERMS else {"": rate}


def _spread(e: ca.SX, factor: ca.SX, divisor: ca.SX) -> Iterator[ca.SX]:
    """Terms of factor * e / divisor."""
    if e.is_op(ca.OP_ADD) or e.is_op(ca.OP_SUB):
        yield from _spread(e.dep(0), factor, divisor)
        yield from _spread(e.dep(1), factor if e.is_op(ca.OP_ADD) else -factor, divisor)
    elif e.is_op(ca.OP_NEG):
        yield from _spread(e.dep(0), -factor, divisor)
    elif e.is_op(ca.OP_TWICE):
        yield from _spread(e.dep(0), 2.0 * factor, divisor)
    elif e.is_op(ca.OP_DIV) and _is_sum(e.dep(0)):
        yield from _spread(e.dep(0), factor, divisor * e.dep(1))
    elif e.is_op(ca.OP_MUL) and (_is_sum(e.dep(0)) != _is_sum(e.dep(1))):
        total, other = (e.dep(0), e.dep(1)) if _is_sum(e.dep(0)) else (e.dep(1), e.dep(0))
        yield from _spread(total, factor * other, divisor)
    else:
        yield factor * e / divisor


def _is_sum(e: ca.SX) -> bool:
    inner = e.dep(0) if e.is_op(ca.OP_NEG) or e.is_op(ca.OP_TWICE) else e
    return bool(inner.is_op(ca.OP_ADD) or inner.is_op(ca.OP_SUB))


def _read(term: ca.SX) -> str:
    """How a term reads, without its sign; of a long one, what it contains."""
    if term.is_op(ca.OP_NEG):
        term = term.dep(0)
    text = str(term)
    text = re.sub(r"(\d)\.\*", r"\1*", text[1:-1] if text.startswith("(") else text)
    if "@" in text or len(text) > 70:
        names = sorted({str(s) for s in ca.symvar(term)})
        text = f"of {', '.join(names[:5])}"
    return text
