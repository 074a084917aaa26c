"""Problems at the door: where a path begins, what is refused, what a total starts from."""

import numpy as np
import pytest

from titer.control.optimization import optimization_problem
from titer.flowsheets import (
    AtEnd,
    Equations,
    Flowsheet,
    Free,
    Integral,
    Parameter,
    Path,
    Phase,
    Recipe,
    State,
    Unit,
    quantity,
)
from titer.flowsheets.problems.assembly import assemble
from titer.flowsheets.problems.filling import fill
from titer.flowsheets.problems.guesses import nominal_runs
from titer.flowsheets.problems.ladder import Ladder
from titer.flowsheets.problems.problem import free_numbers, phases_of
from titer.numerics import SpecificationError


class Decay(Unit):
    """x' = -k x."""

    time = "h"
    x = State("g", start=1.0)
    k = Parameter("1/h", 4.0, lower=0.1, upper=10.0)
    j = Parameter("1", 1.0, lower=0.1, upper=10.0)

    def equations(self, v):
        return Equations(rate={"x": -v.k * v.x})


unit = Decay("d")
plant = Flowsheet(unit)
free = {unit.k: Free(4.0, 1.0, 5.0)}
one = Recipe(Phase("a", 1.0))


def planned(constraint, recipe=one, free=free):
    problem = optimization_problem(plant, recipe, free, minimize=AtEnd(lambda v: v.d.x), subject_to=[constraint])
    return problem, phases_of(problem.runs[0], problem.free)


@pytest.mark.parametrize(
    ("function", "upper", "at_start"),
    [
        (lambda v: v.d.k * v.d.x, 3.0, True),  # decided at once
        (lambda v: v.d.j * v.d.x, 3.0, False),  # given
    ],
)
def test_a_path_that_reads_a_decided_parameter_holds_at_the_first_instant(function, upper, at_start):
    _, (phase,) = planned(Path(function, upper=upper))
    assert [path.at_start for path in phase.paths] == [at_start]


def test_a_path_holds_at_the_start_of_a_phase_that_fixes_a_parameter_it_reads():
    recipe = Recipe(Phase("a", 1.0), Phase("b", 1.0, fixed={unit.j: 2.0}), Phase("c", 1.0, fixed={unit.j: 2.0}))
    reads = Path(lambda v: v.d.j * v.d.x, upper=3.0)
    assert [phase.paths[0].at_start for phase in planned(reads, recipe)[1]] == [False, True, False]
    reads_not = Path(lambda v: v.d.x, upper=3.0)
    assert [phase.paths[0].at_start for phase in planned(reads_not, recipe)[1]] == [False, False, False]


def test_a_limit_or_a_guess_in_a_wrong_unit_is_a_bad_specification():
    with pytest.raises(SpecificationError, match="upper"):
        planned(Path(lambda v: v.d.x, upper=quantity(1.0, "K")))
    with pytest.raises(SpecificationError, match=r"free d\.k"):
        free_numbers(plant, {unit.k: Free(quantity(1.0, "K"), 0.5, 2.0)})


def test_a_start_that_is_decided_and_set_is_refused():
    with pytest.raises(SpecificationError, match=r"the start of d\.x is decided, but Phase 'a' sets it"):
        planned(
            Path(lambda v: v.d.x, upper=3.0),
            Recipe(Phase("a", 1.0, start={unit.x: 1.0})),
            {unit.x: Free(1.0, 0.5, 2.0)},
        )


def test_a_duration_has_no_prior():
    with pytest.raises(SpecificationError, match="its duration has a prior"):
        planned(Path(lambda v: v.d.x, upper=3.0), Recipe(Phase("a", Free(1.0, 0.5, 2.0, prior=(1.0, 0.1)))))


def test_a_total_starts_from_the_parameters_of_its_run():
    """The integral of 1 / k over an hour, k tried at 4, then fixed at 2: 1/4 + 1/2."""
    recipe = Recipe(Phase("a", 1.0), Phase("b", 1.0, fixed={unit.k: 2.0}))
    problem, terms = planned(Integral(lambda v: 1.0 / v.d.k, upper=9.0), recipe)
    nominal = nominal_runs(problem, [terms], [None], Ladder()).runs
    assembled = assemble(problem, [terms], nominal)
    w = fill(assembled, nominal, {"d.k": 4.0})
    ends = [w[assembled.nlp.cells[p.block.name][p.block.port("end").cells[1]]] for p in assembled.runs[0]]
    assert np.array(ends) == pytest.approx([0.25, 0.75], rel=1e-12)
