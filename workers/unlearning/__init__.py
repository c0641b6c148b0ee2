"""Unlearning methods and the words they share; numerical only, no database, no network."""
