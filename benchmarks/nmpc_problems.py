"""What are do-mpc's examples as titer's programs? Same costs at the same points, same bounds.

Costs and soft limits stand where do-mpc has them: at the ends of the control pieces, not in an integral.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import casadi as ca
import numpy as np

from titer.numerics.dae import Dae, Variable
from titer.numerics.nlp import Batch, Block, Columns, Decide, Fix, Labels, Nlp, Same, join, slots_block
from titer.numerics.program import Scaling
from titer.numerics.segment import Profile, Segment
from titer.numerics.solvers import Engine, Ipopt
from titer.numerics.transcribe import transcribe

Array = np.ndarray
PIECES = 20


@dataclass(frozen=True, eq=False)
class Example:
    """A model with what is wanted of it: `cost` of a state at the end of a piece, `prices` of (move / size)^2.

    `limit`: (state, upper limit, price) of a soft limit at the start of each piece. `elements`: per piece.
    """

    dae: Dae
    step: float
    elements: int
    cost: Callable[[ca.SX], ca.SX]
    prices: tuple[float, ...]
    sizes: tuple[float, ...]
    bounds: tuple[tuple[float, float], ...]
    parameters: tuple[tuple[float, ...], ...]
    start: tuple[float, ...]
    state_sizes: tuple[float, ...]
    limit: tuple[int, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Posed:
    """An example as an `Nlp`: where its data and its first move stand, a start, and how a plan is shifted by a step."""

    nlp: Nlp
    sizes: Array
    start: Array
    states: tuple[Array, ...]  # data cells of the initial state, of each scenario
    before: Array  # data cells of the moves before
    first: Array  # columns of the first moves
    shift: Array  # columns that take the value of these columns
    next: Array  # columns of the first scenario's state after a step

    def data(self, x: Array, before: Array) -> Array:
        """The data for a state and the moves before."""
        data = self.nlp.data.copy()
        for cells in self.states:
            data[cells] = x
        data[self.before] = before
        return data


def _variables(names: Sequence[str], bounds: Sequence[tuple[float, float]]) -> tuple[Variable, ...]:
    return tuple(Variable(name, lower=low, upper=high) for name, (low, high) in zip(names, bounds, strict=True))


def reactor(tree: bool) -> Example:
    """Van de Vusse's reactor, with nine scenarios where a tree is wanted."""
    t, x, u, p = ca.SX.sym("t"), ca.SX.sym("x", 4), ca.SX.sym("u", 2), ca.SX.sym("p", 2)
    a, b, T, T_K = ca.vertsplit(x)
    F, Q = ca.vertsplit(u)
    k1 = p[1] * 1.287e12 * ca.exp(-9758.3 / (T + 273.15))
    k2 = 1.287e12 * ca.exp(-9758.3 / (T + 273.15))
    k3 = 9.043e9 * ca.exp(-p[0] * 8560.0 / (T + 273.15))
    heat = k1 * a * 4.2 + k2 * b * -11.0 + k3 * a**2 * -41.85
    exchanged = 4032.0 * 0.215 * (T_K - T)
    rate = ca.vertcat(
        F * (5.1 - a) - k1 * a - k3 * a**2,
        -F * b + k1 * a - k2 * b,
        heat / (-0.9342 * 3.01) + F * (130.0 - T) + exchanged / (0.9342 * 3.01 * 10.01),
        (Q - exchanged) / (5.0 * 2.0),
    )
    function = ca.Function("reactor", [t, x, ca.SX(0, 1), u, p], [rate, ca.SX(0, 1), ca.SX(0, 1)])
    states = _variables(("c_A", "c_B", "T", "T_K"), ((0.1, 2.0), (0.1, 2.0), (50.0, np.inf), (50.0, 140.0)))
    dae = Dae(
        "reactor", "h", function, states, (), (Variable("F"), Variable("Q")), (Variable("alpha"), Variable("beta"))
    )
    values = [(alpha, beta) for alpha in (1.0, 1.05, 0.95) for beta in (1.0, 1.1, 0.9)]
    return Example(
        dae, 0.005, 1, lambda x: (x[1] - 0.6) ** 2, (0.1, 1e-3), (100.0, 2000.0), ((5.0, 100.0), (-8500.0, 0.0)),
        tuple(values if tree else values[:1]), (0.8, 0.5, 134.14, 130.0), (1.0, 1.0, 100.0, 100.0), (2, 140.0, 100.0),
    )  # fmt: skip


