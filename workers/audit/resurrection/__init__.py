"""How much of a forgotten class comes back with little effort, and how much is usual."""
