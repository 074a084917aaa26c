"""How does Pichia pastoris make a product on methanol in perfusion? The published upstream model."""

from __future__ import annotations

from collections.abc import Mapping

from titer.flowsheets.declarations import State
from titer.flowsheets.units.cultures.feeds import Feed, Piped
from titer.flowsheets.units.cultures.kinetics import Growth, Kinetics, Monod, Production, UptakeGrowth
from titer.flowsheets.units.cultures.operated import Perfusion


class PichiaPerfusion(Perfusion):
    """Perfusion of Pichia pastoris: growth on glycerol, then methanol, which induces the product.

    Equations, with F_in = F_g + F_m and the harvest F_out = F_in, which is free of cells
        q_g = q_max_g Sg / (Sg + K_g),  mu_g = Y_g q_g
        q_m = q_max_m Sm / (Sm + K_m),  mu_m = Y_m max(q_m - m, 0)
        dX/dt = (mu_g + mu_m) X
        dSg/dt = F_g Sg_glycerol / V - F_in Sg / V - q_g X,  dSm/dt = F_m Sm_methanol / V - F_in Sm / V - q_m X
        dP_i/dt = -F_in P_i / V + (a_g,i mu_g + a_m,i mu_m) X,  dV/dt = F_in - F_out - evaporation - sampling

    Symbols, with the names they have here
        X, Sg, Sm       biomass, glycerol, methanol [g/L];  V volume [L]
        P1, P2, P3      product and two impurities [g/L], which the harvest carries
        F_g, F_m        feeds of glycerol and of methanol [L/h], the controls: one or the other is open in the source
        Sg_glycerol, Sm_methanol   concentrations of the feeds [g/L]
        kinetics.glycerol    mu = mu_g, mu_max = Y_g q_max_g [1/h], Y_Sg = Y_g [g/g], K of Sg = K_g [g/L]
        kinetics.methanol    mu = mu_m [1/h], q = q_m, q_max, m maintenance [g/g/h], Y = Y_m [g/g], K of Sm = K_m [g/L]
        kinetics.P1, P2, P3  alpha = a_i [g/g]: for P1 of growth on methanol alone, for P2, P3 of both;
                             beta = 0 without growth, q specific rate [g/g/h]
        X_held_harvest  fraction of X that the harvest holds back, 1;  evaporation, sampling [L/h], 0

    The maximum is rounded over 1e-4 of q_max: mu_m is at most 1.1e-5 1/h too high, where q_m = m, and 2e-8 1/h where no
    methanol is or the feed suffices; over 90 h that makes 1e-6 of P1. On glycerol the source's maintenance is 0, and no
    maximum is needed.

    A substrate is used up within minutes and stays at 1e-16 g/L. So that a mesh may undershoot there, the domain of Sg
    and Sm reaches to -0.05 g/L, half way to the pole of the Monod terms, and that of P1, P2, P3, which no rate reads,
    has no lower end; a simulation keeps all of them at zero.

    Assumptions: perfect mixing; all cells are retained; the volume is kept by the harvest.
    Source: A. E. Lu, J. A. Paulson, R. D. Braatz et al., Control systems technology in the advanced manufacturing of
    biologic drugs, IEEE Conference on Control Applications (2015), and the virtual laboratory of NIIMBL. Check: a batch
    of 22 h ends with X = 28.1 g/L; 0.03 L/h of glycerol for 10 h leaves 61.6624, of methanol for 28 h more 76.7742 g/L,
    with 0.7183 g/L of P1.
    """

    populations: tuple[str, ...] = ("X",)
    substrates: tuple[str, ...] = ("Sg", "Sm")
    products: tuple[str, ...] = ("P1", "P2", "P3")
    carried: tuple[str, ...] = ("P1", "P2", "P3")
    feeds: Mapping[str, Feed | Piped] = {
        "glycerol": Feed({"Sg": 80.0}, upper=0.1, flow="F_g"),
        "methanol": Feed({"Sm": 40.0}, upper=0.1, flow="F_m"),
    }
    kinetics = Kinetics(
        glycerol=Growth(0.37 * 0.7, Monod("Sg", 0.1), yields={"Sg": 0.7}),
        methanol=UptakeGrowth("Sm", 0.57, Monod("Sm", 0.1), Y=0.36, m=0.013),
        P1=Production("P1", 0.1, growth="methanol"),
        P2=Production("P2", 0.001),
        P3=Production("P3", 0.01),
    )

    X = State("g/L", start=0.1, lower=0.0, nominal=50.0, doc="biomass")
    Sg = State("g/L", start=40.0, lower=-0.05, nominal=10.0, doc="glycerol")
    Sm = State("g/L", start=0.0, lower=-0.05, nominal=1.0, doc="methanol")
    P1 = State("g/L", start=0.0, nominal=1.0, doc="product")
    P2 = State("g/L", start=0.0, nominal=0.1, doc="impurity")
    P3 = State("g/L", start=0.0, nominal=1.0, doc="another impurity")
    V = State("L", start=0.5, lower=0.01, nominal=1.0, doc="volume of the broth")
