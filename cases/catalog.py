"""Which cases are there? Names and the modules that hold them, imported only when asked for."""

from __future__ import annotations

from importlib import import_module

from titer.cases.case import Case
from titer.numerics.errors import DeclarationError, SpecificationError, unknown

CATALOG = {
    "abc": "titer.cases.abc",
    "batch_elution": "titer.cases.batch_elution",
    "batch_kinetics": "titer.cases.batch_kinetics",
    "batch_nmpc": "titer.cases.batch_nmpc",
    "batch_reactor": "titer.cases.batch_reactor",
    "capture_loading": "titer.cases.capture_loading",
    "cho_fedbatch": "titer.cases.cho_fedbatch",
    "citrate_feeding": "titer.cases.citrate_feeding",
    "citrate_fit": "titer.cases.citrate_fit",
    "citrate_nmpc": "titer.cases.citrate_nmpc",
    "cstr_nmpc": "titer.cases.cstr_nmpc",
    "exotherm": "titer.cases.exotherm",
    "fedbatch_multistart": "titer.cases.fedbatch_multistart",
    "gas_oil": "titer.cases.gas_oil",
    "hybrid_reactor": "titer.cases.hybrid_reactor",
    "nitric_oxide": "titer.cases.nitric_oxide",
    "penicillin": "titer.cases.penicillin",
    "phycocyanin": "titer.cases.phycocyanin",
    "pichia_perfusion": "titer.cases.pichia_perfusion",
    "pinene": "titer.cases.pinene",
    "pulse_analysis": "titer.cases.pulse_analysis",
    "reactor_pareto": "titer.cases.reactor_pareto",
    "robust_feeding": "titer.cases.robust_feeding",
    "semibatch_safety": "titer.cases.semibatch_safety",
    "semibatch_safety_nmpc": "titer.cases.semibatch_safety_nmpc",
    "soft_sensor": "titer.cases.soft_sensor",
    "sma_gradient": "titer.cases.sma_gradient",
    "temperature_benchmark": "titer.cases.temperature_benchmark",
}


def find(name: str) -> Case:
    """Return the case of this name, importing its module."""
    if name not in CATALOG:
        raise SpecificationError(unknown("case", name, CATALOG))
    module = import_module(CATALOG[name])
    for value in vars(module).values():
        if isinstance(value, Case) and value.name == name:
            return value
    raise DeclarationError(f"{CATALOG[name]}: no function is decorated with @case({name!r}).")
