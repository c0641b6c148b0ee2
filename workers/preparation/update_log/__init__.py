"""The log of a training: how far each batch or sample moved the weights, sealed under a key a sample."""
