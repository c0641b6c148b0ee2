"""From a subject to its samples, to the dataset, to the models that learned from them; and the tombstones."""
