"""One file a check; the folder scan of `workers.audit.registry` finds each by its CHECK."""
