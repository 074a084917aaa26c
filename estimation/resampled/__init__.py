"""How do fitted values scatter? Fits to resampled data, in processes, kept as they finish."""
