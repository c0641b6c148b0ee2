"""Pages for people: what was asked, what became of it, what was measured; rendered on the server."""
