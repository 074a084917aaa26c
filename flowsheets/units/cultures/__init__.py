"""What grows in a vessel? Stirred cultures, their kinetics, gas and heat, and published models of them."""
