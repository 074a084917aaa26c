"""What shape does an input have over a phase? Signals, pieces and decisions as profiles, and as pieces to integrate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.signals import Signal, shape_of
from titer.numerics.errors import SpecificationError
from titer.numerics.integration.trajectory import Piece
from titer.numerics.segment import Profile

Array = np.ndarray
Shape = tuple[Profile, Array]  # with the input's values
Shapes = Mapping[str, Shape]


def given_shape(
    source: Signal | Pieces | Decided,
    name: str,
    clock: float,
    duration: float,
    operation: Operation,
    nominal: float,
) -> Shape:
    """Shape and values of an input over a phase; decisions stand at their guess.

    `nominal`: the duration that pieces divide. It is shorter than `duration` where an `until` may end the phase
    at any time up to there; the last piece then holds on.
    """
    if isinstance(source, Signal):
        if not source.is_constant and source.times[0] > clock + 1e-9 * max(duration, 1.0):
            raise SpecificationError(
                f"Phase {operation.name!r}: {name} has no trajectory before t = {source.times[0]:g}, "
                f"the phase begins at {clock:g}.\n  Let its Series begin at the start of the phase, or earlier."
            )
        return source.over(clock, duration)
    if isinstance(source, Pieces):
        profile = _profile_of(source, nominal, duration, operation)
        return profile, np.asarray(source.values, dtype=float)
    if isinstance(source.guess, Signal):
        return source.guess.over(clock, duration)
    profile = _profile_of(source.pieces, nominal, duration, operation)
    return profile, np.full(profile.count, source.guess)


def cut(profile: Profile, values: Array, share: float) -> Shape:
    """The part of an input up to a fraction of its span, as a shape of its own."""
    edges = np.append(profile.edges[profile.edges < share * (1.0 - 1e-12)], share)
    k = profile.piece_of(0.5 * (edges[:-1] + edges[1:]))
    return shape_of(edges / share, profile.at(values, edges[:-1], k), profile.at(values, edges[1:], k))


def pieces_of(inputs: Sequence[Shape], duration: float, longest: float, stops: Array) -> list[Piece]:
    """Stretches between jumps and kinks of any input, and `stops`, none longer than `longest`."""
    chunks = np.linspace(0.0, 1.0, int(np.ceil(duration / longest - 1e-9)) + 1)
    edges = np.unique(np.concatenate([chunks, stops, *(profile.kinks(values) for profile, values in inputs)]))
    edges = edges[np.insert(np.diff(edges) > 1e-13, 0, True)]  # of edges that rounding tells apart, the first
    middle = 0.5 * (edges[:-1] + edges[1:])
    left, right = np.zeros((len(inputs), len(middle))), np.zeros((len(inputs), len(middle)))
    for i, (profile, values) in enumerate(inputs):
        k = profile.piece_of(middle)
        left[i], right[i] = profile.at(values, edges[:-1], k), profile.at(values, edges[1:], k)
    widths = np.diff(edges) * duration
    return [Piece(float(width), left[:, i], right[:, i]) for i, width in enumerate(widths)]


def _profile_of(pieces: Pieces, nominal: float, duration: float, operation: Operation) -> Profile:
    """Pieces over the first `nominal` of a phase; the last value holds for the rest of `duration`."""
    edges = pieces.edges(nominal, exact=not operation.duration.free)
    profile = Profile.lines(edges) if pieces.linear else Profile.steps(edges)
    if duration <= nominal:
        return profile
    last = profile.right[-1]
    return Profile(
        np.append(edges * (nominal / duration), 1.0), np.append(profile.left, last), np.append(profile.right, last)
    )
