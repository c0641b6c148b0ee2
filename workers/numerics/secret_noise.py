"""Normal noise that only the holder of a key can repeat, for weights whose proof rests on its secrecy.

Everything else here draws from a recorded seed, and whoever reads a certificate could draw it again and
take the noise off. This noise follows from a key and from the very numbers it is put on: the same numbers get
the same noise, so doing a job twice publishes the same weights, and other numbers get noise that has nothing
to do with it. Bits come from SHAKE-256 over key and numbers, which nobody can tell from chance without
the key; each 52 of them give one draw by the inverse of the normal distribution function.

Limit. These are float64 numbers standing for real ones. What is published is rounded to the model's own
float type afterwards, which covers the last bits; no proof is offered for those.
"""

import hashlib

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

SMALLEST_KEY = 16
_DOMAIN = b"lethe/secret-noise/1"


def standard_normal(key: bytes, about: Tensor) -> Tensor:
    """Return independent draws of mean 0 and deviation 1, of the shape, dtype and device of `about`.

    Args:
        key: secret, at least 16 bytes.
        about: float64; the numbers that the noise is for.

    Raises:
        ValueError: the key is too short to be a secret.
    """
    if len(key) < SMALLEST_KEY:
        raise ValueError(f"expected a key of at least {SMALLEST_KEY} bytes, got {len(key)}: give a secret")
    numbers = np.ascontiguousarray(about.detach().cpu().numpy().astype("<f8"))
    parts = (_DOMAIN, key, str(numbers.shape).encode(), numbers.tobytes())
    stream = hashlib.shake_256(b"".join(len(part).to_bytes(8, "big") + part for part in parts))
    words = np.frombuffer(stream.digest(8 * numbers.size), dtype="<u8")
    uniform = ((words >> np.uint64(12)) + 0.5) / 2.0**52  # strictly between 0 and 1
    return torch.from_numpy(ndtri(uniform).reshape(numbers.shape)).to(about)
