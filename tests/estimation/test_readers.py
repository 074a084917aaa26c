"""Files as they come from a laboratory: what stands in them is read, and what cannot be meant is named by its cell."""

import sys

import numpy as np
import pandas as pd
import pytest

from titer.estimation import Interpolated, Layout, Noise, estimate, read_experiment, read_experiments
from titer.flowsheets import Control, Equations, Flowsheet, Parameter, Phase, Recipe, State, Unit
from titer.numerics import Grid, SpecificationError


class Culture(Unit):
    """S' = -k S + F, X' = k S."""

    time = "h"
    S = State("g/L", start=10.0, lower=0.0)
    X = State("g/L", start=0.0, lower=0.0)
    k = Parameter("1/h", 0.1, lower=0.0, upper=5.0)
    F = Control("g/L/h", start=0.0)
    O = Control("1", start=0.0)  # noqa: E741

    def equations(self, v):
        return Equations(rate={"S": -v.k * v.S + v.F + 0.0 * v.O * v.F, "X": v.k * v.S})


class Cells(Unit):
    """X' = mu X, with what flasks are measured for."""

    time = "h"
    X = State("cell/mL", start=3.0e5, lower=0.0)
    P = State("g/L", start=0.0, lower=0.0)
    G = State("g/L", start=7.0, lower=0.0)
    mu = Parameter("1/h", 0.02, lower=0.0, upper=1.0)
    q = Parameter("g*mL/(L*cell*h)", 1.0e-9)

    def equations(self, v):
        return Equations(rate={"X": v.mu * v.X, "P": v.q * v.X, "G": -v.q * v.X})


culture = Culture("culture")
plant = Flowsheet(culture)
recipe = Recipe(Phase("batch", 4.0))
TABLE = """time (h),S [g/L],biomass,F (g/L/h),note
0,10,0,0,
1,9.048,0.952,0,first
2,8.187,1.813,0,
4,6.703,3.297,0,last
"""


def read(tmp_path, text, columns=None, encoding="utf-8", file="batch.csv", **given):
    path = tmp_path / file
    path.write_text(text, encoding=encoding)
    given = {
        "time": "time (h)",
        "noise": {culture.S: 0.01, culture.X: 0.01},
        "recipe": recipe,
        "units": {culture.X: "g/L"},
        **given,
    }
    return read_experiment(path, columns or {"S [g/L]": culture.S, "biomass": culture.X}, **given)


def test_a_table_becomes_an_experiment(tmp_path):
    experiment = read(tmp_path, TABLE, steps={"F (g/L/h)": culture.F}, inputs={culture.O: 0.0})
    assert experiment.name == "batch"
    assert experiment.count == 8
    assert list(experiment.frame.columns) == [culture.S, culture.X]
    fit = estimate(plant, [experiment], [culture.k], Grid(8))
    assert fit.values[culture.k] == pytest.approx(0.1, abs=1e-4)  # S = 10 exp(-0.1 t), to three decimals


def test_european_numbers_and_encodings_are_read(tmp_path):
    text = TABLE.replace(",", ";").replace(".", ",").replace("note", "Überstand")
    layout = Layout(decimal=",", encoding="latin-1")
    same = read(tmp_path, text, layout=layout, encoding="latin-1")
    pd.testing.assert_frame_equal(same.frame, read(tmp_path, TABLE).frame)
    with pytest.raises(
        SpecificationError, match=r'batch\.csv: it is not written in utf-8-sig; say Layout\(encoding="la'
    ):
        read(tmp_path, text, encoding="latin-1")
    marked = read(tmp_path, "\ufeff" + TABLE.replace("\n", "\r\n"))
    pd.testing.assert_frame_equal(marked.frame, same.frame)


def test_cells_that_are_empty_or_say_so_were_not_measured(tmp_path):
    text = TABLE.replace("9.048", "").replace("8.187", "NA").replace("3.297", "n.d.")
    frame = read(tmp_path, text, layout=Layout(missing=["NA", "n.d."])).frame
    assert frame[culture.S].isna().tolist() == [False, True, True, False]
    assert frame[culture.X].isna().tolist() == [False, False, False, True]


