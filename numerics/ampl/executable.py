"""How does titer answer as an `ipopt` executable? `titer-ipopt stub -AMPL tol=1e-6` writes stub.sol.

    titer-ipopt -v                          the version
    titer-ipopt stub[.nl] [-AMPL] [options] solves; options are IPOPT's, name=value

Options also come from the environment variable `ipopt_options`, from a file named by `option_file_name`, and from
`ipopt.opt` in the working folder; the command line wins. A solver of HSL that cannot be loaded becomes MUMPS, and the
log says so. Names in stub.col and stub.row, where there are such files, are used in messages.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from titer.numerics.ampl.options import ipopt_options, with_loadable_solver
from titer.numerics.ampl.solving import Answer, End, solve
from titer.numerics.ampl.stub import COLUMN, OBJECTIVE, ROW, Stub, read
from titer.numerics.ampl.version import ipopt_version
from titer.numerics.errors import SpecificationError, TiterError
from titer.numerics.nlp import Array


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer a command line; 0 where a .sol file (or the version) was written."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # who reads the log through a pipe wants it now
    name = f"Ipopt {'.'.join(map(str, ipopt_version()))}"
    if not words or words[0] in ("-v", "--version", "-h", "--help", "-?", "-="):
        _say(f"{name} ({platform.system()} {platform.machine()}), inside CasADi, by titer")
        if words[:1] not in (["-v"], ["--version"]):
            _say((__doc__ or "").strip())
        return 0
    try:
        return _solve(name, Path(words[0]), [word for word in words[1:] if word != "-AMPL"])
    except TiterError as error:
        _say(f"{name}: {error}")
        return 1


def _solve(name: str, path: Path, words: Sequence[str]) -> int:
    base = path.with_suffix("") if path.suffix == ".nl" else path
    given = _given(words)
    _say(f"{name}: {' '.join(words)}\n")
    options, note = with_loadable_solver({"print_level": 5, "sb": "no"} | ipopt_options(given))
    if note:
        _say(f"{note}\n")
    stub = read(base.parent / f"{base.name}.nl")
    columns, rows, objective = _scaling(stub, options)
    answer = solve(
        stub.scaled(columns, rows, objective), options, _multipliers(stub, (columns, rows, objective), options)
    )
    if answer.end is End.BAD_OPTION:
        return 1
    message = answer.end.message
    if answer.end is End.NOT_FINITE:
        message = f"{message} {_undefined(stub, base, answer.x / columns)}".strip()
    text = solution(f" \n{name}: {message}\n", stub, _unscaled(answer, columns, rows, objective), answer.end.code)
    (base.parent / f"{base.name}.sol").write_text(text, encoding="utf-8")
    _say(f"\n{name}: {message}")
    return 0


def solution(message: str, stub: Stub, multiplied: tuple[Array, Array, Array], code: int) -> str:
    """The text of a .sol file: message, duals, values, and the bounds' multipliers as suffixes, in AMPL's signs.

    `multiplied`: columns, multipliers of rows and of bounds, of the minimized Lagrangian, unscaled.
    """
    x, rows, bounds = multiplied
    m, n = len(rows), len(x)
    lines = [message, "Options", "3", "1", "1", "0", str(m), str(m), str(n), str(n)]
    lines += [repr(v) for v in (-stub.sense * rows + 0.0).tolist()]
    lines += [repr(v) for v in x.tolist()]
    lines += [f"objno 0 {code}"]
    upper, lower = -stub.sense * np.maximum(bounds, 0.0) + 0.0, stub.sense * np.maximum(-bounds, 0.0) + 0.0
    for suffix, values in (("ipopt_zU_out", upper), ("ipopt_zL_out", lower)):
        lines += [f"suffix 4 {n} {len(suffix) + 1} 0 0", suffix]
        lines += [f"{i} {v!r}" for i, v in enumerate(values.tolist())]
    return "\n".join([*lines, ""])


def _given(words: Sequence[str]) -> dict[str, Any]:
    """Options by name, of the environment, a file, and the command line."""
    told = dict(_pair(word) for word in shlex.split(os.environ.get("ipopt_options", "")))  # noqa: SIM112  AMPL's name
    told |= dict(_pair(word) for word in words)
    named = told.pop("option_file_name", None)
    in_file = {}
    if named:
        for line in _lines(Path(str(named).strip("\"'"))):
            parts = line.split("#")[0].split(maxsplit=1)
            if len(parts) == 2:
                in_file[parts[0]] = parts[1].strip()
    return in_file | told


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecificationError(f"option_file_name: {file} cannot be read: {error}.") from error


def _pair(word: str) -> tuple[str, str]:
    name, _, value = word.lstrip("-").partition("=")
    return name, value


def _scaling(stub: Stub, options: dict[str, Any]) -> tuple[Array, Array, float]:
    """The factors of the suffix scaling_factor, where IPOPT is told to use them; they are then in the problem."""
    n, m = len(stub.lower), len(stub.row_lower)
    if options.get("nlp_scaling_method") != "user-scaling":
        return np.ones(n), np.ones(m), 1.0
    options["nlp_scaling_method"] = "none"
    columns, rows, objective = (
        _suffix(stub, kind, "scaling_factor", size, 1.0) for kind, size in ((COLUMN, n), (ROW, m), (OBJECTIVE, 1))
    )
    return np.where(columns > 0.0, columns, 1.0), np.where(rows > 0.0, rows, 1.0), float(objective[0]) or 1.0


def _multipliers(
    stub: Stub, scaling: tuple[Array, Array, float], options: Mapping[str, Any]
) -> tuple[Array, Array] | None:
    """Multipliers of bounds and rows to start from, where IPOPT is told to."""
    if options.get("warm_start_init_point") != "yes":
        return None
    columns, rows, objective = scaling
    n, m = len(columns), len(rows)
    lower = stub.sense * _suffix(stub, COLUMN, "ipopt_zL_in", n, 0.0)
    upper = -stub.sense * _suffix(stub, COLUMN, "ipopt_zU_in", n, 0.0)
    duals = np.zeros(m) if stub.multipliers is None else -stub.sense * stub.multipliers
    return (upper - lower) * objective / columns, duals * objective / rows


def _suffix(stub: Stub, kind: int, name: str, size: int, missing: float) -> Array:
    values = np.full(size, missing)
    for i, value in stub.suffixes.get((kind, name), {}).items():
        values[i] = value
    return values


def _unscaled(answer: Answer, columns: Array, rows: Array, objective: float) -> tuple[Array, Array, Array]:
    return answer.x / columns, answer.rows * rows / objective, answer.bounds * columns / objective


def _undefined(stub: Stub, base: Path, x: Array) -> str:
    """Where the numbers stop being finite, by the names of files beside the stub or by numbers."""
    from titer.numerics.ampl.undefined import undefined

    columns = _names(base, ".col", "column", len(stub.lower))
    rows = _names(base, ".row", "row", len(stub.row_lower))
    return undefined(stub, columns, rows, x)[0]


def _names(base: Path, ending: str, kind: str, count: int) -> list[str]:
    file = base.parent / f"{base.name}{ending}"
    names = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return names[:count] if len(names) >= count else [f"{kind} {i}" for i in range(count)]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
