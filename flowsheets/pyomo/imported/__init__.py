"""How does a Pyomo.DAE model become a unit operation? Its components are declarations, its rules are equations."""
