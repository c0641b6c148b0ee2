"""The database floor: names, types, engine and the one-transaction session."""
