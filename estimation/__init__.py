"""titer."""
