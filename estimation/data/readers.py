"""How does a file become experiments? `read_experiment`, `read_experiments`: tables of CSV and Excel, cell by cell.

Every cell that is read must be a number or empty; one that is not is named by its line or cell in the file.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.data.checks import number_of
from titer.estimation.data.conversion import unit_for, unit_of
from titer.estimation.data.interpolated import Interpolated
from titer.estimation.experiment import Experiment
from titer.flowsheets.flowsheet import by_element
from titer.flowsheets.recipe import Recipe
from titer.numerics.errors import SpecificationError, unknown

if TYPE_CHECKING:
    import pandas as pd

_EXCEL = (".xlsx", ".xlsm")


@dataclass(frozen=True)
class Layout:
    """How a file is written. `header`: the line (from 1) with the names of the columns; lines before it are left out.

    `separator` of a CSV (default: the most frequent of comma, semicolon, tab in the header); `decimal`: "." or ",";
    `missing`: texts that mean "not measured", besides an empty cell; `encoding` of a CSV; `sheet` of a workbook
    (default: its first).
    """

    header: int = 1
    separator: str | None = None
    decimal: str = "."
    missing: Sequence[str] = ("NA", "N/A", "n/a", "NaN", "nan")
    encoding: str = "utf-8-sig"
    sheet: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.header, bool) or not isinstance(self.header, int) or self.header < 1:
            raise SpecificationError(f"Layout: header is the number of a line, from 1, got {self.header!r}.")
        if self.decimal not in (".", ","):
            raise SpecificationError(f"Layout: decimal is '.' or ',', got {self.decimal!r}.")


@dataclass(frozen=True, eq=False)
class _Table:
    """The cells of a file, with where each row stands in it."""

    path: Path
    headers: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    lines: tuple[int, ...]
    layout: Layout

    def column(self, header: str, what: str) -> int:
        """The position of a column. Raises SpecificationError."""
        if header not in self.headers:
            raise SpecificationError(
                f"{self.path.name}: {what}: {unknown('column', header, filter(None, self.headers))}"
            )
        if self.headers.count(header) > 1:
            raise SpecificationError(f"{self.path.name}: {what}: two columns are called {header!r}; rename one.")
        return self.headers.index(header)

    def numbers(self, header: str, what: str) -> np.ndarray:
        """The numbers of a column, NaN: empty. Raises SpecificationError."""
        k = self.column(header, what)
        return np.array(
            [self._number(row[k], line, header, k) for row, line in zip(self.rows, self.lines, strict=True)]
        )

    def texts(self, header: str, what: str) -> list[str]:
        """The cells of a column as texts; whole numbers as such."""
        k = self.column(header, what)
        cells = [row[k] for row in self.rows]
        return [f"{c:g}" if isinstance(c, float) else str("" if c is None else c).strip() for c in cells]

    def only(self, chosen: Sequence[int]) -> _Table:
        """Some of the rows."""
        return replace(self, rows=tuple(self.rows[i] for i in chosen), lines=tuple(self.lines[i] for i in chosen))

    def _number(self, cell: Any, line: int, header: str, k: int) -> float:
        if isinstance(cell, str) and cell.strip() in self.layout.missing:
            return np.nan
        place = f"cell {_letters(k)}{line}" if self.path.suffix.lower() in _EXCEL else f"line {line}"
        return number_of(cell, f"{self.path.name}: {place}, column {header!r}", self.layout.decimal)


def read_experiment(
    path: str | Path,
    columns: Mapping[str, str],
    time: str,
    noise: Mapping[str, Any],
    recipe: Recipe,
    units: Mapping[str, Any] | None = None,
    time_unit: str | None = None,
    steps: Mapping[str, str] | None = None,
    lines: Mapping[str, str] | None = None,
    sheet: str | None = None,
    layout: Layout | None = None,
    **others: Any,
) -> Experiment:
    """One experiment from a CSV file or a sheet of an Excel workbook.

    `columns`: {header: name} of what was measured; several headers of one name are replicates. `time`: the header of
    the times. `steps`, `lines`: {header: name} of inputs that were logged, held from reading to reading or joined by
    straight lines; where such a cell is empty the step or line goes on. `units`: {name: unit}, `time_unit`: where a
    header does not end in its unit, "glucose [mM]", or is wrong. `others`: what else an Experiment takes (`inputs`,
    `start`, `replicates`, `may_leave`, `name`: default the file's). Excel needs `pip install titer[excel]`.
    Raises SpecificationError: a cell that is no number, an unknown column, a missing unit, and all of Experiment's.
    """
    table = _read(Path(path), _layout(layout, sheet))
    wanted = _Wanted(columns, time, units or {}, time_unit, steps or {}, lines or {})
    return _experiment(table, wanted, {"noise": noise, "recipe": recipe, "name": Path(path).stem, **others})


def read_experiments(
    path: str | Path,
    columns: Mapping[str, str],
    time: str,
    by: str | Sequence[str],
    noise: Mapping[str, Any],
    recipe: Recipe | Mapping[str, Recipe],
    units: Mapping[str, Any] | None = None,
    time_unit: str | None = None,
    steps: Mapping[str, str] | None = None,
    lines: Mapping[str, str] | None = None,
    sheet: str | None = None,
    layout: Layout | None = None,
    **others: Any,
) -> tuple[Experiment, ...]:
    """Several experiments from one long table, in the order in which they appear there.

    `by`: the header (or headers) whose cells say to which experiment a row belongs, which is then its name: "F3", or
    "B 1" of two. `recipe`: of all, or {name: recipe}. Everything else as in `read_experiment`.
    """
    table = _read(Path(path), _layout(layout, sheet))
    wanted = _Wanted(columns, time, units or {}, time_unit, steps or {}, lines or {})
    headers = [by] if isinstance(by, str) else list(by)
    if not headers:
        raise SpecificationError(f"{table.path.name}: by: expected the header of the batches, got none.")
    groups: dict[str, list[int]] = {}
    for i, labels in enumerate(zip(*(table.texts(header, "by") for header in headers), strict=True)):
        if not all(labels):
            raise SpecificationError(
                f"{table.path.name}: line {table.lines[i]}, column {headers[0]!r}: no batch is named."
            )
        groups.setdefault(" ".join(labels), []).append(i)
    found = []
    for name, chosen in groups.items():
        if isinstance(recipe, Mapping) and name not in recipe:
            raise SpecificationError(f"{table.path.name}: recipe: {unknown('batch', name, recipe)}")
        own = recipe[name] if isinstance(recipe, Mapping) else recipe
        found.append(_experiment(table.only(chosen), wanted, {"noise": noise, "recipe": own, "name": name, **others}))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Wanted:
    """Which columns of a table are read, as what."""

    columns: Mapping[str, str]
    time: str
    units: Mapping[str, Any]
    time_unit: str | None
    steps: Mapping[str, str]
    lines: Mapping[str, str]


def _experiment(table: _Table, wanted: _Wanted, fields: Mapping[str, Any]) -> Experiment:
    import pandas as pd

    who = table.path.name
    if not table.rows:
        raise SpecificationError(f"{who}: the table has no rows below its header.")
    if not wanted.columns:
        raise SpecificationError(f"{who}: columns is empty; give {{header: name}} of what was measured.")
    times = table.numbers(wanted.time, "time")
    if np.isnan(times).any():
        k = int(np.argmax(np.isnan(times)))
        raise SpecificationError(f"{who}: line {table.lines[k]}, column {wanted.time!r}: the time is missing.")
    clock = wanted.time_unit or unit_of(wanted.time)
    if clock is None:
        raise SpecificationError(
            f"{who}: the header {wanted.time!r} does not say the unit of time, and none is given.\n"
            f'  Give time_unit="h", or whatever it is.'
        )
    frame = pd.DataFrame({h: table.numbers(h, "columns") for h in wanted.columns}, index=times)
    units = by_element(wanted.units, "units")
    inputs = dict(fields.get("inputs", {}))
    for shape, logged in (("steps", wanted.steps), ("lines", wanted.lines)):
        for header, name in logged.items():
            if name in inputs:
                raise SpecificationError(f"{who}: {shape}: {name} is given twice.")
            units[str(name)] = unit_for(str(name), header, units, who)
            series = _logged(pd.Series(table.numbers(header, shape), index=times), f"{who}: {shape}: column {header!r}")
            inputs[name] = Interpolated(series) if shape == "lines" else series
    return Experiment(
        frame, **{**fields, "columns": wanted.columns, "units": units, "time_unit": clock, "inputs": inputs}
    )


def _logged(series: pd.Series, what: str) -> pd.Series:
    """The readings of an input; rows with the same time (replicates of a sample) must agree."""
    kept = series.dropna()
    if kept.empty:
        raise SpecificationError(f"{what} has no reading.")
    first = kept[~kept.index.duplicated()]
    differs = kept.to_numpy() != first.loc[kept.index].to_numpy()
    if differs.any():
        k = int(np.argmax(differs))
        raise SpecificationError(
            f"{what} has two readings at t = {kept.index[k]:g}: {first.loc[kept.index[k]]:g} and {kept.iloc[k]:g}.\n"
            f"  Correct one, or move it to its own time."
        )
    return first


def _layout(layout: Layout | None, sheet: str | None) -> Layout:
    layout = layout or Layout()
    return layout if sheet is None else replace(layout, sheet=sheet)


def _read(path: Path, layout: Layout) -> _Table:
    if not path.is_file():
        raise SpecificationError(f"{path}: there is no such file.")
    excel = path.suffix.lower() in _EXCEL
    if path.suffix.lower() == ".xls":
        raise SpecificationError(f"{path.name}: the old Excel format cannot be read; save it as .xlsx or .csv.")
    if layout.sheet is not None and not excel:
        raise SpecificationError(f"{path.name}: sheet={layout.sheet!r} is for Excel workbooks (.xlsx).")
    cells = _cells_of_excel(path, layout) if excel else _cells_of_csv(path, layout)
    head = next((row for line, row in cells if line == layout.header), None)
    if head is None or not any(str(c or "").strip() for c in head):
        raise SpecificationError(f"{path.name}: line {layout.header} holds no header; say Layout(header=...).")
    headers = tuple(str("" if c is None else c).strip() for c in head)
    rows, lines = [], []
    for line, row in cells:
        if line <= layout.header or not any(str("" if c is None else c).strip() for c in row):
            continue
        if len(row) != len(headers):
            raise SpecificationError(
                f"{path.name}: line {line} has {len(row)} cells, the header has {len(headers)}.\n"
                f"  A decimal comma among commas that separate? Correct the line, or say Layout(separator=...)."
            )
        rows.append(tuple(row))
        lines.append(line)
    return _Table(path, headers, tuple(rows), tuple(lines), layout)


def _cells_of_csv(path: Path, layout: Layout) -> list[tuple[int, list[Any]]]:
    try:
        with path.open(encoding=layout.encoding, newline="") as file:
            text = file.read()
    except UnicodeDecodeError:
        raise SpecificationError(
            f'{path.name}: it is not written in {layout.encoding}; say Layout(encoding="latin-1"), or what it is.'
        ) from None
    written = text.splitlines()
    head = written[layout.header - 1] if len(written) >= layout.header else ""
    separator = layout.separator or max(",;\t", key=head.count)
    reader = csv.reader(written, delimiter=separator)
    return [(reader.line_num, row) for row in reader]


def _cells_of_excel(path: Path, layout: Layout) -> list[tuple[int, list[Any]]]:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise SpecificationError(
            f"{path.name}: reading Excel needs openpyxl.\n  Run: pip install titer[excel], or save the sheet as CSV."
        ) from None
    book = load_workbook(path, read_only=True, data_only=True)
    try:
        if layout.sheet is not None and layout.sheet not in book.sheetnames:
            raise SpecificationError(f"{path.name}: {unknown('sheet', layout.sheet, book.sheetnames)}")
        sheet = book[layout.sheet or book.sheetnames[0]]
        rows = [(k, list(row)) for k, row in enumerate(sheet.iter_rows(values_only=True), start=1)]
    finally:
        book.close()
    width = max((len(row) for _, row in rows), default=0)
    return [(k, [*row, *[None] * (width - len(row))]) for k, row in rows]


def _letters(k: int) -> str:
    """The letters of column k (from 0) of a sheet: A, Z, AA."""
    text = ""
    k += 1
    while k:
        k, rest = divmod(k - 1, 26)
        text = chr(ord("A") + rest) + text
    return text
