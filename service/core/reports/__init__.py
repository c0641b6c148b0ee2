"""Audit reports for people and for machines: a run's JSON in, canonical JSON, HTML and SVG out; pure."""
