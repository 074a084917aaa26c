"""What do equations compute with? Quantities with units that read as floats, CasADi, Pyomo or formulas."""
