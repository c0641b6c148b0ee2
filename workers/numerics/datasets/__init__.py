"""Where samples come from: one file a kind of source, all of them a manifest and images read on demand."""
