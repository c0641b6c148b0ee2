"""Ranks every registered method on every kind of request that it serves; `__main__` tells how."""
