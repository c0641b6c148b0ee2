"""The fleet: which workers and relays there are, as each says of itself every few seconds."""
