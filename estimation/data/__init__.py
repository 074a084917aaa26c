"""What was measured, and can it be trusted? Noise, units, files, checks at the door, outliers."""
