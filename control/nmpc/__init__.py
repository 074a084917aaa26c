"""How is a plant steered by its model? The controller `NMPC` and what it is made of."""
