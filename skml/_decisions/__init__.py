"""Stage 4: turn probabilities into labels, by thresholds that are given or tuned, on arrays and without a network."""
