"""How do Pyomo's tools that ask for the solver `ipopt` by name get the one from CasADi's wheel?

    with bundled_ipopt():
        SolverFactory("ipopt").solve(model)      # and "ipopt_v2", parmest, Pyomo.DoE, IDAES' initializers

They run an executable: here a launcher of `titer.numerics.ampl.executable`, which costs about half a second a solve;
`SolverFactory("titer.ipopt")` costs none where the solver may be chosen.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyomo.common import Executable

MODULE = "titer.numerics.ampl.executable"


@contextmanager
def bundled_ipopt() -> Iterator[Path]:
    """Make `SolverFactory("ipopt")` work from wheels; gives the path of the executable.

    Inside the context the executable comes first on PATH, for child processes too; after it, whatever answered to
    `ipopt` before answers again. Contexts may be nested, but not entered in several threads at once.
    """
    registered = Executable("ipopt")
    before = registered._path_override
    with tempfile.TemporaryDirectory(prefix="titer-") as folder:
        path = _launcher(Path(folder))
        os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", "")])
        registered.set_path(str(path))
        try:
            yield path
        finally:
            _off_path(folder)
            registered._path_override = before
            registered.rehash()


def _launcher(folder: Path) -> Path:
    """A file `ipopt` that runs the module in this interpreter."""
    if os.name == "nt":
        console = Path(sysconfig.get_path("scripts")) / "titer-ipopt.exe"
        return Path(shutil.copy(console, folder / "ipopt.exe"))
    path = folder / "ipopt"
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m {MODULE} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def _off_path(folder: str) -> None:
    """Take one folder off PATH; what others added meanwhile stays."""
    parts = os.environ.get("PATH", "").split(os.pathsep)
    if folder in parts:
        parts.remove(folder)
    os.environ["PATH"] = os.pathsep.join(parts)
