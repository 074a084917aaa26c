"""do-mpc's two examples, step by step on request: run by the interpreter of an environment that has do-mpc, not titer.

`python nmpc_do_mpc.py cstr|tree|fermentation` answers each line on standard input (null: go on; {"x", "before"}: a cold
start there) by a line of JSON: the state, the move before, do-mpc's move, its seconds and those of the processor, and
the move of the same program solved to 1e-10. The numbers are those of the examples in do-mpc's repository.
"""

import json
import os
import sys
import warnings
from time import perf_counter, process_time

import numpy as np

warnings.filterwarnings("ignore")
QUIET = {"ipopt.print_level": 0, "ipopt.sb": "yes", "print_time": 0}


def cstr_model(do_mpc, exp):
    """Van de Vusse's reactor: examples/CSTR."""
    model = do_mpc.model.Model("continuous")
    a, b, T, T_K = (model.set_variable("_x", name, shape=(1, 1)) for name in ("C_a", "C_b", "T_R", "T_K"))
    F, Q = (model.set_variable("_u", name) for name in ("F", "Q_dot"))
    alpha, beta = (model.set_variable("_p", name) for name in ("alpha", "beta"))
    k1 = beta * 1.287e12 * exp(-9758.3 / (T + 273.15))
    k2 = 1.287e12 * exp(-9758.3 / (T + 273.15))
    k3 = 9.043e9 * exp(-alpha * 8560.0 / (T + 273.15))
    heat = k1 * a * 4.2 + k2 * b * -11.0 + k3 * a**2 * -41.85
    model.set_rhs("C_a", F * (5.1 - a) - k1 * a - k3 * a**2)
    model.set_rhs("C_b", -F * b + k1 * a - k2 * b)
    model.set_rhs(
        "T_R", heat / (-0.9342 * 3.01) + F * (130.0 - T) + 4032.0 * 0.215 * (T_K - T) / (0.9342 * 3.01 * 10.01)
    )
    model.set_rhs("T_K", (Q + 4032.0 * 0.215 * (T - T_K)) / (5.0 * 2.0))
    model.setup()
    return model


def cstr_mpc(do_mpc, model, tree, options):
    mpc = do_mpc.controller.MPC(model)
    mpc.set_param(
        n_horizon=20, n_robust=1 if tree else 0, open_loop=0, t_step=0.005, state_discretization="collocation",
        collocation_type="radau", collocation_deg=2, collocation_ni=1, store_full_solution=False,
        nlpsol_opts=QUIET | options,
    )  # fmt: skip
    mpc.scaling["_x", "T_R"] = mpc.scaling["_x", "T_K"] = mpc.scaling["_u", "F"] = 100
    mpc.scaling["_u", "Q_dot"] = 2000
    term = (model.x["C_b"] - 0.6) ** 2
    mpc.set_objective(mterm=term, lterm=term)
    mpc.set_rterm(F=0.1, Q_dot=1e-3)
    for name, lower, upper in (("C_a", 0.1, 2.0), ("C_b", 0.1, 2.0), ("T_R", 50.0, None), ("T_K", 50.0, 140.0)):
        mpc.bounds["lower", "_x", name] = lower
        if upper is not None:
            mpc.bounds["upper", "_x", name] = upper
    mpc.bounds["lower", "_u", "F"], mpc.bounds["upper", "_u", "F"] = 5.0, 100.0
    mpc.bounds["lower", "_u", "Q_dot"], mpc.bounds["upper", "_u", "Q_dot"] = -8500.0, 0.0
    mpc.set_nl_cons("T_R", model.x["T_R"], ub=140, soft_constraint=True, penalty_term_cons=1e2)
    if tree:
        mpc.set_uncertainty_values(alpha=np.array([1.0, 1.05, 0.95]), beta=np.array([1.0, 1.1, 0.9]))
    else:
        mpc.set_uncertainty_values(alpha=np.array([1.0]), beta=np.array([1.0]))
    mpc.setup()
    return mpc


