"""How does a formula look? As MathML that a browser draws by itself (MathML Core), and as a line of text."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from html import escape

from titer.flowsheets.reporting.letters import Written, extent, unit_text, written
from titer.flowsheets.reporting.tree import (
    Call,
    InUnit,
    Letter,
    Negative,
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Sum,
)

SUM, PRODUCT, QUOTIENT, POWER, ATOM = range(1, 6)  # how tightly a formula holds together
_MOST_TERMS = 12  # of a sum that is written in full
_NAMES = {"log": "ln", "smooth max": "max", "smooth min": "min", "smooth clip": "clip", "smooth step": "step"}
_SPACE = '<mspace width="0.2em"/>'


def mathml(node: Node, level: int = SUM) -> str:
    """A formula as MathML, in parentheses where it holds together less than `level` asks."""
    inner, own = _MATHML[type(node)](node)
    return inner if own >= level else _fenced(inner, node)


def linear(node: Node, level: int = SUM) -> str:
    """A formula as a line of text, with names as in code: "k0_1*exp(-E_1/(R*T))*c_A"."""
    text, own = _LINEAR[type(node)](node)
    return text if own >= level else f"({text})"


def width(node: Node) -> float:
    """About how wide a formula is drawn, in em."""
    if isinstance(node, Number):
        return 0.5 * len(f"{node.value:.6g}") + 0.45 * len(unit_text(node.measure.label))
    if isinstance(node, Letter):
        return extent(node.written or node.name) + 0.5 * len(node.owner)
    inside = [width(part) for part in node.parts()]
    if isinstance(node, Quotient):
        return max(inside) + 0.4
    if isinstance(node, Sum):
        shown = inside if len(inside) <= _MOST_TERMS else [*inside[:3], 1.0, inside[-1]]
        return sum(shown) + 1.4 * len(shown)
    if isinstance(node, Power):
        return inside[0] + 0.7 * inside[1]
    if isinstance(node, Call):
        index = 0.0 if node.width is None else 0.3 * inside[-1]  # the width of a smooth form is an index
        return sum(inside) - index + 0.45 * len(_NAMES.get(node.function, node.function)) + 0.8
    return sum(inside) + 0.3 * len(inside)


def lines(node: Node, most: float) -> list[str]:
    """A formula as MathML, in lines of at most about `most` em where it is a sum that can be broken."""
    if not isinstance(node, Sum) or width(node) <= most or len(node.terms) > _MOST_TERMS:
        return [mathml(node)]
    rows: list[list[str]] = [[]]
    reached = 0.0
    for i, term in enumerate(node.terms):
        reached += width(term) + 1.4
        if rows[-1] and reached > most:
            rows.append([])
            reached = width(term) + 1.4
        rows[-1].append(_term(term, first=i == 0))
    return [_row(*rows[0]), *(_row("<mrow></mrow>", *row) for row in rows[1:])]  # a sign after nothing is a sum's


def number_text(value: float, digits: int = 6) -> tuple[str, str]:
    """A number in some digits, and the power of ten apart: ("2", "9")."""
    shown, _, power = f"{value:.{digits}g}".partition("e")
    return shown, str(int(power)) if power else ""


# --- MathML ---------------------------------------------------------------------------------------------------

_Drawn = tuple[str, int]


def _row(*parts: str) -> str:
    return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"


def _fenced(inner: str, *nodes: Node) -> str:
    """In parentheses, as tall as a fraction between them, else of the letters' own height."""
    still = "" if any(_is_tall(node) for node in nodes) else ' stretchy="false"'
    return f"<mrow><mo{still}>(</mo>{inner}<mo{still}>)</mo></mrow>"


def _is_tall(node: Node) -> bool:
    tall = isinstance(node, Quotient | InUnit) or (isinstance(node, Call) and node.function == "integral")
    return tall or any(_is_tall(part) for part in node.parts())


def _number(node: Number) -> _Drawn:
    digits, power = number_text(abs(node.value))
    drawn, level = f"<mn>{digits}</mn>", ATOM
    if power:
        exponent = _row(*(["<mo>−</mo>"] if power[0] == "-" else []), f"<mn>{power.lstrip('-')}</mn>")
        drawn, level = _row(drawn, "<mo>×</mo>", f"<msup><mn>10</mn>{exponent}</msup>"), PRODUCT
    if unit := unit_text(node.measure.label):
        drawn, level = _row(drawn, f"{_SPACE}<mtext>{escape(unit)}</mtext>"), PRODUCT
    return (_row("<mo>−</mo>", drawn), SUM) if node.value < 0.0 else (drawn, level)


def _written(node: Letter) -> Written:
    return written(node.written or node.name)


def _letter(node: Letter) -> _Drawn:
    drawn = str(_written(node))
    return (_row(f"<mtext>{escape(node.owner)}.</mtext>", drawn) if node.owner else drawn), ATOM


def _term(term: Node, first: bool) -> str:
    if isinstance(term, Negative):
        return f"<mo>−</mo>{mathml(term.inner, PRODUCT)}"
    if isinstance(term, Number) and term.value < 0.0:
        return f"<mo>−</mo>{mathml(Number(-term.value, term.measure), PRODUCT)}"
    return mathml(term, PRODUCT) if first else f"<mo>+</mo>{mathml(term, PRODUCT)}"


