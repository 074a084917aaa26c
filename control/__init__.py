"""What should be done? Dynamic optimization of a plant under a recipe, what its optimum depends on, closed loops."""

from titer.control.action import Action, ActionStatus, Controller, Plan
from titer.control.fans import plot_scenarios, plot_stress
from titer.control.loops.actuators import Actuator
from titer.control.loops.close_loop import close_loop
from titer.control.loops.disturbances import Ramp, Step, Walk
from titer.control.loops.failing import Failing
from titer.control.loops.faults import Biased, Drifting, Frozen, Missing, Scaled, Spike, Stuck
from titer.control.loops.log import Log
from titer.control.loops.loop import Loop
from titer.control.loops.manual import Manual
from titer.control.loops.monte_carlo import monte_carlo
from titer.control.loops.open_loop import OpenLoop
from titer.control.loops.pid import PID
from titer.control.loops.sensors import Laboratory
from titer.control.loops.study import Study
from titer.control.loops.summary import Summary
from titer.control.loops.tuning import StepResponse, step_response, tuned
from titer.control.nmpc.branches import Tree
from titer.control.nmpc.controller import NMPC
from titer.control.nmpc.memory import ControlMemory, Mode
from titer.control.nmpc.methods import AdvancedStep, Converged, RealTimeIteration
from titer.control.nmpc.signals import Hold, Shed, Simulate
from titer.control.nmpc.soft import Soft
from titer.control.nmpc.tracking import Track
from titer.control.optimization import optimize
from titer.control.pareto import Front, pareto
from titer.control.sampling import Uniform, sample
from titer.control.sensitivity import Sensitivity, sensitivity, shadow_prices
from titer.control.stress import Stress, stress
from titer.flowsheets.problems.hedging import Chance, Mean, Scenarios, Worst

__all__ = [
    "NMPC",
    "PID",
    "Action",
    "ActionStatus",
    "Actuator",
    "AdvancedStep",
    "Biased",
    "Chance",
    "ControlMemory",
    "Controller",
    "Converged",
    "Drifting",
    "Failing",
    "Front",
    "Frozen",
    "Hold",
    "Laboratory",
    "Log",
    "Loop",
    "Manual",
    "Mean",
    "Missing",
    "Mode",
    "OpenLoop",
    "Plan",
    "Ramp",
    "RealTimeIteration",
    "Scaled",
    "Scenarios",
    "Sensitivity",
    "Shed",
    "Simulate",
    "Soft",
    "Spike",
    "Step",
    "StepResponse",
    "Stress",
    "Stuck",
    "Study",
    "Summary",
    "Track",
    "Tree",
    "Uniform",
    "Walk",
    "Worst",
    "close_loop",
    "monte_carlo",
    "optimize",
    "pareto",
    "plot_scenarios",
    "plot_stress",
    "sample",
    "sensitivity",
    "shadow_prices",
    "step_response",
    "stress",
    "tuned",
]
