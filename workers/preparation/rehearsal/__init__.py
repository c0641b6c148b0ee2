"""Rehearses forgetting on copies of a version, before anybody asks for it, and says what it can promise."""
