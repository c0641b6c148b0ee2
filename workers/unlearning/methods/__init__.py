"""One file a method; the folder scan of `workers.unlearning.registry` finds each by its METHOD."""
