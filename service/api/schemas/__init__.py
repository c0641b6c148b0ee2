"""What the API takes and what it gives, as records."""
