"""What the engine can do, one call a file: prepare, unlearn, audit, carry over. No database, no broker."""
