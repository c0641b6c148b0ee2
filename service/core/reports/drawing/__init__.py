"""Drawings as SVG text: across in per cent, down in pixels, so that text keeps its size on any screen."""
