"""Runs the command line as `python -m lethe`."""

from lethe.cli import main

main()
