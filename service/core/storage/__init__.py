"""The artefact store: content-addressed files that are verified when read."""