def test_logged_inputs_are_steps_or_lines_with_gaps_bridged(tmp_path):
    text = """time (min),S [mg/L],feed [g/L/h],O (%)
0,10000,0,50
60,9000,1.5,
120,,,20
240,7000,2.5,40
"""
    experiment = read(
        tmp_path,
        text,
        columns={"S [mg/L]": culture.S},
        time="time (min)",
        units={},
        noise={culture.S: 10.0},
        steps={"feed [g/L/h]": culture.F},
        lines={"O (%)": culture.O},
    ).converted(plant)
    assert experiment.frame[culture.S].tolist() == pytest.approx([10.0, 9.0, np.nan, 7.0], nan_ok=True)
    assert experiment.noise[culture.S] == pytest.approx(0.01)
    assert experiment.inputs[culture.F].to_dict() == pytest.approx({0.0: 0.0, 1.0: 1.5, 4.0: 2.5})
    oxygen = experiment.inputs[culture.O]
    assert isinstance(oxygen, Interpolated)
    assert [oxygen(t) for t in (0.0, 1.0, 2.0, 3.0)] == pytest.approx([0.5, 0.35, 0.2, 0.3])


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("8.187", "8.1.87", r"batch\.csv: line 4, column 'S \[g/L\]': '8\.1\.87' is no number"),
        ("8.187", '"8,187"', r"line 4, column 'S \[g/L\]': '8,187' is no number\.\n  A decimal comma\? Write 8\.187"),
        ("8.187", "8,187", r"line 4 has 6 cells, the header has 5\.\n  A decimal comma among commas"),
        ("8.187", "inf", r"line 4, column 'S \[g/L\]': 'inf' is no number"),
        ("8.187", "1e999", r"line 4, .*: '1e999' is not finite"),
        ("8.187", "1_0", r"'1_0' is no number"),
        ("8.187", "-8.187", r"Experiment 'batch': row 3 \(t = 2 h\), column culture\.S: -8\.187 g/L lies below"),
        ("\n2,", "\n,", r"line 4, column 'time \(h\)': the time is missing"),
        ("\n2,", "\n1,", r"Experiment 'batch': .* rows 2 and 3 have the same time, t = 1"),
        ("\n2,", "\n0.5,", r"row 3 is at t = 0\.5, the row before at t = 1"),
        ("\n4,", "\n40,", r"row 4 \(t = 40 h\), column culture\.S: the time lies outside the recipe"),
        ("time (h)", "time", r"time: column 'time \(h\)' is unknown\. Did you mean 'time'"),
        ("biomass", "Biomass", r"columns: column 'biomass' is unknown\. Did you mean 'Biomass'"),
        ("note", "biomass", r"columns: two columns are called 'biomass'"),
    ],
)
def test_bad_files_are_refused_where_they_are_bad(tmp_path, old, new, text):
    with pytest.raises(SpecificationError, match=text):
        read(tmp_path, TABLE.replace(old, new, 1)).converted(plant)


def test_units_must_stand_in_the_header_or_be_given(tmp_path):
    with pytest.raises(SpecificationError, match=r"column 'biomass' has no unit that can be read"):
        read(tmp_path, TABLE, units={})
    with pytest.raises(SpecificationError, match=r"the header 'hours' does not say the unit of time"):
        read(tmp_path, TABLE.replace("time (h)", "hours"), time="hours")
    days = read(tmp_path, TABLE, time_unit="d")  # what is given counts, whatever the header says
    with pytest.raises(SpecificationError, match=r"row 2 \(t = 24 h\), .*\n.* Say time_unit="):
        days.converted(plant)


def test_files_that_cannot_be_read_say_why(tmp_path):
    with pytest.raises(SpecificationError, match="there is no such file"):
        read_experiment(tmp_path / "none.csv", {"a": "b"}, "t", {}, recipe)
    with pytest.raises(SpecificationError, match="line 9 holds no header"):
        read(tmp_path, TABLE, layout=Layout(header=9))
    with pytest.raises(SpecificationError, match="the table has no rows"):
        read(tmp_path, TABLE.splitlines()[0])
    with pytest.raises(SpecificationError, match="sheet='a' is for Excel"):
        read(tmp_path, TABLE, sheet="a")
    with pytest.raises(SpecificationError, match="the old Excel format"):
        read(tmp_path, TABLE, file="batch.xls")
    with pytest.raises(SpecificationError, match=r"steps: culture\.F is given twice"):
        read(tmp_path, TABLE, steps={"F (g/L/h)": culture.F}, inputs={culture.F: 0.0})
    twice = TABLE.replace("2,8.187,1.813,0", "1,8.187,1.813,5")
    with pytest.raises(SpecificationError, match=r"column 'F \(g/L/h\)' has two readings at t = 1: 0 and 5"):
        read(tmp_path, twice, steps={"F (g/L/h)": culture.F}, replicates=True)


def test_excel_without_openpyxl_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(SpecificationError, match=r"reading Excel needs openpyxl\.\n  Run: pip install titer\[excel\]"):
        read(tmp_path, "", file="batch.xlsx")


