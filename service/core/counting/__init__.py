"""Counters that survive every restart, because the database holds them."""
