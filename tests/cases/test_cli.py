"""What does the command line answer, and with which exit code?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from titer.cases import catalog, doctor
from titer.cases.case import Claim, Outcome, Progress, case
from titer.cases.cli import main
from titer.numerics.errors import SolveError


@case("toy")
def toy(
    progress: Progress, *, quick: bool = False, elements: int = 40, value: float = 2.0, trouble: str = ""
) -> Outcome:
    """Claim that a value is two."""
    if trouble == "solve":
        raise SolveError("reactor.T balance @ react, t = 742 s:\n  cannot be met")
    if trouble == "input":
        raise KeyError("S")
    if trouble == "interrupt":
        raise KeyboardInterrupt
    return Outcome((Claim("two", value, 2.0, 0.1),), facts={"quick": quick, "elements": elements})


@pytest.fixture(autouse=True)
def _catalog(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put a toy and a case whose package is missing in the place of the real ones; run in an empty folder."""
    module = ModuleType("toy_module")
    module.toy = toy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_module", module)
    monkeypatch.setattr(catalog, "CATALOG", {"toy": "toy_module", "far": "a_package_that_is_not_there.far"})
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def titer(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the command line: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as leaving:
            main(arguments)
        captured = capsys.readouterr()
        return leaving.value.code or 0, captured.out, captured.err

    return run


def results(folder: str = "results/toy") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(folder, "results.json").read_text(encoding="utf-8"))
    return content


def test_the_version_and_the_help_are_answered(titer: Any) -> None:
    code, out, _ = titer("--version")
    assert code == 0
    assert out.startswith("titer 0.")
    for arguments in ([], ["--help"], ["run", "--help"]):
        code, out, _ = titer(*arguments)
        assert code == 0
        assert "Usage" in out


def test_cases_are_listed_with_summary_and_settings_even_when_one_is_broken(titer: Any) -> None:
    code, out, _ = titer("cases")
    assert code == 0
    for text in (
        "toy",
        "Claim that a value is two.",
        "elements=40",
        "quick=False",
        "far",
        "cannot be imported",
    ):
        assert text in out


def test_a_case_that_holds_leaves_with_zero(titer: Any) -> None:
    code, out, err = titer("run", "toy")
    assert (code, err) == (0, "")
    assert "two" in out
    assert results()["state"] == "holds"
    assert results()["settings"] == {"quick": False, "elements": 40, "value": 2.0, "trouble": ""}


def test_options_reach_the_case(titer: Any) -> None:
    code, _, _ = titer("run", "toy", "--quick", "--set", "elements=7", "--set", "value=2.05", "--out", "a/b")
    assert code == 0
    assert results("a/b")["facts"] == {"quick": True, "elements": 7}
    assert results("a/b")["claims"][0]["value"] == 2.05


def test_a_failed_claim_leaves_with_one(titer: Any) -> None:
    code, _, _ = titer("run", "toy", "--set", "value=3")
    assert code == 1
    assert results()["state"] == "fails"


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        ("solve", "titer: toy stopped: SolveError: reactor.T balance @ react, t = 742 s"),
        ("input", "KeyError: 'S'"),
    ],
)
def test_a_case_that_raises_leaves_with_one_and_a_message(titer: Any, trouble: str, text: str) -> None:
    code, _, err = titer("run", "toy", "--set", f"trouble={trouble}")
    assert code == 1
    assert text in err
    assert "Traceback" not in err
    assert results()["state"] == "error"


def test_a_case_that_cannot_be_imported_leaves_with_one(titer: Any) -> None:
    code, _, err = titer("run", "far")
    assert code == 1
    assert "titer: far stopped: ModuleNotFoundError: No module named 'a_package_that_is_not_there'" in err


def test_the_traceback_is_shown_on_demand(titer: Any) -> None:
    code, _, err = titer("run", "toy", "--set", "trouble=solve", "--traceback")
    assert code == 1
    assert "Traceback" in err


def test_an_interrupt_leaves_with_130(titer: Any) -> None:
    code, _, _ = titer("run", "toy", "--set", "trouble=interrupt")
    assert code == 130
    assert results()["error"]["type"] == "KeyboardInterrupt"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run tpy", "case 'tpy' is unknown. Did you mean 'toy'? known: far, toy"),
        ("run toy --set element=3", "'element' is unknown. Did you mean 'elements'?"),
        ("run toy --set element=3", "known: elements, quick, trouble, value"),
        ("run toy --set elements=many", "setting elements expects a whole number, got 'many'."),
        ("run toy --set value=nan", "setting value expects a finite number, got 'nan'."),
        ("run toy --set quick=perhaps", "setting quick expects true or false, got 'perhaps'."),
        ("run toy --set elements", "--set expects name=value, got 'elements'."),
        ("run toy --set =3", "--set expects name=value, got '=3'."),
        ("run toy --set value=1 --set value=2", "setting value is given twice."),
        ("run toy --quick --set quick=no", "setting quick is given twice."),
        ("run toy --out taken", "--out taken is a file; give a folder."),
        ("run toy --out taken/below", "--out taken/below cannot be made a folder"),
        ("run", "Missing argument 'CASE'."),
        ("run toy --colour", "No such option: --colour"),
        ("run toy two", "unexpected extra argument"),
        ("rnu toy", "No such command 'rnu'."),
    ],
)
def test_bad_usage_leaves_with_two_and_one_clear_line(titer: Any, arguments: str, message: str) -> None:
    Path("taken").write_text("a file")
    code, out, err = titer(*arguments.split())
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("titer: ")
    assert message in err
    assert not Path("results").exists()


def test_every_solver_that_titer_uses_loads_and_solves() -> None:
    for solver, attempt in doctor.SOLVERS.items():
        assert attempt() == "loads and solves", solver


def test_the_self_test_comes_out_right() -> None:
    assert doctor.self_test() == "a small optimum comes out right: 0.568387"


def test_the_doctor_reports_what_is_broken_and_goes_on(titer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> str:
        raise RuntimeError("plugin not found")

    monkeypatch.setattr(doctor, "SOLVERS", {"madnlp": absent, "idas": doctor.SOLVERS["idas"]})
    monkeypatch.setattr(doctor, "self_test", lambda: "right")
    code, out, _ = titer("doctor")
    assert code == 1
    assert "FAIL  madnlp     RuntimeError: plugin not found" in out
    assert "ok    idas" in out
    assert "ok    self-test  right" in out


def test_the_doctor_leaves_with_zero_when_all_is_well(titer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "self_test", lambda: "right")
    code, out, _ = titer("doctor")
    assert code == 0
    assert "FAIL" not in out


def test_the_reference_of_the_self_test_follows_from_the_formulas() -> None:
    from math import exp

    c_A, c_B, duration = 1.0, 0.0, 0.2
    for k in doctor.BEST_RATES:
        consumption = k + 0.5 * k**2
        c_B += c_A * k / consumption * (1.0 - exp(-consumption * duration))
        c_A *= exp(-consumption * duration)
    assert c_B == pytest.approx(doctor.BEST_OF_FIVE, abs=1e-9)