def test_a_sheet_is_read_as_a_table_is(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "about"
    sheet = book.create_sheet("batch 1")
    sheet.append(["measured in May"])
    for line in TABLE.splitlines():
        sheet.append([float(c) if c[:1].isdigit() else c or None for c in line.split(",")])
    path = tmp_path / "batch.xlsx"
    book.save(path)
    given = {
        "columns": {"S [g/L]": culture.S, "biomass": culture.X},
        "time": "time (h)",
        "noise": {culture.S: 0.01, culture.X: 0.01},
        "recipe": recipe,
        "units": {culture.X: "g/L"},
        "layout": Layout(header=2),
    }
    experiment = read_experiment(path, sheet="batch 1", **given)
    pd.testing.assert_frame_equal(experiment.frame, read(tmp_path, TABLE).frame)
    with pytest.raises(SpecificationError, match=r"sheet 'batch 2' is unknown\. Did you mean 'batch 1'"):
        read_experiment(path, sheet="batch 2", **given)
    sheet["B5"] = "8,187"
    book.save(path)
    with pytest.raises(SpecificationError, match=r"cell B5, column 'S \[g/L\]': '8,187' is no number"):
        read_experiment(path, sheet="batch 1", **given)


def test_one_long_table_holds_several_experiments(tmp_path):
    text = "batch,time (h),S [g/L]\nA,0,10\nB,0,8\nA,1,9\nB,2,7\n"
    path = tmp_path / "all.csv"
    path.write_text(text)
    given = {"columns": {"S [g/L]": culture.S}, "time": "time (h)", "by": "batch", "noise": {culture.S: 0.1}}
    recipes = {"A": Recipe(Phase("short", 1.0)), "B": recipe}
    first, second = read_experiments(path, recipe=recipes, **given)
    assert (first.name, second.name) == ("A", "B")
    assert second.frame[culture.S].to_dict() == {0.0: 8.0, 2.0: 7.0}
    assert first.recipe is recipes["A"]
    with pytest.raises(SpecificationError, match="recipe: batch 'B' is unknown"):
        read_experiments(path, recipe={"A": recipe}, **given)
    path.write_text(text.replace("B,2", ",2"))
    with pytest.raises(SpecificationError, match=r"line 5, column 'batch': no batch is named"):
        read_experiments(path, recipe=recipe, **given)


# --- real data --------------------------------------------------------------------------------------------


def test_flasks_of_two_clones_are_read_with_their_mistakes(data):
    """The first header says hours and T is in days; T = n.1 is the state after a feed; rows are triplicates."""
    path = data / "cho_clones" / "2024-05-18_Clones_B_C_Kinetics.csv"
    cells = Cells("cells")
    flask = Flowsheet(cells)
    week = Recipe(Phase("flask", 7.0 * 24.0))
    given = {
        "columns": {"Xv": cells.X, "G": cells.G, "MAb": cells.P},
        "time": "T",
        "noise": {cells.X: Noise(absolute=1e5, relative=0.1), cells.G: 0.2, cells.P: 0.01},
        "recipe": week,
        "units": {cells.X: "cell/mL", cells.G: "g/L", cells.P: "mg/mL"},
        "layout": Layout(header=2),
    }
    with pytest.raises(SpecificationError, match="the header 'T' does not say the unit of time"):
        read_experiments(path, by="Clone", **given)
    with pytest.raises(SpecificationError, match=r"Experiment 'B': .*rows 1 and 2 have the same time, t = 0"):
        read_experiments(path, by="Clone", time_unit="d", **given)
    clones = read_experiments(path, by="Clone", time_unit="d", replicates=True, **given)
    flasks = read_experiments(path, by=("Clone", "rep"), time_unit="d", **given)
    assert [e.name for e in clones] == ["B", "C"]
    assert [e.name for e in flasks] == ["B 1", "B 2", "B 3", "C 1", "C 2", "C 3"]
    assert sum(e.count for e in clones) == sum(e.count for e in flasks) == 180
    known = flasks[0].converted(flask)
    assert known.frame.index.tolist()[-5:] == pytest.approx([120.0, 122.4, 144.0, 146.4, 168.0])
    assert known.frame[cells.G].loc[144.0] < known.frame[cells.G].iloc[-2]  # fed in between
    assert known.frame[cells.P].iloc[-1] == pytest.approx(0.032)  # mg/mL is g/L


@pytest.mark.parametrize("batch", ["170506F3", "170517F3", "170517F4", "170601F3", "170706F3"])
def test_fed_batches_are_read_with_their_feeds(data, batch):
    experiment = read_experiment(
        data / "yarrowia_citrate" / f"{batch}.csv",
        columns={"Residual oil (g/L)": culture.S, "DCW g/L": culture.X},
        time="Ferm. Time (h)",
        noise={culture.S: Noise(0.5, 0.1), culture.X: Noise(0.5, 0.05)},
        recipe=Recipe(Phase("batch", 140.0)),
        units={culture.X: "g/L"},
        lines={"pO2(%)": culture.O},
    ).converted(plant)
    assert experiment.name == batch
    assert experiment.count == 28
    assert experiment.inputs[culture.O](2.5) > 0.5  # a fraction
    assert experiment.outliers().empty
