"""Side by side with peers, and the long proofs: each module is run by `python -m benchmarks.NAME`."""
