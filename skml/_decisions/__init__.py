"""Stage 4: probabilities to labels: thresholds, applied and tuned; arithmetic on arrays."""
