"""What only the dashboard draws, as places in per cent; the drawings of a report are in `core.reports`."""
