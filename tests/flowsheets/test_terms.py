"""Terms add and scale, and say at once what cannot be an objective or a constraint."""

import math

import pytest

from titer.flowsheets import AtEnd, AtStart, Integral, Path
from titer.flowsheets.terms import Sum, as_sum, check_constraints
from titer.numerics.errors import SpecificationError

end, start, area = AtEnd(lambda v: v.time, name="end"), AtStart(lambda v: 1.0), Integral(lambda v: v.r.T)


def weights(total: Sum) -> list[tuple[float, str]]:
    return [(weight, term.label()) for weight, term in total.terms]


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (end - 0.1 * area, [(1.0, "end"), (-0.1, "Integral")]),
        (-(end + start) / 2, [(-0.5, "end"), (-0.5, "AtStart")]),
        (sum([end, area, start]), [(1.0, "end"), (1.0, "Integral"), (1.0, "AtStart")]),
        (
            2 * (end + area * 3) - (start - area),
            [(2.0, "end"), (6.0, "Integral"), (-1.0, "AtStart"), (1.0, "Integral")],
        ),
        (0 - end, [(-1.0, "end")]),
        (as_sum(end), [(1.0, "end")]),
    ],
)
def test_terms_add_and_scale(total, expected):
    assert weights(total) == expected


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: end * math.nan, "a term is scaled by a finite number, got nan"),
        (lambda: end * area, "a term is scaled by a finite number"),
        (lambda: end * "2", "got '2'"),
        (lambda: end / 0.0, "a number other than zero, got 0.0"),
        (lambda: end + 1.0, "a term is added to terms, got 1.0. Put numbers inside its function."),
        (lambda: end - 1.0, "a term is added to terms, got 1.0"),
        (lambda: 1.0 - end, "a term is added to terms, got 1.0"),
        (lambda: AtEnd(3.0), "AtEnd: expected a function of the view, e.g. lambda v: v.reactor.T, got 3.0"),
        (lambda: Path("reactor.T", upper=3.0), "Path: expected a function of the view"),
        (lambda: AtEnd(lambda v: 1.0, phase=2), "AtEnd: phase is a text, got 2"),
    ],
)
def test_what_is_no_term_is_refused(make, text):
    with pytest.raises(SpecificationError) as raised:
        make()
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        (Path(lambda v: v.r.T, name="wall"), "wall: a Path is a constraint, no objective"),
        (AtEnd(lambda v: v.r.T, upper=1.0), "AtEnd: limits make a term a constraint; put it into subject_to"),
        (lambda v: v.r.T, "an objective is made of AtStart, AtEnd, Integral or sums of them, got function"),
        (3.0, "got float 3.0"),
    ],
)
def test_what_is_no_objective_is_refused(objective, text):
    with pytest.raises(SpecificationError) as raised:
        as_sum(objective)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("constraints", "text"),
    [
        ([AtEnd(lambda v: v.r.T)], "AtEnd has no limit; give lower= or upper=."),
        ([Path(lambda v: v.r.T, name="wall")], "wall has no limit"),
        ([end + area], "a sum of terms has no limits; add inside the function of one term"),
        ([lambda v: v.r.T <= 3], "expected AtStart, AtEnd, Path or Integral with limits"),
        (Path(lambda v: v.r.T, upper=1.0), "expected a list of terms, got Path. Write subject_to=[...]."),
    ],
)
def test_what_is_no_constraint_is_refused(constraints, text):
    with pytest.raises(SpecificationError, match="subject_to") as raised:
        check_constraints(constraints)
    assert text in str(raised.value)