def fermentation() -> Example:
    """The fed-batch fermentation with its economic objective."""
    t, x, u, p = ca.SX.sym("t"), ca.SX.sym("x", 4), ca.SX.sym("u", 1), ca.SX.sym("p", 2)
    X, S, P, V = ca.vertsplit(x)
    mu, dilution = 0.02 * S / (0.05 + S + S**2 / 5.0), u[0] / V
    rate = ca.vertcat(
        mu * X - dilution * X,
        -mu * X / p[0] - 0.004 * X / 1.2 + dilution * (p[1] - S),
        0.004 * X - dilution * P,
        u[0],
    )
    function = ca.Function("fermentation", [t, x, ca.SX(0, 1), u, p], [rate, ca.SX(0, 1), ca.SX(0, 1)])
    bounds = ((0.0, 3.7), (-0.01, np.inf), (0.0, 3.0), (0.0, np.inf))
    parameters = (Variable("Y_x"), Variable("S_in"))
    dae = Dae(
        "fermentation", "h", function, _variables(("X", "S", "P", "V"), bounds), (), (Variable("feed"),), parameters
    )
    return Example(
        dae, 1.0, 2, lambda x: -x[2], (1.0,), (1.0,), ((0.0, 0.2),), ((0.5, 200.0),), (1.0, 0.5, 0.0, 120.0),
        (1.0, 1.0, 1.0, 128.0),
    )  # fmt: skip


def pose(example: Example) -> Posed:
    """The program of an example over `PIECES` steps; scenarios share their first moves."""
    blocks, links, last = [], [], len(example.parameters)
    commons = slots_block("before", moves=len(example.sizes))
    links.append(Fix(commons.slot("moves"), np.zeros(len(example.sizes))))
    for s, parameters in enumerate(example.parameters):
        block, slacks = _scenario(example, f"{s + 1}"), slots_block(f"slacks {s + 1}", slacks=PIECES)
        blocks += [block, slacks]
        links += [
            Fix(block.slot("start"), np.array(example.start)),
            Fix(block.slot("parameters"), np.array(parameters)),
            Fix(block.slot("clock"), np.zeros(1)),
            Fix(block.slot("duration"), np.array([PIECES * example.step])),
        ]
        if example.limit is not None:
            links.append(Decide(slacks.slot("slacks"), _columns("slack", 0.0, np.inf, PIECES)))
        else:
            links.append(Fix(slacks.slot("slacks"), np.zeros(PIECES)))
        for variable, (lower, upper) in zip(example.dae.inputs, example.bounds, strict=True):
            cells = block.slot(f"input:{variable.name}")
            if s:
                links.append(Same(cells[0], blocks[0].slot(f"input:{variable.name}")[0]))
            own = cells[1:] if s else cells
            links.append(Decide(own, _columns(variable.name, lower, upper, own.cells.size)))
    nlp = join([commons, *blocks], links)
    costs = [batch for s in range(last) for batch in _costs(example, nlp, blocks[2 * s], f"slacks {s + 1}")]
    return _posed(example, replace(nlp, batches=(*nlp.batches, *costs)), blocks[::2])


def _columns(name: str, lower: float, upper: float, count: int) -> Columns:
    return Columns(Labels.of([name] * count), np.full(count, lower), np.full(count, upper), np.zeros(count, dtype=bool))


