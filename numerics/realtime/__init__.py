"""How is a program solved again and again, fast? Condensed quadratic programs, warm starts, one iteration per sample."""
