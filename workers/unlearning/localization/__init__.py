"""Finds the few weights that a forget set lives in: one file a strategy, `strategies` knows them by name."""
