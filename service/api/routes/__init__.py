"""The routes, one router a file: a signature, a line of prose, one call."""
