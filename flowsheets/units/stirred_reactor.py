"""A closed, well-mixed vessel with any reaction network."""

from __future__ import annotations

from titer.flowsheets.units.vessel import Vessel


class StirredReactor(Vessel):
    """Closed, well-mixed vessel with any reaction network; A -> B -> C unless another is given.

    Equations
        k_j = k0_j exp(-E_j / (R T)), or k0_j exp(-E_j/R (1/T - 1/T_ref,j)) where the law has a T_ref
        r_j = k_j prod_i (c_i / c_ref)^n_ij     MassAction: n_ij = -nu_ij of the reactants;  PowerLaw: n_ij = order
        r_j = k_j f(v)  for a RateLaw;  r_j = f(v)  for a function
        dc_i/dt = sum_j nu_ij r_j
        rhoCp V dT/dt = Q_r + Q_j + Q_s,  Q_r = -V sum_j dH_j r_j
        Q_j as in the part `jacket`: Jacket, CoolantJacket, CascadeJacket, Adiabatic, Thermostat or Isothermal
        T_ad = T + sum_j (-dH_j) x_j / rhoCp
        conversion = converted / (converted + c_key),  dconverted/dt = -sum_j nu_key,j r_j

    Symbols
        c, T, V         concentrations [mol/L] over `species`, temperature [K], volume [L], a parameter
        r, k            rates of reaction and rate constants [mol/L/s], over `reactions`
        k0, E           frequency factors [mol/L/s], or rate constants at T_ref; activation energies [J/mol]
        order, c_ref    orders of power laws, order["r_1:A"]; reference concentration [mol/L] that lets one unit serve
                        every order: at 1 mol/L, k0 is the number that tables give for mol, L and s
        nu, dH          stoichiometric coefficients; heats of reaction [J/mol], negative where heat is released
        rhoCp, R        volumetric heat capacity [J/L/K], gas constant [J/mol/K]
        Q_r, Q_j, Q_s   heat of the reactions, from the jacket, and of stirring [W]
        T_ad            adiabatic temperature under cooling failure [K]: the reactions complete one after another in
                        the order declared, each by x_j, what its scarcest reactant (or the declared `limiting` one)
                        allows. The scarcest is a smooth minimum that never lies below the minimum, and less than
                        `rounding` (1e-4 mol/L) per reactant above it. Declare the more exothermic of competing
                        reactions first; of two opposite ones only the more exothermic completes
        converted       what has reacted of the key species [mol/L]; conversion [1]

    Structure: `species`, `reactions` (Reaction objects), `jacket`, `key` (default: the first species), `elements`
    (atoms in each species) and `molar_mass` [g/mol], which are checked against the stoichiometry, `added`. A species
    that does not start above zero, is not named in `added` (it comes with a stream, or with a phase's start) and is
    made by no reaction from such species is refused as unreachable. `c`, `k0`, `E`, `order` and `dH` may be given as
    dicts by label, c={"A": 1.0}; the numbers of the Reaction objects are the first values of these parameters.

    Assumptions: perfect mixing; constant volume and properties.
    Source: the stirred tank of reaction engineering texts (e.g. Fogler, Elements of Chemical Reaction Engineering,
    chapters 6 and 13); T_ad after Stoessel, Thermal Safety of Chemical Processes, chapters 3 and 5.
    """

    time = "s"
