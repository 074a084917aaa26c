"""Which equations does a unit operation have? Its declaration, run on formulas and grouped as in a text book."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from titer.flowsheets.declarations import Conserved, Expression, Inlet
from titer.flowsheets.reporting.mathml import ATOM, linear, lines, mathml, width
from titer.flowsheets.reporting.smooth_forms import MEANING
from titer.flowsheets.reporting.tree import FORMULAS, ZERO, Call, Formula, Letter, Node, is_larger, letters, lift
from titer.flowsheets.returned import with_parts
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.trace import Trace, port_scalars, trace
from titer.flowsheets.unit import Unit

MOST_ELEMENTS = 8  # of an array whose equations are all printed
MOST_FORMS = 4  # of different equations that are printed of a larger one
MOST_SYMBOLS = 400  # of a formula that is printed
WIDEST = 40.0  # em, that fit on a page

Facts = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Read:
    """The equations of a unit operation as formulas; `defined`: its named expressions, in the order of definition."""

    unit: Unit
    traced: Trace
    defined: Mapping[str, Node]
    values: Mapping[str, Symbol]
    written: Mapping[str, str]


def read(unit: Unit, owner: str = "") -> Read:
    """Run the equations of a unit operation on formulas. `owner`: put before every name, as "tank." in "tank.S".

    Named expressions stand by their names wherever they are used. Raises DeclarationError.
    """
    written = written_names(unit)
    measures = {key: scalar.measure for key, scalar in unit.scalars.items()} | port_scalars(unit, Inlet)
    values = {key: _letter(key, written, measure, owner) for key, measure in measures.items()}
    declared = {key: Measure.of(d.unit) for key, (_, d) in with_parts(unit, Expression).items()}
    defined: dict[str, Node] = {}

    def named(name: str, value: Any) -> Symbol:
        local = name.split(".", 1)[1]
        defined[local] = _node(value)
        return _letter(local, written, declared[local.partition("[")[0]], owner)

    time = Symbol(Letter("t"), Measure.of(unit.time), FORMULAS)
    return Read(unit, trace(unit, values, time, named), defined, values, written)


def equations_of(unit: Unit, corrected: Sequence[str] = ()) -> list[Facts]:
    """Groups of equations: {"title", "equations": [{"text", "mathml", "note", "width"}], "note"}.

    `corrected`: qualified names of expressions that are replaced in the plant. Raises DeclarationError.
    """
    found = read(unit)

    def left(key: str) -> Letter:
        return Letter(key, found.written.get(key, _of_port(key)))

    marks = {name.split(".", 1)[1]: "corrected: the plant replaces this value" for name in corrected}
    rates = {key: Formula(left(key), _node(value), rate=True) for key, value in found.traced.rate.items()}
    groups = {
        "Balances": rates,
        "Named expressions": {
            key: Formula(left(key), node, note=marks.get(key, "")) for key, node in found.defined.items()
        },
        "Algebraic equations": {key: Formula(ZERO, _node(value)) for key, value in found.traced.zero.items()},
        "Outlets": {key: Formula(left(key), _node(value)) for key, value in found.traced.port.items()},
        "Conserved totals": _totals(found),
    }
    return [_group(title, formulas) for title, formulas in groups.items() if formulas]


def formula_facts(formula: Formula) -> Facts:
    """A formula as a line of text and as MathML."""
    if formula.left is None:
        return {"text": linear(formula.right), "mathml": _math([[mathml(formula.right)]], linear(formula.right))}
    right = _shortened(formula.right)
    text, left = linear(formula.left), mathml(formula.left)
    if formula.rate:
        d = "<mi mathvariant='normal'>d</mi>"
        text = f"d({text})/dt"
        if isinstance(formula.left, Letter):
            left = f"<mfrac><mrow>{d}{left}</mrow><mrow>{d}<mi>t</mi></mrow></mfrac>"
        else:
            left = f"<mrow><mfrac>{d}<mrow>{d}<mi>t</mi></mrow></mfrac>{mathml(formula.left, ATOM)}</mrow>"
    text = f"{text} {formula.sign} {linear(right)}"
    beside = width(formula.left) + 2.0
    drawn = lines(right, WIDEST - beside)
    rows = [[left, f"<mo>{formula.sign}</mo>", drawn[0]], *(["", "", line] for line in drawn[1:])]
    facts: Facts = {"text": text, "mathml": _math(rows, text), "note": formula.note}
    if len(drawn) == 1 and width(right) + beside > WIDEST:
        facts["width"] = round(width(right) + beside, 1)
    if right is not formula.right:
        facts["note"] = "; ".join(filter(None, (formula.note, "too long to print: the declaration has it in full")))
    return facts


def written_names(unit: Unit) -> dict[str, str]:
    """How each variable is written: without the path of its part where that is clear, streams with their port."""
    bases = {key.partition("[")[0]: key for key in [*unit.scalars, *with_parts(unit, Expression)]}
    last = [base.rpartition(".")[2] for base in bases]

    def short(key: str) -> str:
        base, bracket, inside = key.partition("[")
        path, _, name = base.rpartition(".")
        unclear = path and last.count(name) > 1
        return f"{name}{'_' + path.replace('.', '_') if unclear else ''}{bracket}{inside}"

    named = {key: short(key) for key in [*unit.scalars, *bases]}
    return named | {key: _of_port(key) for key in port_scalars(unit, Inlet)}


def _of_port(key: str) -> str:
    """A stream's variable with its port as index: "S_feed[...]"; a named expression as it is."""
    base, bracket, inside = key.partition("[")
    port, dot, variable = base.rpartition(".")
    return f"{variable}_{port}{bracket}{inside}" if dot else key


