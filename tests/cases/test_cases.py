"""Do the cases hold, and does what the README shows still run and print what it says?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from titer.cases.catalog import CATALOG, find
from titer.numerics.errors import DeclarationError

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


# Their quick runs take 10 to 40 s each; `.ci/run` makes them by the command line.
LONG = {
    "batch_elution",
    "cho_fedbatch",
    "citrate_feeding",
    "citrate_fit",
    "citrate_nmpc",
    "hybrid_reactor",
    "pichia_perfusion",
    "pulse_analysis",
    "robust_feeding",
    "semibatch_safety_nmpc",
    "sma_gradient",
}


def test_cases_that_are_left_to_the_command_line_exist() -> None:
    assert set(CATALOG) >= LONG


@pytest.mark.parametrize("name", [name for name in CATALOG if name not in LONG])
def test_a_quick_run_keeps_every_claim_and_draws_every_picture(name: str) -> None:
    said: list[str] = []
    outcome = find(name)(said.append, quick=True)
    assert [f"{c.name}: {c.value}, expected {c.wanted}" for c in outcome.claims if not c.ok] == []
    assert said
    assert outcome.notes
    for drawing in outcome.figures.values():
        figure = drawing() if callable(drawing) else drawing
        assert isinstance(figure, Figure)
        assert all(ax.get_xlabel() or ax.get_ylabel() for ax in figure.axes)
    for plan in outcome.solutions.values():
        assert plan.certificate is not None
        assert plan.certificate.ok


def test_one_start_ends_in_the_published_trap_and_the_case_says_so() -> None:
    outcome = find("fedbatch_multistart")(quick=True, starts=1)
    failed = {claim.name for claim in outcome.claims if not claim.ok}
    assert failed == {
        "product of the best feed",
        "product of the best feed, replayed",
        "many starts: the plan says that they disagree (1: yes)",
    }


def test_a_limit_too_high_to_protect_fails_the_claims_of_the_exothermic_batch() -> None:
    outcome = find("exotherm")(quick=True, safe_temperature_K=385.0)
    failed = {claim.name for claim in outcome.claims if not claim.ok}
    assert "safe: hottest within 12 h of any failure" in failed


def test_the_readmes_scripts_run_and_print_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "readme"}
    for script in SCRIPTS:
        exec(script, names)
    said = capsys.readouterr().out.splitlines()
    first, best, certificate, *_ = said
    assert f"{first}\n{best}\n{certificate}\n" in README
    loops = [line for line in said if line.startswith(("planned feed:", "closed loop:", "yield believed"))]
    assert "\n".join(loops) in README
    assert len(loops) == 3
    assert certificate == "certificate: holds"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["closed_loop.png", "fed_batch.npz", "fed_batch.png"]


def test_a_culture_from_parts_takes_at_most_25_lines() -> None:
    block = re.search(r"^culture = FedBatch\(\n.*?^\)", README, flags=re.DOTALL | re.MULTILINE)
    assert block is not None
    assert block[0].count("\n") + 1 <= 25


def test_the_readmes_error_is_what_its_mistake_gives() -> None:
    right, wrong = " / (v.K_S + v.S) * v.X)", " / (v.K_S + v.S))"
    assert right in SCRIPTS[0]
    with pytest.raises(DeclarationError) as error:
        exec(SCRIPTS[0].replace(right, wrong), {"__name__": "readme"})
    assert "\n".join(str(error.value).splitlines()[1:]) in README  # the first line quotes the script
