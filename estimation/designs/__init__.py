"""Which batches should be run next? Proposed experiments, their information, and the best of them."""
