"""Drawings as numbers: where each bar, dot and tick stands, in per cent of the drawing's width."""
