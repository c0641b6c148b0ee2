"""The dashboard's routes, one page family a file."""
