"""The Dulmage-Mendelsohn decomposition agrees with CasADi's, solves in order, and says what is wrong."""

import casadi as ca
import numpy as np
import pytest

from titer.numerics.structure import complaints, matching, structure


def random_pattern(seed):
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 9, size=2)
    return rng.random((rows, columns)) < rng.uniform(0.1, 0.5)


@pytest.mark.parametrize("seed", range(60))
def test_parts_have_the_sizes_that_casadi_finds(seed):
    pattern = random_pattern(seed)
    found = structure(pattern)
    sparsity = ca.sparsify(ca.DM(pattern.astype(float))).sparsity()
    *_, rows, columns = sparsity.btf()  # ends of over (matched, unmatched), square, under; of columns the other way
    rank = ca.sprank(ca.DM(sparsity, 1.0))
    assert (matching(pattern) >= 0).sum() == rank
    assert (len(found.over[0]), len(found.over[1])) == (rows[2], columns[1])
    assert (len(found.under[0]), len(found.under[1])) == (rows[4] - rows[3], columns[4] - columns[2])
    assert sum(len(rows) for rows, _ in found.blocks) == rows[3] - rows[2]
    assert found.regular == (pattern.shape[0] == pattern.shape[1] == rank)


@pytest.mark.parametrize("n", [3, 8, 30])
def test_blocks_are_as_small_as_casadi_finds_them(n):
    rng = np.random.default_rng(n)
    pattern = np.eye(n, dtype=bool)[rng.permutation(n)] | (rng.random((n, n)) < 1.0 / n)
    count = ca.sparsify(ca.DM(pattern.astype(float))).sparsity().btf()[0]
    assert structure(pattern).regular
    assert len(structure(pattern).blocks) == count


@pytest.mark.parametrize("seed", range(60))
def test_every_equation_and_variable_lies_in_one_part_and_blocks_come_in_order(seed):
    pattern = random_pattern(seed)
    found = structure(pattern)
    parts = [found.over, found.under, *found.blocks]
    assert sorted(i for rows, _ in parts for i in rows) == list(range(pattern.shape[0]))
    assert sorted(j for _, columns in parts for j in columns) == list(range(pattern.shape[1]))
    known = set(found.over[1])
    for rows, columns in found.blocks:
        assert len(rows) == len(columns)
        known |= set(columns)
        assert set(np.flatnonzero(pattern[list(rows)].any(axis=0)).tolist()) <= known


SAID = {
    "fixed twice": (
        [[1, 0], [1, 0]],
        ["tank.V_spec", "tank.controller"],
        ["tank.level", "tank.outflow"],
        [
            "tank.level is fixed twice: by tank.V_spec and by tank.controller",
            "no equation determines tank.outflow, which appears in no algebraic equation",
        ],
    ),
    "fixed three times": ([[1], [1], [1]], ["a", "b", "c"], ["x"], ["x is fixed three times: by a and by b and by c"]),
    "one too many": (
        [[1, 1], [1, 1], [1, 1]],
        ["x", "y", "total"],
        ["x", "y"],
        ["3 equations (x, y, total) fix only 2 variables (x, y): one too many, perhaps total"],
    ),
    "two too many": (
        [[1, 1], [1, 1], [1, 1], [1, 0]],
        ["a", "b", "c", "d"],
        ["x", "y"],
        ["4 equations (a, b, c, d) fix only 2 variables (x, y): two too many"],
    ),
    "one missing": (
        [[1, 1]],
        ["a"],
        ["x", "y"],
        ["1 equation (a) determines only one of 2 variables (x, y): one missing"],
    ),
    "the missing one by its name": (
        [[1, 1]],
        ["x equation"],
        ["x", "y"],
        ["no equation determines y: there is 1 equation (x equation) for 2 variables (x, y)"],
    ),
    "an equation of nothing": ([[0]], ["a"], [""], ["a contains no variable that it could determine"]),
    "two separate mistakes": (
        [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]],
        ["a", "b", "c", "d", "e"],
        ["x", "y", "z"],
        ["x is fixed twice: by a and by b", "y is fixed twice: by c and by d"],
    ),
    "nothing is wrong": ([[1, 1], [0, 1]], ["a", "b"], ["x", "y"], []),
    "nothing at all": (np.zeros((0, 0)), [], [], []),
}


@pytest.mark.parametrize("case", SAID)
def test_what_is_wrong_is_said_in_words(case):
    pattern, equations, variables, expected = SAID[case]
    said = complaints(np.array(pattern, dtype=bool), equations, variables)
    assert said[: max(len(expected), 1)] == expected


def test_many_names_are_cut_short():
    names = [f"e{i}" for i in range(30)]
    said = complaints(np.ones((30, 29), dtype=bool), names, [f"x{i}" for i in range(29)])
    assert said[0].endswith("and 21 more): one too many")


def test_names_must_fit_the_pattern():
    with pytest.raises(ValueError, match="a pattern"):
        complaints(np.ones((2, 2), dtype=bool), ["a"], ["x", "y"])
    with pytest.raises(ValueError, match="expected a pattern"):
        structure(np.ones(3, dtype=bool))
