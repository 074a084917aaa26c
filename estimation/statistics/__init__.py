"""How sure is a fit, and what do the data say at all? Covariance, profiles, identifiability, diagnostics, selection."""
