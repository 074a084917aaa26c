"""How does risk look? Shares over time, waterfalls of predictions, networks by stages; legible in black and white."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.analysis.networks.beliefs import Measured
from titer.analysis.networks.draws import Draws
from titer.analysis.networks.graph import Address, Graph, Kind, Node
from titer.analysis.networks.model_risk import RiskDraws
from titer.analysis.networks.network import Network
from titer.analysis.networks.prediction import Prediction, predictions
from titer.analysis.networks.risk import Risk, risk
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray
_FILLS = ("0.25", "0.85", "white", "0.6", "white", "0.85", "0.6", "white", "0.85")
_HATCHES = ("", "", "////", "", "....", "xxxx", "\\\\\\\\", "", "oo")
_SHAPES = {Kind.INPUT: "s", Kind.STATE: "o", Kind.ATTRIBUTE: "D", Kind.NOISE: "^"}
_NARROW = 0.012  # of the variance, below which a share gets no label in a bar
_MOST = 8  # variables with a fill of their own; the rest is drawn together
_FAINT = 0.02  # of the strongest edge, below which one is not drawn


def plot_shares(found: Risk | RiskDraws) -> Figure:
    """The variance of the target by the stage where it arises, stacked by variable; intervals where there are draws."""
    from matplotlib.figure import Figure

    graph = found.graph
    shares = found.shares.mean(axis=0) if isinstance(found, RiskDraws) else found.shares
    names, stacks = _stacks(graph, shares)
    figure = Figure(figsize=(max(5.5, 1.5 + 0.6 * len(graph.stages)), 4.2), layout="constrained")
    ax = figure.subplots()
    x, bottom = np.arange(len(graph.stages)), np.zeros(len(graph.stages))
    for k, (name, heights) in enumerate(zip(names, stacks, strict=True)):
        _bar(ax, x, 100.0 * heights, 100.0 * bottom, k, name)
        bottom += heights
    if isinstance(found, RiskDraws):
        table = 100.0 * found.by_stage()
        low, high = np.maximum(table["share"] - table["lower"], 0.0), np.maximum(table["upper"] - table["share"], 0.0)
        ax.errorbar(x, table["share"], [low, high], fmt="none", color="black", capsize=4, label="95 % interval")
    ax.set_xticks(x, [f"{s:g}" for s in graph.stages])
    ax.set_xlabel(_stage_label(graph))
    ax.set_ylabel(f"share of the variance of {found.target} [%]")
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    return figure


def plot_waterfall(prediction: Prediction, most: int = 10, level: float = 0.9) -> Figure:
    """From the mean of batches to the prediction, measurement by measurement; the smaller moves are one bar."""
    from matplotlib.figure import Figure

    labels, moves = _steps(prediction, most)
    figure = Figure(figsize=(7.5, 1.6 + 0.36 * (len(moves) + 2)), layout="constrained")
    ax = figure.subplots()
    at, unit = prediction.mean, prediction.target.unit
    ax.axvline(at, color="0.6", linewidth=0.8, linestyle=":")
    y = -1
    for label, move in zip(labels, moves, strict=True):
        fill, hatch = ("0.3", "") if move < 0.0 else ("white", "////")
        ax.barh(y, move, left=at, height=0.6, edgecolor="black", linewidth=0.8, color=fill, hatch=hatch)
        ax.plot([at + move] * 2, [y - 0.7, y], color="black", linewidth=0.6)
        at += move
        labels[-y - 1] = f"{label}: {move:+.3g}"
        y -= 1
    low, high = prediction.interval(level)
    ax.errorbar(at, y, xerr=[[at - low], [high - at]], fmt="D", color="black", capsize=5, markersize=5, linewidth=1.2)
    if prediction.model_deviation > 0.0:
        ax.plot(prediction.model_interval(level), [y, y], color="black", linewidth=4.0, solid_capstyle="butt")
    ax.plot(prediction.mean, 0, "o", color="black", markersize=5)
    final = f"prediction: {prediction.value:.4g} ({100 * level:.0f} %: {low:.4g} to {high:.4g})"
    ax.set_yticks(range(0, y - 1, -1), [f"mean of batches: {prediction.mean:.4g}", *labels, final])
    ax.set_xlabel(f"{prediction.target}" + (f" [{unit}]" if unit else ""))
    if prediction.model_deviation > 0.0:
        ax.set_title("thick: what is open of the network; thin: with what is yet to vary", fontsize="small")
    return figure


def plot_prediction(
    given: Network | Draws,
    target: Node | Address,
    measured: Measured,
    errors: Measured | None = None,
    level: float = 0.9,
) -> Figure:
    """How the prediction of a node narrows as a batch is measured, with the value once it is known."""
    from matplotlib.figure import Figure

    found = list(predictions(given, target, measured, errors))
    node = found[0][1].target
    stages = np.array([s for s, _ in found])
    bands = np.array([p.interval(level) for _, p in found])
    figure = Figure(figsize=(6.5, 4.0), layout="constrained")
    ax = figure.subplots()
    ax.fill_between(stages, bands[:, 0], bands[:, 1], color="0.88", label=f"{100 * level:.0f} % interval")
    if any(p.model_deviation > 0.0 for _, p in found):
        inner = np.array([p.model_interval(level) for _, p in found])
        ax.plot(stages, inner, color="0.4", linestyle="--", linewidth=0.9, label=["model risk alone", "_"])
    ax.plot(stages, [p.value for _, p in found], "o-", color="black", markersize=4, label="expected")
    own = {k: v for k, v in measured.items() if k == node.address and not np.isnan(v)}
    for value in own.values():
        ax.plot(node.stage, value, "D", color="white", markeredgecolor="black", markersize=8, label="measured")
    ax.set_xlabel(f"seen up to {_stage_label(given.graph)}")
    ax.set_ylabel(f"{node}" + (f" [{node.unit}]" if node.unit else ""))
    ax.legend(fontsize="small", frameon=False)
    return figure


def plot_network(given: Network, target: Node | Address | None = None) -> Figure:
    """Nodes in columns by stage, edges as wide as their standardized effect (negative: dashed), nodes by share."""
    from matplotlib.figure import Figure

    graph = given.graph
    places = _places(graph)
    deviation = np.sqrt(np.maximum(np.diag(given.covariance), 0.0))
    figure = Figure(figsize=(2.5 + 1.9 * len(graph.stages), 1.6 + 0.9 * len(graph.variables)), layout="constrained")
    ax = figure.subplots()
    _draw_edges(ax, given, places, deviation)
    shares = None if target is None else risk(given, target).shares
    for i, node in enumerate(graph.nodes):
        size = 320.0 if shares is None else 160.0 + 1500.0 * shares[i]
        face = "white" if shares is None else str(1.0 - 0.75 * float(np.sqrt(shares[i])))
        ax.scatter(*places[i], s=size, marker=_SHAPES[node.kind], facecolor=face, edgecolor="black", zorder=3)
        if shares is not None and shares[i] >= _NARROW:
            text = f"{100 * shares[i]:.0f} %"
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
            ax.annotate(
                text, places[i], (0, -19), textcoords="offset points", ha="center", va="top", fontsize="small", bbox=box
            )
    rows = {node.name: places[i][1] for i, node in enumerate(graph.nodes)}
    ax.set_yticks(list(rows.values()), list(rows))
    ax.set_xticks(range(len(graph.stages)), [f"{s:g}" for s in graph.stages])
    ax.set_xlabel(_stage_label(graph))
    ax.margins(x=0.08, y=0.15)
    _legend(figure, graph, None if target is None else graph.nodes[graph.index(target)])
    return figure


def _draw_edges(ax: Axes, given: Network, places: Mapping[int, tuple[float, float]], deviation: Array) -> None:
    ends = given.graph.ends
    for group in given.graph.groups:
        ax.plot(*np.array([places[int(i)] for i in group]).T, color="black", linestyle=":", linewidth=1.6, zorder=1)
    if not len(ends):
        return
    size = np.where(deviation > 0.0, deviation, 1.0)
    strength = given.coefficients * size[ends[:, 0]] / size[ends[:, 1]]
    largest = max(float(np.abs(strength).max()), 1e-300)
    for (cause, effect), value in zip(ends, strength, strict=True):
        relative = abs(value) / largest
        if relative < _FAINT:
            continue
        (x_0, _), (x_1, _) = places[int(cause)], places[int(effect)]
        style: dict[str, Any] = {
            "arrowstyle": "-|>",
            "linewidth": 0.4 + 2.2 * relative,
            "linestyle": "-" if value > 0.0 else "--",
            "color": str(0.65 - 0.65 * float(relative)),
            "shrinkA": 9,
            "shrinkB": 10,
            "connectionstyle": f"arc3,rad={0.0 if x_1 - x_0 == 1 else 0.25}",
        }
        ax.annotate("", places[int(effect)], places[int(cause)], arrowprops=style, zorder=1)


def _legend(figure: Figure, graph: Graph, target: Node | None) -> None:
    from matplotlib.lines import Line2D

    kinds = [k for k in Kind if any(n.kind is k for n in graph.nodes)]
    handles = [
        Line2D([], [], marker=_SHAPES[k], linestyle="", markerfacecolor="white", color="black", label=k.value)
        for k in kinds
    ]
    handles += [
        Line2D([], [], color="black", label="raises"),
        Line2D([], [], color="black", linestyle="--", label="lowers"),
    ]
    if graph.groups:
        handles.append(Line2D([], [], color="black", linestyle=":", linewidth=1.6, label="correlated"))
    title = None if target is None else f"size and shade: share of the variance of {target}"
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), fontsize="small", frameon=False, title=title
    )


def _places(graph: Graph) -> dict[int, tuple[float, float]]:
    column = {s: k for k, s in enumerate(graph.stages)}
    row = {name: -k for k, name in enumerate(graph.variables)}
    return {i: (float(column[float(n.stage)]), float(row[n.name])) for i, n in enumerate(graph.nodes)}


def _stacks(graph: Graph, shares: Array) -> tuple[list[str], list[Array]]:
    """Shares by stage (stages,) of each variable, the largest first; beyond eight the rest together."""
    column = {s: k for k, s in enumerate(graph.stages)}
    heights = {name: np.zeros(len(graph.stages)) for name in graph.variables}
    for node, share in zip(graph.nodes, shares, strict=True):
        heights[node.name][column[float(node.stage)]] += share
    names = sorted(heights, key=lambda name: -heights[name].sum())
    if len(names) <= _MOST:
        return names, [heights[n] for n in names]
    rest = np.sum([heights[n] for n in names[_MOST:]], axis=0)
    return [*names[:_MOST], "others"], [*(heights[n] for n in names[:_MOST]), rest]


def _steps(prediction: Prediction, most: int) -> tuple[list[str], list[float]]:
    if most < 1:
        raise SpecificationError(f"plot_waterfall: most must be at least 1, got {most!r}.")
    table = prediction.waterfall()
    moves = table["move"].to_numpy()
    nodes = [prediction.graph.nodes[i] for i in prediction.measured]
    large = np.sort(np.argsort(-np.abs(moves), kind="stable")[:most])
    labels = []
    for i in large:
        innovation = table["innovation"].iloc[i]
        word = "above" if innovation > 0.0 else "below"
        where = f"{nodes[i]} {prediction.graph.time}".rstrip()
        labels.append(f"{where}, {abs(innovation):.3g} {nodes[i].unit}".rstrip() + f" {word} expected")
    found = [float(moves[i]) for i in large]
    if len(large) < len(moves):
        labels.append(f"{len(moves) - len(large)} smaller ones")
        found.append(float(moves.sum() - sum(found)))
    return labels, found


def _bar(ax: Axes, x: Array, heights: Array, bottom: Array, k: int, name: str) -> None:
    ax.bar(
        x,
        heights,
        0.75,
        bottom=bottom,
        color=_FILLS[k],
        hatch=_HATCHES[k],
        edgecolor="black",
        linewidth=0.6,
        label=name,
    )


def _stage_label(graph: Graph) -> str:
    return f"stage [{graph.time}]" if graph.time else "stage"
