"""Makes the reference bank: models that each learned from one half of the data, as scores."""
