"""The ledger: an append-only Merkle log of what was done, its proofs, and the certificates it vouches for."""
