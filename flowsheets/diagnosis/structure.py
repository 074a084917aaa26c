"""Do the equations of a phase determine its variables, in how many blocks, and of which index were they written?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from titer.flowsheets.diagnosis.examined import Examined, listed
from titer.flowsheets.diagnosis.findings import Finding, Severity
from titer.numerics.dae import Dae
from titer.numerics.structure import structure


def reductions(examined: Examined) -> Iterator[Finding]:
    """Phases whose model was reduced: which equations are held by projection."""
    for operation in examined.planned:
        dae = operation.lowered.dae
        if not dae.invariant_names or not examined.asked.plant.reduces:
            continue
        held = [name for name in dae.invariant_names if not name.startswith("der(")]
        text = f"phase {operation.name!r} is written with index {index(dae)} and reduced: {listed(held)}"
        text = f"{text} {'is' if len(held) == 1 else 'are'} held by projection"
        mend = "A start that is slightly off these equations is moved onto them; one that is far off is an error."
        yield Finding(Severity.NOTE, held[0], text, mend)


def index(dae: Dae) -> int:
    """The index a model was written with: of a reduced one, how often its equations were differentiated, and 1."""
    depth = max((1 + name.count("der(") for name in dae.invariant_names), default=0)
    return depth + (1 if dae.algebraics else 0)


def blocks(dae: Dae) -> int:
    """How many blocks of algebraic equations are solved one after another."""
    if not dae.algebraics:
        return 0
    sparsity = dae.function.jac_sparsity(1, 2)
    pattern = np.zeros(sparsity.shape, dtype=bool)
    rows, columns = sparsity.get_triplet()
    pattern[rows, columns] = True
    return len(structure(pattern).blocks)
