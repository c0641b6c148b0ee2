"""Decides whether a forgotten model may be published; numerical, and blind to how it came about."""
