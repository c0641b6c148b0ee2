"""The NeurIPS 2023 unlearning competition's metric, exact over its attacks, with its null and with bounds."""
