"""One script a claim; each prints what it measured against a peer or a floor of the same run."""