def _sum(node: Sum) -> _Drawn:
    drawn = [_term(term, first=i == 0) for i, term in enumerate(node.terms)]
    if len(drawn) > _MOST_TERMS:
        drawn = [*drawn[:3], "<mo>+</mo><mo>⋯</mo>", drawn[-1]]
    return _row(*drawn), SUM


def _product(node: Product) -> _Drawn:
    parts = [mathml(node.factors[0], QUOTIENT)]
    for before, factor in zip(node.factors, node.factors[1:], strict=False):
        dot = isinstance(before, Number) and isinstance(factor, Number | InUnit)
        parts += ["<mo>·</mo>" if dot else f"<mo>\u2062</mo>{_SPACE}", mathml(factor, QUOTIENT)]
    return _row(*parts), PRODUCT


def _power(node: Power) -> _Drawn:
    exponent = mathml(node.exponent)
    if isinstance(node.exponent, Number):
        share = Fraction(node.exponent.value).limit_denominator(12)
        if share.denominator > 1 and abs(share - Fraction(node.exponent.value)) < 1e-12:
            sign = "<mo>−</mo>" if share < 0 else ""
            exponent = f"<mrow>{sign}<mn>{abs(share.numerator)}</mn><mo>/</mo><mn>{share.denominator}</mn></mrow>"
    if isinstance(node.base, Letter) and not node.base.owner and _written(node.base).below:
        base = _written(node.base)
        return f"<msubsup>{base.base}{base.below}{exponent}</msubsup>", POWER
    return f"<msup>{mathml(node.base, ATOM)}{exponent}</msup>", POWER


def _call(node: Call) -> _Drawn:
    inside = "<mo>,</mo>".join(mathml(argument) for argument in node.arguments)
    if node.function == "sqrt":
        return f"<msqrt>{inside}</msqrt>", POWER
    if node.function == "cbrt":
        return f"<mroot>{_row(inside)}<mn>3</mn></mroot>", POWER
    if node.function == "integral":
        over = f"{_SPACE}<mi mathvariant='normal'>d</mi><mi>t</mi>"
        return f"<mrow><mo>∫</mo>{mathml(node.arguments[0], QUOTIENT)}{over}</mrow>", QUOTIENT
    if node.function.startswith("at "):
        where = f"<mtext>{escape(node.function.removeprefix('at '))}</mtext>"
        return f"<msub><mrow><mo>[</mo>{inside}<mo>]</mo></mrow>{where}</msub>", ATOM
    name = _NAMES.get(node.function, node.function.replace("arc", "ar" if node.function.endswith("h") else "arc"))
    drawn = f"<mi>{name}</mi>"
    if name in ("log2", "log10"):
        drawn = f"<msub><mi>log</mi><mn>{name.removeprefix('log')}</mn></msub>"
    if node.width is not None:
        drawn = f"<msub>{drawn}{mathml(node.width)}</msub>"
    return f"<mrow>{drawn}<mo>\u2061</mo>{_fenced(inside, *node.arguments)}</mrow>", POWER


_MATHML: dict[type, Callable[..., _Drawn]] = {
    Number: _number,
    Letter: _letter,
    Sum: _sum,
    Product: _product,
    Power: _power,
    Call: _call,
    Negative: lambda node: (_row("<mo>−</mo>", mathml(node.inner, PRODUCT)), SUM),
    Quotient: lambda node: (f"<mfrac>{mathml(node.top)}{mathml(node.bottom)}</mfrac>", QUOTIENT),
    InUnit: lambda node: (
        f"<mfrac>{mathml(node.inner)}<mtext>{escape(unit_text(node.measure.label))}</mtext></mfrac>",
        QUOTIENT,
    ),
}


# --- a line of text -------------------------------------------------------------------------------------------


def _linear_number(node: Number) -> _Drawn:
    unit = f" {node.measure.label}" if node.measure.names else ""
    return f"{node.value:.6g}{unit}", SUM if node.value < 0.0 else PRODUCT if unit else ATOM


def _linear_sum(node: Sum) -> _Drawn:
    text = ""
    for term in node.terms:
        below = isinstance(term, Negative) or (isinstance(term, Number) and term.value < 0.0)
        bare = term.inner if isinstance(term, Negative) else Number(abs(term.value), term.measure) if below else term  # type: ignore[attr-defined]  # fmt: skip
        sign = " - " if below else " + "
        text += (sign if text else sign.strip(" +")) + linear(bare, PRODUCT)
    return text, SUM


def _linear_call(node: Call) -> _Drawn:
    inside = [*(linear(a) for a in node.arguments), *([f"width={linear(node.width)}"] if node.width else [])]
    return f"{node.function.replace(' ', '_')}({', '.join(inside)})", ATOM


_LINEAR: dict[type, Callable[..., _Drawn]] = {
    Number: _linear_number,
    Letter: lambda node: (f"{node.owner}.{node.name}" if node.owner else node.name, ATOM),
    Sum: _linear_sum,
    Product: lambda node: ("*".join(linear(f, PRODUCT) for f in node.factors), PRODUCT),
    Power: lambda node: (f"{linear(node.base, ATOM)}^{linear(node.exponent, ATOM)}", POWER),
    Call: _linear_call,
    Negative: lambda node: (f"-{linear(node.inner, PRODUCT)}", SUM),
    Quotient: lambda node: (f"{linear(node.top, PRODUCT)}/{linear(node.bottom, POWER)}", PRODUCT),
    InUnit: lambda node: (f"{linear(node.inner, POWER)}/({node.measure.label})", PRODUCT),
}
