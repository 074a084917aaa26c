"""How is a Pyomo model solved by the IPOPT inside CasADi? A solver plug-in, an executable for those who ask by name."""
