"""Asking what to serve, waiting for it and pulling it, next to bare servers."""
