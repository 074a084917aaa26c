"""Do the README, the continuous integration and the catalog say the same?"""

from __future__ import annotations

import ast
from pathlib import Path

from titer.cases.catalog import CATALOG

ROOT = Path(__file__).parents[1]
FIRST = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/titer run batch_reactor"
SECOND = 'python3 -m venv .venv && .venv/bin/pip install -q -e ".[dev]" && .venv/bin/pytest -n 2'


def lines(path: str) -> list[str]:
    return [line.strip() for line in (ROOT / path).read_text(encoding="utf-8").splitlines()]


def test_the_readme_begins_with_the_two_commands_that_start_from_nothing() -> None:
    commands = [line for line in lines("README.md") if line.startswith("python3 -m venv")]
    assert commands[:2] == [FIRST, SECOND]


def test_continuous_integration_runs_the_readmes_second_command() -> None:
    assert SECOND in lines(".ci/run")


def test_the_catalog_lists_exactly_the_modules_that_hold_a_case() -> None:
    holders = {f"titer.cases.{file.stem}" for file in (ROOT / "cases").glob("*.py") if _holds_a_case(file)}
    assert holders == set(CATALOG.values())


def test_every_case_is_found_under_its_name() -> None:
    from titer.cases.catalog import find

    assert [find(name).name for name in CATALOG] == list(CATALOG)


def _holds_a_case(file: Path) -> bool:
    functions = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
    decorators = [d.func for f in functions for d in f.decorator_list if isinstance(d, ast.Call)]
    return any(isinstance(d, ast.Name) and d.id == "case" for d in decorators)
