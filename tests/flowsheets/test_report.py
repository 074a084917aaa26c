"""Does a report say what was found, in a page that stands alone, and does its JSON say the same?"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path as File
from typing import Any

import numpy as np
import pandas as pd
import pytest

from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Inlet,
    Integral,
    Outlet,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Reaches,
    Recipe,
    State,
    Unit,
    report,
    simulate,
)
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid, Solution, SpecificationError

VOID = {"meta", "img", "br", "link", "input", "hr"}


@dataclass(frozen=True)
class Claim:
    name: str
    value: float
    wanted: str
    unit: str = ""
    ok: bool = True
    note: str = ""


class Page(HTMLParser):
    """A page, read strictly: every element is closed in its order; tags, attributes and texts are noted."""

    def __init__(self, source: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@cache
def best_batch() -> Solution:
    reactor = BatchReactor("reactor")
    return optimize(
        Flowsheet(reactor),
        Recipe(Phase("react", duration=Free(3600.0, 600.0, 7200.0))),
        free={reactor.T_j: PiecewiseConstant(4)},
        maximize=AtEnd(lambda v: v.reactor.c_B / (v.time + 1800.0)),
        subject_to=[
            Path(lambda v: v.reactor.T, upper=345.0, name="wall temperature"),
            AtEnd(lambda v: v.reactor.c_C, upper=0.5, name="impurity"),
        ],
        grid=Grid(elements=12),
    )


def made(folder: File, solution: Any, **more: Any) -> tuple[Page, dict[str, Any], str]:
    file = report(solution, folder / "report.html", **more)
    assert file == folder / "report.html"
    source = file.read_text(encoding="utf-8")
    facts = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"), parse_constant=refused)
    return Page(source), facts, source


def refused(constant: str) -> float:
    raise AssertionError(f"{constant} is no JSON")


@pytest.fixture
def rich(tmp_path: File) -> tuple[Page, dict[str, Any], str]:
    data = tmp_path / "assay.csv"
    data.write_text("t,c\n0,1\n")
    return made(
        tmp_path,
        best_batch(),
        title="A <batch> & more",
        claims=[Claim("yield", 0.7, ">= 0.6", "mol/L"), Claim("lost", float("nan"), "1", ok=False, note="why")],
        settings={"pieces": 4, "limit": np.float64(345.0), "open": float("inf")},
        notes="Stop early.",
        sources={"reactor.k0_1": "measured in 2021"},
        data={"assay": data},
        sections={"Sensitivity": pd.DataFrame({"price": [1.5], "unit": ["mol/L"]}, index=pd.Index(["impurity"]))},
    )


def test_the_page_stands_alone_and_is_sound(rich: tuple[Page, dict[str, Any], str], tmp_path: File) -> None:
    page, _, source = rich
    assert not re.search(r"(https?:)?//", re.sub(r"base64,[A-Za-z0-9+/=]*", "", source))
    assert page.of("script") == page.of("link") == []
    assert "@import" not in source
    assert "url(" not in source
    assert all(image["alt"] and image["src"].startswith("data:image/") for image in page.of("img"))
    assert str(tmp_path) not in source
    assert str(File.home()) not in source


def test_the_page_is_accessible(rich: tuple[Page, dict[str, Any], str]) -> None:
    page, _, _ = rich
    assert page.of("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(header.get("scope") in ("col", "row") for header in page.of("th"))
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {link["href"] for link in page.of("a")} == {f"#{target}" for target in targets}
    assert all(math.get("alttext") for math in page.of("math") if math.get("display") == "block")


def test_its_formulas_are_well_formed(rich: tuple[Page, dict[str, Any], str]) -> None:
    _, _, source = rich
    formulas = re.findall(r"<math.*?</math>", source, flags=re.DOTALL)
    assert len(formulas) > 20
    for formula in formulas:
        ET.fromstring(formula)


def test_it_says_what_was_solved_and_found(rich: tuple[Page, dict[str, Any], str]) -> None:
    page, facts, _ = rich
    plan, run = best_batch(), rich[1]["runs"][0]
    assert facts["title"] == "A <batch> & more"
    assert "A <batch> & more" in page.text
    assert run["status"]["ok"]
    assert run["objective"]["value"] == plan.objective
    assert run["objective"]["sense"] == "maximize"
    assert run["objective"]["text"] == "c_B/(t + 1800 s)"
    assert run["objective"]["unit"] == "mol/L/s"
    assert run["duration"] == plan.duration
    assert run["phases"][0]["free"] == {"guess": 3600.0, "lower": 600.0, "upper": 7200.0, "at": ""}
    pieces = run["inputs"][0]["pieces"]
    assert [piece["value"] for piece in pieces] == [float(x) for x in plan.phases[0].shapes["reactor.T_j"][1]]
    assert pieces[-1]["to"] == pytest.approx(plan.duration["react"])
    limits = {limit["name"]: limit for limit in run["limits"]}
    assert limits["wall temperature"]["active"]
    assert limits["wall temperature"]["side"] == "upper"
    assert limits["wall temperature"]["value"] == pytest.approx(float(plan["reactor.T"].max()))
    assert not limits["impurity"]["active"]
    assert limits["impurity"]["value"] == pytest.approx(plan.at_end("reactor.c_C"))
    assert limits["impurity"]["room"] == pytest.approx(0.5 - plan.at_end("reactor.c_C"))
    for words in ("Stop early.", "yes, upper", "1 of 2 claims fail", "The certificate holds", "Trajectories"):
        assert words in page.text


def test_its_certificate_start_and_effort_are_those_of_the_solution(rich: tuple[Page, dict[str, Any], str]) -> None:
    run, plan = rich[1]["runs"][0], best_batch()
    assert plan.certificate is not None
    assert run["certificate"]["stationarity"] == plan.certificate.stationarity
    assert run["certificate"]["deviation"] == dict(plan.certificate.deviation)
    assert [rung["result"] for rung in run["start_report"]] == [rung.result for rung in plan.start_report]
    assert run["stats"]["variables"] == plan.stats["variables"]


def test_its_symbols_have_meaning_unit_value_bounds_and_source(rich: tuple[Page, dict[str, Any], str]) -> None:
    rows = {row["name"]: row for row in rich[1]["units"][0]["symbols"]}
    k = rows["reactor.k0_1"]
    assert (k["meaning"], k["unit"], k["value"], k["lower"], k["upper"], k["source"]) == (
        "frequency factor of A -> B", "1/s", 2e9, 0.0, None, "measured in 2021",
    )  # fmt: skip
    assert rows["reactor.T_j"]["decided"]
    assert rich[1]["units"][0]["assumptions"].startswith("perfect mixing")
    assert "Fogler" in rich[1]["units"][0]["source"]


def test_it_can_be_traced_to_its_origin(rich: tuple[Page, dict[str, Any], str], tmp_path: File) -> None:
    facts = rich[1]
    assert facts["versions"]["titer"]
    assert set(facts["hashes"]) == {
        *("declaration BatchReactor", "parameter values and starts", "trajectories of optimum", "data assay"),
    }
    assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in facts["hashes"].values())
    assert facts["claims"][1]["value"] == "nan"
    assert facts["settings"] == {"pieces": 4, "limit": 345.0, "open": "inf"}
    assert facts["sections"]["Sensitivity"] == {"columns": ["", "price", "unit"], "rows": [["impurity", 1.5, "mol/L"]]}
    _, other, _ = made(tmp_path, replace(best_batch(), source=None), plant=Flowsheet(BatchReactor("reactor", k0_1=3e9)))
    assert other["hashes"]["parameter values and starts"] != facts["hashes"]["parameter values and starts"]
    assert other["hashes"]["declaration BatchReactor"] == facts["hashes"]["declaration BatchReactor"]


def test_a_loaded_solution_leaves_its_equations_out_and_says_so(tmp_path: File) -> None:
    loaded = Solution.load(best_batch().save(tmp_path / "plan.npz"))
    page, facts, _ = made(tmp_path, loaded)
    assert facts["units"] == []
    assert "The equations are left out: this solution was loaded from a file" in page.text
    assert facts["runs"][0]["objective"]["value"] == best_batch().objective
    page, facts, _ = made(tmp_path, loaded, plant=Flowsheet(BatchReactor("reactor")))
    assert facts["units"][0]["class"] == "BatchReactor"
    assert "left out" not in page.text


class Tank(Unit):
    """A tank that is fed and drained."""

    time = "h"
    V = State("L", start=10.0, lower=0.0)
    S = State("g/L", start=5.0)
    F = Control("L/h", start=1.0, lower=0.0, upper=4.0)
    k = Parameter("1/h", 0.5, lower=0.1, upper=1.0)
    out = Outlet("L/h", S="g/L")

    def equations(self, v: Any) -> Equations:
        rate = {"V": -v.F, "S": -v.k * v.S}
        return Equations(rate=rate, port={"out": {"flow": v.F, "S": v.S}})


class Hold(Unit):
    """A tank that is filled."""

    time = "h"
    V = State("L", start=1.0)
    S = State("g/L", start=0.0)
    load = Inlet("L/h", S="g/L")

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"V": v.load.flow, "S": v.load.flow / v.V * (v.load.S - v.S)})


def recipe_of(tank: Tank, hold: Hold) -> Recipe:
    return Recipe(
        Phase(
            "react",
            duration=Free(2.0, 0.1, 9.0),
            until=Reaches(tank.S, 3.0, "falling"),
            idle=[hold],
            fixed={tank.F: 0.0},
        ),
        Phase("drain", duration=2.0, start={tank.S: lambda v: v.tank.S + 1.0}, routes=[(tank.out, hold.load)]),
    )


def test_a_simulation_shows_its_recipe_and_inputs(tmp_path: File) -> None:
    tank, hold = Tank("tank"), Hold("hold")
    plant = Flowsheet(tank, hold, time="h")
    run = simulate(plant, recipe_of(tank, hold), inputs={tank.F: lambda t: 1.0 + 0.1 * t})
    page, facts, _ = made(tmp_path, run)
    react, drain = facts["runs"][0]["phases"]
    assert react["idle"] == ["hold"]
    assert react["until"]["text"] == "tank.S falls to 3 g\u00a0L⁻¹"
    assert react["fixed"][0]["value"] == 0.0
    assert drain["routes"] == ["tank.out → hold.load"]
    assert drain["resets"][0]["text"] == "tank.S + 1 g/L"
    assert facts["runs"][0]["given"][0]["text"] == "1 + 0.1*t"
    assert facts["runs"][0]["objective"] is None
    assert "A simulation: nothing was optimized." in page.text
    assert [unit["name"] for unit in facts["units"]] == ["tank", "hold"]


def test_an_optimum_shows_decided_numbers_and_linear_pieces(tmp_path: File) -> None:
    tank, hold = Tank("tank"), Hold("hold")
    plan = optimize(
        Flowsheet(tank, hold, time="h"),
        recipe_of(tank, hold),
        free={tank.F: PiecewiseLinear(3), tank.k: Free(0.5, 0.2, 2.0)},
        minimize=AtEnd(lambda v: v.tank.S) + 0.01 * Integral(lambda v: (v.tank.F - 2.0) ** 2),
        grid=Grid(elements=6),
    )
    page, facts, _ = made(tmp_path, {"best": plan, "again": plan})
    run = facts["runs"][0]
    assert run["objective"]["text"] == "at_end(tank.S) + 0.01*integral((tank.F - 2 L/h)^2)"
    assert [(entry["phase"], entry["constant"]) for entry in run["inputs"]] == [("drain", False)]  # held in the other
    k = run["numbers"][0]
    assert (k["name"], k["guess"], k["lower"], k["upper"], k["at"]) == ("tank.k", 0.5, 0.2, 1.0, "upper")
    assert run["limits"] == []
    assert len(facts["units"]) == 2  # printed once for both
    assert "Trajectories of again" in page.text


def test_limits_of_a_plan_for_several_scenarios_say_whose_values_they_are(tmp_path: File) -> None:
    tank, hold = Tank("tank"), Hold("hold")
    wanted: Any = {
        "free": {tank.F: PiecewiseConstant(2)},
        "minimize": AtEnd(lambda v: v.tank.S),
        "subject_to": [AtEnd(lambda v: v.tank.S, lower=0.0, name="left")],
        "grid": Grid(elements=4),
    }
    plant, recipe = Flowsheet(tank, hold, time="h"), recipe_of(tank, hold)
    several, alone = (optimize(plant, recipe, scenarios=s, **wanted) for s in ([{tank.k: 0.4}, {tank.k: 0.6}], None))
    said = "Of several scenarios, values are of the one whose trajectories are shown"
    assert said in made(tmp_path, several)[0].text
    assert said not in made(tmp_path, alone)[0].text


def test_a_failed_solve_is_not_called_an_optimum(tmp_path: File) -> None:
    reactor = BatchReactor("reactor")
    failed = optimize(
        Flowsheet(reactor),
        Recipe(Phase("react", duration=3600.0)),
        free={reactor.T_j: PiecewiseConstant(2)},
        maximize=AtEnd(lambda v: v.reactor.c_B),
        subject_to=[AtEnd(lambda v: v.reactor.c_B, lower=0.99, name="too much")],
        grid=Grid(elements=4),
        strict=False,
    )
    page, facts, _ = made(tmp_path, failed)
    assert facts["title"] == "Unfinished optimum of reactor"
    assert not facts["runs"][0]["status"]["ok"]
    assert "The certificate does not hold" in page.text
    assert "Limits where the solver stopped" in page.text
    assert "at the optimum" not in page.text
    assert {"class": "status fails"} in page.of("div")


def test_numbers_that_are_not_finite_are_written(tmp_path: File) -> None:
    plan = best_batch()
    assert plan.certificate is not None
    broken = replace(plan.certificate, deviation={"a": float("nan"), "b": 1.0}, stationarity=float("inf"), ok=False)
    _, facts, _ = made(tmp_path, replace(plan, certificate=broken))
    assert facts["runs"][0]["certificate"]["deviation"] == {"a": "nan", "b": 1.0}
    assert facts["runs"][0]["certificate"]["stationarity"] == "inf"


def test_equations_that_are_no_formulas_are_left_out_with_the_reason(tmp_path: File) -> None:
    class Kinked(Tank):
        """Looks its rate up in a table of numbers."""

        def equations(self, v: Any) -> Equations:
            if not hasattr(v.F.value, "is_constant"):  # only one kind of symbol will do
                raise TypeError("no table")
            return super().equations(v)

    tank = Kinked("tank")
    run = simulate(Flowsheet(tank), Recipe(Phase("run", duration=1.0)), inputs={tank.F: 1.0})
    page, facts, _ = made(tmp_path, run)
    assert facts["units"][0]["groups"] == []
    assert "The equations cannot be written as formulas" in page.text
    assert facts["units"][0]["symbols"]


def test_pictures_are_figures_functions_or_files(tmp_path: File) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.0, 1.0))
    ax = figure.subplots()
    ax.plot([0.0, 1.0], label="x & y")
    ax.set(xlabel="time [h]", ylabel="c <A>")
    ax.legend()
    figure.savefig(tmp_path / "p.png")
    given = {"first": figure, "second": lambda: figure, "third": tmp_path / "p.png"}
    page, facts, _ = made(tmp_path, None, figures=given)
    assert [p["caption"] for p in facts["pictures"]] == ["first", "second", "third"]
    assert page.of("img")[0]["alt"] == "c <A> over time [h] (lines: x & y)"
    assert page.of("img")[2]["src"].startswith("data:image/png;base64,")


def test_a_report_is_replaced_whole_and_leaves_nothing_else(tmp_path: File) -> None:
    made(tmp_path / "new", None, notes=["first"])
    page, _, _ = made(tmp_path / "new", None, notes=["second"])
    assert "second" in page.text
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize(
    ("path", "more", "message"),
    [
        ("", {}, "is a folder"),
        ("report.pdf", {}, "report.pdf ends in .pdf; a report is an HTML file"),
        ("report", {}, "report ends in nothing"),
        ("file.txt/report.html", {}, "file.txt is a file, not a folder"),
        ("r.html", {"figures": {"bad": 3}}, "figure 'bad' is int"),
        ("r.html", {"figures": {"bad": "x.gif"}}, "x.gif is no PNG, JPEG or SVG file"),
        ("r.html", {"claims": [3]}, "a claim needs name, value"),
        ("r.html", {"sources": {"reactor.k0_3": "x"}}, "sources: name 'reactor.k0_3' is unknown. Did you mean"),
        ("r.html", {"data": {"d": File("nowhere.csv")}}, "data 'd': there is no file nowhere.csv"),
        ("r.html", {"plant": 3}, "plant is a Flowsheet"),
    ],
)
def test_what_cannot_be_written_is_refused_at_the_door(tmp_path: File, path: str, more: Any, message: str) -> None:
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(SpecificationError, match=re.escape(message)):
        report(best_batch(), tmp_path / path, **more)
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("solution", [3, {"run": "x"}])
def test_what_is_no_solution_is_refused(tmp_path: File, solution: Any) -> None:
    with pytest.raises(SpecificationError, match="expected a Solution"):
        report(solution, tmp_path / "report.html")


@pytest.mark.slow
def test_a_browser_opens_and_prints_it_without_a_complaint(tmp_path: File) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium or chrome is installed here")
    made(tmp_path, best_batch())
    quiet = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"),
        *("--enable-logging=stderr", f"--print-to-pdf={tmp_path / 'report.pdf'}"),
    ]
    done = subprocess.run(
        [browser, *quiet, (tmp_path / "report.html").as_uri()], capture_output=True, text=True, timeout=120
    )
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