def _letter(key: str, written: Mapping[str, str], measure: Measure, owner: str) -> Symbol:
    base, bracket, inside = key.partition("[")
    shown = written.get(key) or f"{written.get(base, base)}{bracket}{inside}"
    return Symbol(Letter(key, shown, owner), measure, FORMULAS)


def _node(value: Any) -> Node:
    if not isinstance(value, Symbol):
        return lift(value)
    return value.value if value.reading is FORMULAS else FORMULAS.attach(value.value, value.measure)


def _totals(found: Read) -> dict[str, Formula]:
    totals = {}
    for key, entry in found.unit.conserved(found.traced.view).items():
        entry = entry if isinstance(entry, Conserved) else Conserved(entry)
        totals[key] = Formula(_node(entry.total), _node(entry.source), rate=True, note=key)
    return totals


def _group(title: str, formulas: Mapping[str, Formula]) -> Facts:
    shown: list[Facts] = []
    remarks: list[str] = []
    arrays: dict[str, list[str]] = {}
    for key in formulas:
        arrays.setdefault(key.partition("[")[0], []).append(key)
    for base, keys in arrays.items():
        chosen = keys if len(keys) <= MOST_ELEMENTS else _representative(keys, formulas)
        shown += [formula_facts(formulas[key]) for key in chosen]
        if len(chosen) < len(keys):
            shown[-1]["more"] = len(keys) - len(chosen)
            remarks.append(
                f"{base} has {len(keys)} elements: one equation of each form is shown; the other "
                f"{len(keys) - len(chosen)} differ in their indices and numbers."
            )
    return {"title": title, "equations": shown, "note": " ".join([*remarks, *_smooth(formulas)])}


def _representative(keys: Sequence[str], formulas: Mapping[str, Formula]) -> list[str]:
    """The first element of each form, for example the boundary cells and one between."""
    forms: dict[str, str] = {}
    for key in keys:
        right = formulas[key].right
        text = "long" if is_larger(right, MOST_SYMBOLS) else linear(right)
        forms.setdefault(re.sub(r"(?<![A-Za-z_])[\d.]+(e[-+]?\d+)?", "#", re.sub(r"\[[^\]]*\]", "[]", text)), key)
    return list(forms.values())[:MOST_FORMS]


def _smooth(formulas: Mapping[str, Formula]) -> list[str]:
    """What the smooth forms in these formulas mean."""
    text = " ".join(linear(f.right) for f in formulas.values() if not is_larger(f.right, MOST_SYMBOLS))
    return [meaning for name, meaning in MEANING.items() if name.replace(" ", "_") in text]


def _shortened(node: Node) -> Node:
    """A formula that can be printed: a very long one as a function of what it reads."""
    if not is_larger(node, MOST_SYMBOLS):
        return node
    bases = {letter.name.partition("[")[0]: letter for letter in letters(node)}
    shown = [Letter(base, letter.written.partition("[")[0]) for base, letter in bases.items()]
    return Call("f", tuple(shown))


def _math(rows: list[list[str]], text: str) -> str:
    alt = f'alttext="{escape(text)}"'
    if len(rows) == 1:
        return f'<math display="block" {alt}><mrow>{"".join(rows[0])}</mrow></math>'
    cells = "".join(f"<mtr>{''.join(f'<mtd>{cell}</mtd>' for cell in row)}</mtr>" for row in rows)
    return f'<math display="block" {alt}><mtable displaystyle="true">{cells}</mtable></math>'
