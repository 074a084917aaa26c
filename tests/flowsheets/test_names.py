"""Names are strings; names of arrays are indexed by labels and iterate over their elements."""

import copy
import pickle
import re

import numpy as np
import pytest

from titer.flowsheets.names import ArrayName, Name, element, elements_of
from titer.numerics.errors import SpecificationError

C = ArrayName("column.c", [range(4), ("salt", "product")])


def test_a_name_equals_its_string_and_finds_what_is_stored_under_it():
    name = Name("reactor.T")
    assert name == "reactor.T"
    assert {"reactor.T": 1.0}[name] == 1.0
    assert f"{name}|{C}" == "reactor.T|column.c"
    assert elements_of(name) == ("reactor.T",)
    assert elements_of("reactor.T") == ("reactor.T",)


def test_an_array_name_gives_the_names_of_its_elements():
    assert C[3, "product"] == "column.c[3,product]"
    assert isinstance(C[3, "product"], Name)
    assert not isinstance(C[3, "product"], ArrayName)
    assert ArrayName("column.k_a", [("salt", "product")])["product"] == "column.k_a[product]"


@pytest.mark.parametrize("last", [3, -1, np.int64(3), np.int64(-1), 3.0])
def test_numbers_may_count_from_the_end_and_have_one_spelling(last):
    assert C[last, "salt"] == "column.c[3,salt]"


def test_iteration_and_elements_run_over_all_the_last_index_fastest():
    names = [f"column.c[{i},{label}]" for i in range(4) for label in ("salt", "product")]
    assert list(C) == names
    assert C.elements == tuple(names)
    assert elements_of(C) == tuple(names)
    assert set(C) == set(names)


def test_element_writes_labels_in_brackets_and_none_for_a_scalar():
    assert element("c", (3, "product")) == "c[3,product]"
    assert element("c", ()) == "c"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_names_survive_copying_and_pickling(copied):
    assert copied(Name("reactor.T")) == "reactor.T"
    again = copied(C)
    assert again == C
    assert again[1, "salt"] == "column.c[1,salt]"


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (
            3,
            "column.c: expected 2 indices, got 1.\n  Write column.c[0, 'salt'], or the name alone for all its",
        ),
        ((3, "produkt"), "column.c: index 'produkt' is unknown. Did you mean 'product'?\n  known: product, salt"),
        ((4, "salt"), "column.c: index 4 is outside 0 to 3.\n  Give a number in that range (-1 is the last)"),
        ((-5, "salt"), "column.c: index -5 is outside 0 to 3."),
        ((slice(None), "salt"), "column.c: index slice(None, None, None) is outside 0 to 3.\n"),
        (("product", "salt"), "column.c: index 'product' is outside 0 to 3."),
    ],
)
def test_an_index_that_is_none_says_which_there_are(index, message: str):
    with pytest.raises(SpecificationError, match=f"^{re.escape(message)}"):
        C[index]
