"""The HTTP edge: parse, call the kernel, shape the answer. The only code that knows FastAPI."""
