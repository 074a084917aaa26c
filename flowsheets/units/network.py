"""What does a reaction network keep, and what must it satisfy? Stoichiometry, invariants, balances, reachability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from titer.flowsheets.units.reactions import PowerLaw, Reaction
from titer.numerics.errors import DeclarationError, unknown


def matrix_of(reactions: Sequence[Reaction], species: Sequence[str]) -> np.ndarray:
    """Stoichiometric coefficients: a row for each species, a column for each reaction."""
    return np.array([[float(r.stoichiometry.get(key, 0.0)) for r in reactions] for key in species])


def completing(reactions: Sequence[Reaction]) -> list[Reaction]:
    """Reactions that run to their end when the cooling fails, in the order in which they are declared."""
    return [r for r in reactions if (not _is_reversed(r, reactions) if r.completes is None else r.completes)]


def invariants(reactions: Sequence[Reaction], species: Sequence[str]) -> list[dict[str, float]]:
    """Combinations of moles that no reaction changes: a basis of the null space of the stoichiometry, in fractions."""
    rows = [[Fraction(x).limit_denominator(10**6) for x in column] for column in matrix_of(reactions, species).T]
    pivots: list[int] = []
    for column in range(len(species)):
        row = next((i for i in range(len(pivots), len(rows)) if rows[i][column]), None)
        if row is None:
            continue
        rows[row], rows[len(pivots)] = rows[len(pivots)], rows[row]
        top = rows[len(pivots)] = [x / rows[len(pivots)][column] for x in rows[len(pivots)]]
        for i, other in enumerate(rows):
            if i != len(pivots):
                rows[i] = [x - other[column] * y for x, y in zip(other, top, strict=True)]
        pivots.append(column)
    found = []
    for column in (j for j in range(len(species)) if j not in pivots):
        weights = {species[j]: -float(rows[i][column]) for i, j in enumerate(pivots) if rows[i][column]}
        found.append(weights | {species[column]: 1.0})
    return found


# --- what a network must satisfy -------------------------------------------------------------------------------


def check_reactions(who: str, reactions: Any, species: Any) -> None:
    """Reactions among the declared species, with different names. Raises DeclarationError."""
    if not isinstance(species, tuple | list) or not all(isinstance(key, str) for key in species):
        raise DeclarationError(f'{who}: species is a tuple of names such as ("A", "B"), got {species!r}.')
    if not isinstance(reactions, tuple | list) or not reactions or not all(isinstance(r, Reaction) for r in reactions):
        raise DeclarationError(
            f"{who}: reactions is a tuple of Reaction objects, got {reactions!r}.\n"
            '  Write reactions=(Reaction("r_1", {"A": -1, "B": 1}, MassAction(0.01)),).'
        )
    names = [r.name for r in reactions]
    for reaction in reactions:
        what = f"{who}: reaction {reaction.name}"
        if names.count(reaction.name) > 1:
            raise DeclarationError(f"{what} is declared twice.\n  Give each reaction a name of its own.")
        orders = reaction.law.orders if isinstance(reaction.law, PowerLaw) else {}
        for key in (*reaction.stoichiometry, *orders):
            if key not in species:
                raise DeclarationError(f"{what}: {unknown('species', key, species)}")


def check_balances(
    who: str, reactions: Sequence[Reaction], species: Sequence[str], elements: Mapping[str, Any]
) -> None:
    """Every reaction keeps every element. Raises DeclarationError with the element and the imbalance."""
    _check_keys(who, "elements", elements, species)
    for reaction in reactions:
        for element in sorted({element for composition in elements.values() for element in composition}):
            made = {key: n * elements[key].get(element, 0) for key, n in reaction.stoichiometry.items()}
            excess = sum(made.values())
            if abs(excess) > 1e-9 * sum(map(abs, made.values())):
                before, after = -sum(n for n in made.values() if n < 0), sum(n for n in made.values() if n > 0)
                raise DeclarationError(
                    f"{who}: reaction {reaction.name} ({reaction}) does not keep element {element}: "
                    f"{before:g} before, {after:g} after ({excess:+g}).\n"
                    "  Correct its stoichiometry, add the species that is missing, or correct elements={...}."
                )


def check_masses(who: str, reactions: Sequence[Reaction], species: Sequence[str], masses: Mapping[str, float]) -> None:
    """Every reaction keeps mass, within a thousandth for rounded molar masses. Raises DeclarationError."""
    _check_keys(who, "molar_mass", masses, species)
    for reaction in reactions:
        made = [n * masses[key] for key, n in reaction.stoichiometry.items()]
        if abs(sum(made)) > 1e-3 * sum(map(abs, made)) / 2.0:
            raise DeclarationError(
                f"{who}: reaction {reaction.name} ({reaction}) does not keep mass: {sum(made):+g} g/mol.\n"
                "  Correct its stoichiometry, add the species that is missing, or correct molar_mass={...}."
            )


def check_reachable(
    who: str, reactions: Sequence[Reaction], species: Sequence[str], sources: Mapping[str, bool]
) -> None:
    """Every species is present, arrives, or is made from such species. Raises DeclarationError."""
    reached = {key for key in species if sources.get(key)}
    while new := {key for r in reactions if r.needed <= reached for key in r.stoichiometry} - reached:
        reached |= new
    for key in species:
        if key not in reached:
            makers = [r for r in reactions if r.stoichiometry.get(key, 0) > 0]
            wanting = ", ".join(sorted(set().union(*(r.needed for r in makers)) - reached))
            why = f"{makers[0].name} ({makers[0]}) would make it but {wanting} is absent too" if makers else ""
            raise DeclarationError(
                f"{who}: species {key} can never appear: it starts at 0, is not fed, and "
                f"{why or 'no reaction makes it'}.\n"
                f'  Give it a start or a feed, name it in added=("{key}",) if it comes with a stream or a phase\'s '
                f"start, or correct the reactions."
            )


def check_heats(who: str, reactions: Sequence[Reaction], heats: Sequence[float]) -> None:
    """No heat of reaction in a reactor that is declared isothermal. Raises DeclarationError."""
    for reaction, heat in zip(reactions, heats, strict=True):
        if heat != 0.0:
            raise DeclarationError(
                f"{who}: reaction {reaction.name} has a heat of {heat:g} J/mol, but the reactor is Isothermal: "
                f"no energy balance makes T a state that the heat could change.\n"
                "  Write jacket=Jacket() for an energy balance, jacket=Thermostat() where cooling always suffices\n"
                "  (Q_j is then its load), or leave dH out."
            )


def _check_keys(who: str, what: str, given: Mapping[str, Any], species: Sequence[str]) -> None:
    for key in species:
        if key not in given:
            raise DeclarationError(f"{who}: {what} lacks species {key}.\n  Give all of {', '.join(species)}, or none.")
    for key in given:
        if key not in species:
            raise DeclarationError(f"{who}: {what}: {unknown('species', key, species)}")


def _is_reversed(reaction: Reaction, reactions: Sequence[Reaction]) -> bool:
    """Whether another reaction is its opposite and releases more heat (or as much, and is declared first)."""
    others = [r for r in reactions if r is not reaction and _opposite(r, reaction)]
    return any((_heat(r), reactions.index(r)) < (_heat(reaction), reactions.index(reaction)) for r in others)


def _opposite(one: Reaction, other: Reaction) -> bool:
    if set(one.stoichiometry) != set(other.stoichiometry):
        return False
    ratios = [other.stoichiometry[key] / n for key, n in one.stoichiometry.items()]
    return ratios[0] < 0 and np.allclose(ratios, ratios[0])


def _heat(reaction: Reaction) -> float:
    return float(getattr(reaction.dH, "value", reaction.dH) or 0.0)