def _scenario(example: Example, name: str) -> Block:
    profiles = tuple(Profile.steps(np.linspace(0.0, 1.0, PIECES + 1)) for _ in example.sizes)
    ends = np.linspace(0.0, 1.0, PIECES * example.elements + 1)
    return transcribe(Segment(name, example.dae, profiles), ends, 2).block


def _nodes(example: Example, nlp: Nlp, block: Block) -> Array:
    """(states, PIECES + 1): cells of the states at the ends of the pieces."""
    return nlp.cells[block.name][block.ports["x"]][:, :: 2 * example.elements]


def _costs(example: Example, nlp: Nlp, block: Block, slacks: str) -> list[Batch]:
    share, none, stage = 1.0 / len(example.parameters), np.zeros(0), np.arange(PIECES) * example.elements
    stage = stage + _first_stage(nlp, block)
    nodes, own = _nodes(example, nlp, block), nlp.cells[block.name]
    x = ca.SX.sym("x", len(nodes))
    cost = ca.Function("cost", [x], [ca.SX(0, 1), example.cost(x)])
    found = [Batch(cost, nodes[:, 1:], none, none, Labels.of([]), share, stage + example.elements - 1)]
    v = ca.SX.sym("v", 2)
    for i, (variable, price, size) in enumerate(zip(example.dae.inputs, example.prices, example.sizes, strict=True)):
        moves = own[block.slot(f"input:{variable.name}").cells]
        before = np.concatenate([nlp.cells["before"][[i]], moves[:-1]])
        move = ca.Function("move", [v], [ca.SX(0, 1), price * ((v[1] - v[0]) / size) ** 2])
        found.append(Batch(move, np.stack([before, moves]), none, none, Labels.of([]), share, stage))
    if example.limit is not None:
        state, upper, price = example.limit
        slack = ca.Function("limit", [v], [v[0] - v[1], price * v[1]])
        index = np.stack([nodes[state, :-1], nlp.cells[slacks]])
        labels = Labels.of(["limit"] * PIECES)
        found.append(Batch(slack, index, np.full(1, -np.inf), np.full(1, upper), labels, share, stage))
    return found


def _first_stage(nlp: Nlp, block: Block) -> int:
    """The place in time of a block's first element: blocks follow one another."""
    cells = nlp.cells[block.name][block.ports["x"][:, 1]]
    return next(int(b.stage.min()) for b in nlp.batches if b.stage is not None and np.isin(cells, b.index).all())


def _posed(example: Example, nlp: Nlp, blocks: Sequence[Block]) -> Posed:
    n, sizes, start = nlp.columns, np.ones(nlp.columns), np.zeros(nlp.columns)
    shift = np.arange(n)
    for block in blocks:
        cells = nlp.cells[block.name]
        grid, points = cells[block.ports["x"]][:, 1:], 2 * example.elements
        sizes[grid], start[grid] = np.array(example.state_sizes)[:, None], np.array(example.start)[:, None]
        shift[grid[:, :-points]] = grid[:, points:]
        for variable, size, (low, _) in zip(example.dae.inputs, example.sizes, example.bounds, strict=True):
            moves = cells[block.slot(f"input:{variable.name}").cells]
            sizes[moves], start[moves] = size, max(low, 0.0)
            if block is blocks[0]:
                shift[moves[:-1]] = moves[1:]
            shift[moves[1:-1]] = moves[2:]
    firsts = nlp.cells[blocks[0].name]
    first = np.array([firsts[blocks[0].slot(f"input:{v.name}").cells[0]] for v in example.dae.inputs])
    states = tuple(nlp.cells[block.name][block.slot("start").cells] - n for block in blocks)
    after = _nodes(example, nlp, blocks[0])[:, 1]
    return Posed(nlp, sizes, start, states, nlp.cells["before"] - n, first, shift, after)


def scaled(posed: Posed) -> Scaling:
    """Sizes of the columns, rows as they are in sizes of what they determine."""
    return Engine(posed.nlp, Ipopt()).scaling(posed.start, posed.sizes)
