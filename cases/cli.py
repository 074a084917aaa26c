"""The command line: `titer cases`, `titer run CASE`, `titer explain FILE`, `titer doctor`, `titer --version`.

Exit code 0: all claims hold. 1: a claim fails, or the case raises. 2: the command was not understood.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.table import Table

from titer.numerics.errors import SpecificationError

# Modules that compute are imported inside the commands: help must not wait for them.

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Optimize and control (bio)processes.")
# typer has shipped with click and, later, with its own copy of it: this is the class in both.
UsageError: Any = typer.BadParameter.__base__


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    try:
        code = app(args=arguments, prog_name="titer", standalone_mode=False)
    except UsageError as error:
        code = _misused(error.format_message())
    except SpecificationError as error:
        code = _misused(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    raise SystemExit(code)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print titer's version.")] = False,
) -> None:
    """Optimize and control (bio)pharmaceutical processes."""
    if version:
        typer.echo(f"titer {metadata.version('titer')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def cases() -> None:
    """List the cases with what they show and the settings they take."""
    from titer.cases.catalog import CATALOG, find
    from titer.cases.runner import terminal

    table = Table("case", "what it shows", "settings")
    for name in CATALOG:
        try:
            found = find(name)
        except ImportError as error:  # one missing package must not hide the other cases
            table.add_row(name, f"cannot be imported: {error}", "")
        else:
            table.add_row(name, found.summary, "\n".join(f"{s.name}={s.default}" for s in found.settings))
    terminal().print(table)


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="CASE", help="A name that `titer cases` lists.")],
    out: Annotated[Path | None, typer.Option(help="Folder for results.json and pictures.  [results/CASE]")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The same claims on a coarser problem.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting; may be repeated."),
    ] = None,
    show_traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error arose.")] = False,
) -> None:
    """Run a case: progress, a table of claims, results.json and pictures."""
    from titer.cases import catalog, runner

    os.environ.setdefault("MPLBACKEND", "Agg")  # pictures go to files, on machines without a screen too
    try:
        chosen = catalog.find(name)
    except ImportError as error:
        _stop(name, error, show_traceback)
    texts = _pairs([*(settings or []), *(["quick=true"] if quick else [])])
    values = {key: chosen.setting(key).parse(text) for key, text in texts.items()}
    folder = _folder(Path("results") / name if out is None else out)
    try:
        holds = runner.run(chosen, values, folder)
    except Exception as error:
        _stop(name, error, show_traceback)
    raise typer.Exit(0 if holds else 1)


@app.command()
def explain(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A .titer file.  [the newest]")] = None,
    again: Annotated[bool, typer.Option("--again", help="Solve it once more, from where it began.")] = False,
) -> None:
    """Say why a solve ended as it did, from the file that it left; its source is not needed."""
    from titer.numerics.explaining.keeping import folder, kept
    from titer.numerics.explaining.record import load_record

    if file is None:
        files = kept()
        if not files:
            raise SpecificationError(f"no unfinished solve is kept in {folder() or 'any folder'}; name a FILE.")
        file = files[0]
        typer.echo(f"{file}, the newest of {len(files)}")
    record = load_record(file)
    typer.echo(str(record.explain()))
    for rung in record.solution.start_report:
        typer.echo(f"  {rung.seconds:8.3f} s  {rung.name}: {rung.result}")
    if again:
        typer.echo(f"  again: {record.again()}")


@app.command()
def doctor() -> None:
    """Say what is installed, which solvers load, and whether a small problem comes out right."""
    from titer.cases.doctor import examine
    from titer.cases.runner import terminal

    console = terminal()
    healthy = True
    for finding in examine():
        healthy &= finding.ok
        console.print(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name:<10} {finding.text}", soft_wrap=True)
    raise typer.Exit(0 if healthy else 1)


def _pairs(settings: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise SpecificationError(f"--set expects name=value, got {text!r}.")
        if name.strip() in pairs:
            raise SpecificationError(f"setting {name.strip()} is given twice.")
        pairs[name.strip()] = value
    return pairs


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise SpecificationError(f"--out {out} is a file; give a folder.") from None
    except OSError as error:
        raise SpecificationError(f"--out {out} cannot be made a folder: {error.strerror}.") from None
    return out


def _stop(name: str, error: Exception, show_traceback: bool) -> NoReturn:
    if show_traceback:
        traceback.print_exception(error)
    else:
        _complain(f"{name} stopped: {type(error).__name__}: {error}")
        typer.echo("  --traceback shows where.", err=True)
    raise typer.Exit(1)


def _misused(message: str) -> int:
    _complain(" ".join(message.split()))  # one line, also when the error was written in several
    return 2


def _complain(message: str) -> None:
    typer.echo(f"titer: {message}", err=True)
