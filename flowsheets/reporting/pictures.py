"""How do pictures get into one file? As SVG inside it, or PNG where that is smaller, with a text in their place."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_SVG = 600_000  # bytes
DOTS_PER_INCH = 200
_KINDS = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


@dataclass(frozen=True)
class Picture:
    """A picture as it stands in a report: its caption, what it shows in words, and its bytes."""

    caption: str
    alt: str
    kind: str
    content: bytes

    @property
    def address(self) -> str:
        """The picture itself as a data address."""
        return f"data:{self.kind};base64,{base64.b64encode(self.content).decode()}"


def picture(caption: str, source: Any) -> Picture:
    """A picture of a figure, of a function that draws one, or of a file. Raises SpecificationError."""
    if isinstance(source, str | Path):
        return _of_file(caption, Path(source))
    figure = source() if callable(source) and not hasattr(source, "savefig") else source
    if not hasattr(figure, "savefig"):
        raise SpecificationError(
            f"report: figure {caption!r} is {type(figure).__name__}; give a matplotlib Figure, a function that draws "
            f"one, or the path of a PNG, JPEG or SVG file."
        )
    return _of_figure(caption, figure)


def described(figure: Figure) -> str:
    """What a figure shows, panel by panel, from its own labels."""
    panels = []
    for ax in figure.axes:
        legend = ax.get_legend()
        lines = [text.get_text() for text in legend.get_texts()] if legend is not None else []
        parts = [
            ax.get_title(),
            ax.get_ylabel() and f"{ax.get_ylabel()}",
            ax.get_xlabel() and f"over {ax.get_xlabel()}",
        ]
        text = " ".join(part for part in parts if part)
        panels.append(text + (f" (lines: {', '.join(lines)})" if lines else ""))
    return " ".join("; ".join(panel for panel in panels if panel).replace("$", "").replace("\n", " ").split())


def _of_figure(caption: str, figure: Figure) -> Picture:
    alt = described(figure) or caption
    svg = _saved(figure, format="svg", metadata={"Date": None, "Creator": None})
    if len(svg) <= LARGEST_SVG:
        return Picture(caption, alt, "image/svg+xml", svg)
    return Picture(caption, alt, "image/png", _saved(figure, format="png", dpi=DOTS_PER_INCH))


def _saved(figure: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    trimmed = None if figure.get_layout_engine() is not None else "tight"  # a layout leaves no room to trim
    figure.savefig(buffer, bbox_inches=trimmed, facecolor="white", **options)
    return buffer.getvalue()


def _of_file(caption: str, path: Path) -> Picture:
    kind = _KINDS.get(path.suffix.lower())
    if kind is None or not path.is_file():
        raise SpecificationError(
            f"report: figure {caption!r}: {path.name} is no PNG, JPEG or SVG file.\n  Give a Figure, or such a file."
        )
    return Picture(caption, caption, kind, path.read_bytes())
