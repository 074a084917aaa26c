"""Is importing titer light? Heavy packages are loaded by what uses them, when it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("pandas", "pyomo", "pint", "matplotlib", "sklearn", "idaes")


@pytest.mark.parametrize("module", ["titer.numerics", "titer.flowsheets", "titer.control", "titer.cases.cli"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    source = f"import sys, {module}; sys.stdout.write(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    finished = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["cases"]])
def test_asking_the_command_line_loads_nothing_heavy(arguments: list[str]) -> None:
    source = (
        "import sys\nfrom titer.cases.cli import main\n"
        f"try:\n    main({arguments!r})\n"
        "except SystemExit as leaving:\n    code = leaving.code\n"
        f"sys.stderr.write(' '.join(m for m in {HEAVY!r} if m in sys.modules))\nsys.exit(code)"
    )
    finished = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.split() == []
