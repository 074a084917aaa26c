"""Do the folders import only leftwards, are unit files free of engines, is the library silent?"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("numerics", "flowsheets", "estimation", "control", "analysis", "cases")
FILES = sorted(file for layer in LAYERS for file in (ROOT / layer).rglob("*.py"))
ENGINES = {"casadi", "pyomo"}


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def imported(module: ast.Module, package: str) -> Iterator[str]:
    """Yield the full name of every module the file imports, anywhere in it; `package` is where it lies."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inside = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*inside, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def package_of(file: Path) -> str:
    return ".".join(["titer", *file.relative_to(ROOT).parent.parts])


def layers_above(file: Path) -> set[str]:
    own = LAYERS.index(file.relative_to(ROOT).parts[0])
    return set(LAYERS[own + 1 :])


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_file_imports_only_its_own_layer_and_those_to_the_left(file: Path) -> None:
    parts = [name.split(".") for name in imported(tree(file), package_of(file))]
    reached = {part[1] for part in parts if part[0] == "titer" and len(part) > 1}
    assert reached & layers_above(file) == set()


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_file_imports_the_project_as_titer(file: Path) -> None:
    tops = {name.split(".")[0] for name in imported(tree(file), package_of(file))}
    assert tops & set(LAYERS) == set(), "write `from titer.numerics import ...`: bare folder names belong to others"


@pytest.mark.parametrize("file", sorted((ROOT / "flowsheets" / "units").rglob("*.py")), ids=name_of)
def test_a_unit_file_imports_no_engine(file: Path) -> None:
    tops = {name.split(".")[0] for name in imported(tree(file), package_of(file))}
    assert tops & ENGINES == set(), "a unit is written in NumPy on symbols; each engine reads it from outside"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_the_library_does_not_print(file: Path) -> None:
    calls = [node for node in ast.walk(tree(file)) if isinstance(node, ast.Call)]
    lines = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert lines == []


def test_the_check_sees_every_form_of_import() -> None:
    source = "import titer.cases.cli\ndef f():\n    from ..control import optimize\n    from . import dae\n"
    assert {"titer.cases.cli", "titer.control.optimize", "titer.numerics.dae"} <= set(
        imported(ast.parse(source), "titer.numerics")
    )


def test_every_package_is_installed_and_typed() -> None:
    import tomllib

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    found = {package_of(file) for file in FILES}
    assert found == set(declared["packages"]) == set(declared["package-dir"])
    assert [name for name, folder in declared["package-dir"].items() if not (ROOT / folder / "py.typed").exists()] == []
