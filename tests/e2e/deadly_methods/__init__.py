"""Unlearning methods that kill the process which runs them, or never return: poison for tests."""
