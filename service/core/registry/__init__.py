"""Models, their versions, which one is served, and below which none may be served again."""
