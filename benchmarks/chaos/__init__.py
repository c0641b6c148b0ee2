"""A campaign of faults against a whole Lethe, and a checker that looks for what they broke."""