def fermentation_model(do_mpc, exp):
    """The fed-batch bioreactor: examples/batch_reactor."""
    model = do_mpc.model.Model("continuous")
    X, S, P, V = (model.set_variable("_x", name) for name in ("X_s", "S_s", "P_s", "V_s"))
    feed = model.set_variable("_u", "inp")
    Y_x, S_in = (model.set_variable("_p", name) for name in ("Y_x", "S_in"))
    mu = 0.02 * S / (0.05 + S + S**2 / 5.0)
    model.set_rhs("X_s", mu * X - feed / V * X)
    model.set_rhs("S_s", -mu * X / Y_x - 0.004 * X / 1.2 + feed / V * (S_in - S))
    model.set_rhs("P_s", 0.004 * X - feed / V * P)
    model.set_rhs("V_s", feed)
    model.setup()
    return model


def fermentation_mpc(do_mpc, model, tree, options):
    mpc = do_mpc.controller.MPC(model)
    mpc.set_param(
        n_horizon=20, n_robust=0, open_loop=0, t_step=1.0, state_discretization="collocation",
        collocation_type="radau", collocation_deg=2, collocation_ni=2, store_full_solution=False,
        nlpsol_opts=QUIET | options,
    )  # fmt: skip
    mpc.set_objective(mterm=-model.x["P_s"], lterm=-model.x["P_s"])
    mpc.set_rterm(inp=1.0)
    for name, lower, upper in (("X_s", 0.0, 3.7), ("S_s", -0.01, None), ("P_s", 0.0, 3.0), ("V_s", 0.0, None)):
        mpc.bounds["lower", "_x", name] = lower
        if upper is not None:
            mpc.bounds["upper", "_x", name] = upper
    mpc.bounds["lower", "_u", "inp"], mpc.bounds["upper", "_u", "inp"] = 0.0, 0.2
    mpc.set_uncertainty_values(Y_x=np.array([0.5]), S_in=np.array([200.0]))
    mpc.setup()
    return mpc


CSTR = (cstr_model, cstr_mpc, [0.8, 0.5, 134.14, 130.0], {"alpha": 1.0, "beta": 1.0}, 0.005)
FERMENTATION = (fermentation_model, fermentation_mpc, [1.0, 0.5, 0.0, 120.0], {"Y_x": 0.5, "S_in": 200.0}, 1.0)
EXAMPLES = {"cstr": CSTR, "tree": CSTR, "fermentation": FERMENTATION}


def serve(name, answers):
    """Answer requests until standard input ends."""
    import do_mpc
    from casadi import exp

    make_model, make_mpc, x0, parameters, step = EXAMPLES[name]
    model = make_model(do_mpc, exp)
    mpc = make_mpc(do_mpc, model, name == "tree", {})
    exact = make_mpc(do_mpc, model, name == "tree", {"ipopt.tol": 1e-10})
    simulator = do_mpc.simulator.Simulator(model)
    simulator.set_param(integration_tool="cvodes", abstol=1e-10, reltol=1e-10, t_step=step)
    values = simulator.get_p_template()
    for key, value in parameters.items():
        values[key] = value
    simulator.set_p_fun(lambda t: values)
    simulator.setup()
    x = np.array(x0).reshape(-1, 1)
    for each in (mpc, exact, simulator):
        each.x0 = x
    mpc.set_initial_guess()
    exact.set_initial_guess()
    before = np.zeros(model.n_u)
    print(json.dumps({"ready": do_mpc.__version__}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked is not None:  # a cold start from a state of its own
            x, before = np.array(asked["x"]).reshape(-1, 1), np.array(asked["before"])
            for each in (mpc, exact):
                each.x0, each.u0 = x, before.reshape(-1, 1)
                each.set_initial_guess()
        began, worked = perf_counter(), process_time()
        u = mpc.make_step(x)
        worked, seconds = process_time() - worked, perf_counter() - began
        sharp = exact.make_step(x)
        answer = {
            "x": x.ravel().tolist(),
            "before": before.tolist(),
            "u": u.ravel().tolist(),
            "sharp": sharp.ravel().tolist(),
            "seconds": seconds,
            "worked": worked,
            "ok": bool(mpc.solver_stats["success"]),
            "iterations": int(mpc.solver_stats["iter_count"]),
        }
        before = u.ravel()
        exact.u0 = u  # both go on from what was applied
        x = simulator.make_step(u)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # IPOPT's banner goes nowhere
    serve(sys.argv[1], channel)
