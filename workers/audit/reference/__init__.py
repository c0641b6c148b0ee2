"""Models that never saw a sample, as numbers: what a forgotten sample is held against."""
