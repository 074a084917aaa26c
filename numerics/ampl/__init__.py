"""How does a problem written for AMPL's solvers, an `.nl` file, reach the IPOPT inside CasADi?"""
