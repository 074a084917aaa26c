"""What does a run leave behind: when it holds, when a claim fails, when it raises?"""

from __future__ import annotations

import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from titer.cases import runner
from titer.cases.case import Case, Claim, Outcome, Progress, case
from titer.cases.record import atomically
from titer.flowsheets import Flowsheet, Phase, Recipe, simulate
from titer.flowsheets.units import BatchReactor
from titer.numerics.errors import SolveError, SpecificationError

PNG = b"\x89PNG\r\n\x1a\n"


@case("toy", title="A toy")
def toy(progress: Progress, *, quick: bool = False, value: float = 2.0, trouble: str = "") -> Outcome:
    """Claim that a value is two."""

    def drawing() -> Figure:
        if trouble == "figure":
            raise RuntimeError("no ink")
        return Figure(figsize=(2.0, 1.0))

    progress("column.c[3,product] [bold]is no markup[/bold]")
    if trouble == "solve":
        raise SolveError("the reactor balance cannot be met")
    if trouble == "interrupt":
        raise KeyboardInterrupt
    return Outcome(
        (
            Claim("two", value, 2.0, 0.1, unit="mol/L", note="by hand"),
            Claim("small", 0.1, 1.0, kind="at most"),
        ),
        facts={"quick": quick},
        figures={"ready": Figure(figsize=(2.0, 1.0)), "drawn_later": drawing},
        notes=("The stop time matters more than the profile.",),
    )


def ran(chosen: Case, folder: Path, **settings: Any) -> tuple[bool, dict[str, Any], str]:
    screen = io.StringIO()
    holds = runner.run(chosen, settings, folder, Console(file=screen, width=120, markup=False))
    return holds, read(folder), screen.getvalue()


def read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return content


def test_a_run_that_holds_writes_results_and_pictures(tmp_path: Path) -> None:
    holds, results, screen = ran(toy, tmp_path / "new" / "folder", quick=True)
    assert holds
    assert results["state"] == "holds"
    assert (results["case"], results["title"]) == ("toy", "A toy")
    assert results["settings"] == {"quick": True, "value": 2.0, "trouble": ""}
    assert results["claims"][0] == {
        "name": "two",
        "value": 2.0,
        "expected": 2.0,
        "tolerance": 0.1,
        "kind": "equal",
        "unit": "mol/L",
        "note": "by hand",
        "ok": True,
    }
    assert results["facts"] == {"quick": True}
    assert results["notes"] == ["The stop time matters more than the profile."]
    assert {"titer", "casadi", "numpy", "pandas", "pyomo", "python"} <= set(results["versions"])
    assert results["seconds"] > 0
    assert datetime.fromisoformat(results["date"]).tzinfo is not None
    assert results["pictures"] == ["ready.png", "drawn_later.png"]
    written = sorted(file.name for file in (tmp_path / "new" / "folder").iterdir())
    assert written == ["drawn_later.png", "ready.png", "report.html", "report.json", "results.json"]
    assert results["report"] == "report.html"
    assert f"report: {tmp_path / 'new' / 'folder' / 'report.html'}" in screen
    assert (tmp_path / "new" / "folder" / "ready.png").read_bytes().startswith(PNG)
    for text in (
        "column.c[3,product] [bold]is no markup[/bold]",
        "2 +- 0.1",
        "<= 1",
        "mol/L",
        "The stop time",
    ):
        assert text in screen


def test_the_report_of_a_case_without_a_solution_holds_claims_facts_and_pictures(tmp_path: Path) -> None:
    ran(toy, tmp_path, value=3.0)
    facts = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert [claim["holds"] for claim in facts["claims"]] == [False, True]
    assert facts["sections"]["Facts"] == {"mapping": {"quick": False}}
    assert facts["settings"] == {"quick": False, "value": 3.0, "trouble": ""}
    assert [picture["caption"] for picture in facts["pictures"]] == ["Ready", "Drawn later"]
    assert "1 of 2 claims fail:" in page
    assert page.count("<img") == 2
    assert str(tmp_path) not in page


def test_the_report_of_a_case_with_a_solution_holds_its_equations(tmp_path: Path) -> None:
    @case("decay")
    def decay(progress: Progress, *, quick: bool = False) -> Outcome:
        """Let a reactor run."""
        reactor = BatchReactor("reactor")
        recipe = Recipe(Phase("react", duration=600.0))
        run = simulate(Flowsheet(reactor), recipe, inputs={reactor.T_j: 334.0})
        left = Claim("A is left", run.at_end(reactor.c_A), 0.0, kind="at least")
        return Outcome((left,), solutions={"run": run}, sources={reactor.k0_1: "a demonstration"})

    ran(decay, tmp_path)
    facts = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert facts["units"][0]["groups"][0]["equations"][0]["text"] == "d(c_A)/dt = -r_1"
    assert "a demonstration" in {row["source"] for row in facts["units"][0]["symbols"]}


def test_a_failed_claim_is_told_and_recorded(tmp_path: Path) -> None:
    holds, results, screen = ran(toy, tmp_path, value=3.0)
    assert not holds
    assert results["state"] == "fails"
    assert [claim["ok"] for claim in results["claims"]] == [False, True]
    assert "NO" in screen


def test_a_value_that_is_not_a_number_is_still_valid_json(tmp_path: Path) -> None:
    @case("lost")
    def lost(progress: Progress, *, quick: bool = False) -> Outcome:
        """Claim a value that was lost."""
        return Outcome((Claim("lost", float("nan"), 1.0),))

    holds, results, _ = ran(lost, tmp_path)
    assert not holds
    assert results["claims"][0]["value"] == "nan"


def test_a_case_that_raises_leaves_what_was_known(tmp_path: Path) -> None:
    with pytest.raises(SolveError):
        ran(toy, tmp_path, trouble="solve")
    results = read(tmp_path)
    assert results["state"] == "error"
    assert results["error"] == {"type": "SolveError", "message": "the reactor balance cannot be met"}
    assert results["settings"]["trouble"] == "solve"
    assert [line["text"] for line in results["progress"]] == ["column.c[3,product] [bold]is no markup[/bold]"]
    assert results["claims"] == []


def test_an_interrupted_case_leaves_what_was_known(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ran(toy, tmp_path, trouble="interrupt")
    assert read(tmp_path)["error"]["type"] == "KeyboardInterrupt"


def test_claims_outlive_a_figure_that_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no ink"):
        ran(toy, tmp_path, trouble="figure")
    results = read(tmp_path)
    assert results["state"] == "error"
    assert [claim["ok"] for claim in results["claims"]] == [True, True]
    assert results["pictures"] == ["ready.png"]


def test_settings_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match=r"'vaule' is unknown\. Did you mean 'value'"):
        ran(toy, tmp_path / "folder", vaule=1.0)
    assert not (tmp_path / "folder").exists()


def test_the_folder_is_results_and_the_name_of_the_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert runner.run(toy, console=Console(file=io.StringIO()))
    assert (tmp_path / "results" / "toy" / "results.json").exists()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "results.json"
    target.write_text("old")

    def half(file: Path) -> None:
        file.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        atomically(target, half)
    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
