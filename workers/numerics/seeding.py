"""Random streams that depend on nothing but a recorded seed and a name, never on who drew before.

Every use of chance has a stream of its own: `generator(recipe.seed, "order", epoch)` gives the same numbers
whatever else was drawn, so adding a draw in one place changes nothing in another.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray


def derive(seed: int, *names: str | int) -> int:
    """Return the sub-seed in [0, 2^63) of a named use of chance: 63 bits of SHA-256(seed/name/name...)."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> torch.Generator:
    """Return a fresh CPU generator for a named use of chance."""
    return torch.Generator().manual_seed(derive(seed, *names))


def fixed_permutation(length: int, name: str) -> NDArray[np.int64]:
    """Return the permutation of range(length) that belongs to `name`, the same in every release of NumPy.

    RandomState is the one stream NumPy promises never to change, and a data set's splits must never change.
    """
    return np.random.RandomState(derive(0, name) % 2**32).permutation(length).astype(np.int64)


@contextmanager
def isolated(device: torch.device, seed: int, *names: str | int) -> Iterator[None]:
    """Seed torch's global generators for the block and put them back after it.

    Module initialisation and dropout read the global generator and can be given no other; everything else
    takes a generator of its own. On CUDA, cuDNN is held to deterministic kernels meanwhile. Not safe
    against other threads that draw from the global generator.
    """
    if device.type != "cuda":
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive(seed, *names))
            yield
        return
    with (
        torch.random.fork_rng(devices=[device]),
        torch.cuda.device(device),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        torch.default_generator.manual_seed(derive(seed, *names))
        torch.cuda.manual_seed(derive(seed, *names))
        yield
