"""What methods that train share: the descent, its budget, its losses, and what it starts from."""
