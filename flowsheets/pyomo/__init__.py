"""How does titer live among Pyomo's users? `plant.to_pyomo(recipe)` is a Pyomo.DAE model.

`solve_pyomo(model)` solves it. What is where in it stands in `titer.flowsheets.pyomo.model`; names are found both ways:

    component_of(model, reactor.T)      the Pyomo component behind a name of titer's
    name_of(component)                  titer's name of a Var or Expression
    value_of(model, reactor.T)          its value, at the end of the recipe
    trajectories(model)                 all of them, a frame over the recipe's time
    initialize(model, solution)         starting values from the simulation, or from a solution

The other way, `from_pyomo(block)` is a unit operation made of a Pyomo.DAE model; `inputs_of(unit)` what its inputs
were.

`plant.to_idaes(phase)` is an IDAES flowsheet, in real time. `initialize_flowsheet` gives it starting values again after
it was discretized; `state_port` and `state_inlet` connect it to unit models that use a property package; under
`with bundled_pynumero():` IDAES' numerical reports run from wheels.

Importing this package registers `SolverFactory("titer.ipopt")`, for any continuous Pyomo model, from wheels alone;
`explain(model, results)` says why one was not solved, and `with bundled_ipopt():` serves tools that ask for "ipopt".
"""

from titer.flowsheets.pyomo.idaes.ports import state_inlet, state_port
from titer.flowsheets.pyomo.idaes.pynumero import bundled_pynumero
from titer.flowsheets.pyomo.idaes.start import initialize_flowsheet
from titer.flowsheets.pyomo.imported.from_pyomo import PyomoUnit, from_pyomo, inputs_of
from titer.flowsheets.pyomo.model import discretize, lower_problem, lower_to_pyomo
from titer.flowsheets.pyomo.naming import component_of, name_of, trajectories, value_of
from titer.flowsheets.pyomo.solver.bundled import bundled_ipopt
from titer.flowsheets.pyomo.solver.explaining import explain
from titer.flowsheets.pyomo.solver.nl import NlOutcome, solve_pyomo
from titer.flowsheets.pyomo.solver.plugin import TiterIpopt
from titer.flowsheets.pyomo.start import initialize

__all__ = [
    "NlOutcome", "PyomoUnit", "TiterIpopt", "bundled_ipopt", "bundled_pynumero", "component_of", "discretize",
    "explain", "from_pyomo", "initialize", "initialize_flowsheet", "inputs_of", "lower_problem", "lower_to_pyomo",
    "name_of", "solve_pyomo", "state_inlet", "state_port", "trajectories", "value_of",
]  # fmt: skip
