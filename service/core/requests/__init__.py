"""Forget requests: intake, life cycle, and the runs that serve them."""
