"""What would a chromatographer draw? Signals over volume, salt or pH on a second axis, fractions shaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.flowsheets.chromatograms.chromatogram import Chromatogram
from titer.flowsheets.chromatograms.pools import Pool
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINES = ("-", "--", "-.", ":")


def draw(
    of: Chromatogram,
    second: str | None = None,
    pools: Mapping[str, Pool] | Sequence[Pool] = (),
    signal: Any = None,
    label: str | None = None,
) -> Figure:
    """Concentrations over volume [mL], with column volumes above and the phases named between them.

    `second`: the component that has an axis of its own on the right (salt, a modulator, pH), named `label` there.
    `pools`: shaded, by name or numbered. `signal`: a Series over time (a detector's) in place of the concentrations;
    its name is its label: `signal=run[uv.A].rename("UV [AU]")`.
    Raises SpecificationError for an unknown component.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.8), layout="constrained")
    ax = figure.subplots()
    ax.spines[["right"]].set_visible(second is not None)
    if second is not None:
        of.check(second)
    shown = [key for key in of.components if key != second]
    if signal is None:
        for k, key in enumerate(shown):
            ax.plot(of.volume, of.c[key], color="black", linestyle=_LINES[k % len(_LINES)], label=key)
        ax.set_ylabel(f"concentration [{of.concentration_unit}]")
    else:
        if len(signal) != len(of.time):
            raise SpecificationError("draw: the signal is no Series of the same run.")
        ax.plot(of.volume, signal.to_numpy(), color="black", label=str(signal.name))
        ax.set_ylabel(str(signal.name))
    ax.set(xlabel="volume [mL]", xlim=(of.volume[0], of.volume[-1]))
    forth: Any = lambda x: x / of.column_volume  # noqa: E731
    back: Any = lambda x: x * of.column_volume  # noqa: E731
    top = ax.secondary_xaxis("top", (forth, back))
    top.set_xlabel("column volumes")
    for k, (name, each) in enumerate(_named(pools)):
        span = (of.volume_at(each.start), of.volume_at(each.stop))
        ax.axvspan(*span, facecolor="0.9" if k % 2 else "0.82", edgecolor="none", zorder=0)
        ax.annotate(name, (0.5 * sum(span), 0.98), xycoords=ax.get_xaxis_transform(), ha="center", va="top", fontsize=8)
    _name_phases(ax, of)
    handles, names = ax.get_legend_handles_labels()
    if second is not None:
        right = ax.twinx()
        right.plot(of.volume, of.c[second], color="0.45", linewidth=1.0, label=label or second)
        measured = second if second == "pH" else f"{second} [{of.concentration_unit}]"  # pH has no unit
        right.set_ylabel(label or measured, color="0.35")
        more = right.get_legend_handles_labels()
        handles, names = handles + more[0], names + more[1]
    ax.legend(handles, names, loc="best", fontsize=8, framealpha=0.9)
    return figure


def _name_phases(ax: Any, of: Chromatogram) -> None:
    """A thin line at each end of a phase, and its name where it has room."""
    for name, (start, end) in of.phases.items():
        low, high = of.volume_at(start), of.volume_at(end)
        ax.axvline(high, color="0.75", linewidth=0.6, zorder=0)
        if high - low > 0.012 * len(name) * of.volume[-1]:
            ax.annotate(name, (0.5 * (low + high), 0.01), xycoords=ax.get_xaxis_transform(), ha="center", fontsize=7)


def _named(pools: Mapping[str, Pool] | Sequence[Pool]) -> list[tuple[str, Pool]]:
    if isinstance(pools, Mapping):
        return list(pools.items())
    return [(str(k), each) for k, each in enumerate(np.atleast_1d(np.array(pools, dtype=object)), start=1)]
