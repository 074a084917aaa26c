"""How is a plant steered by its model, sample after sample? Nonlinear model predictive control."""
