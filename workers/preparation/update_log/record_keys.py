"""The keys of an update log: one a sample, in a file of their own, so that destroying one destroys records.

    keys.bin    for each training sample, ascending by position: position int64, key 32 bytes; zeros once
                destroyed

Nothing here needs torch, so that whoever destroys keys (`record_erasure`) needs none either.
"""

import os
import secrets
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.preparation.errors import RecordError

KEYS = "keys.bin"
KEY_BYTES = 32
ENTRY = np.dtype([("position", "<i8"), ("key", "u1", (KEY_BYTES,))])


def create(folder: Path, positions: NDArray[np.int64]) -> None:
    """Draw a key for each position, ascending, and write them durably; only the owner may read the file."""
    entries = np.zeros(len(positions), dtype=ENTRY)
    entries["position"] = positions
    drawn = np.frombuffer(secrets.token_bytes(KEY_BYTES * len(positions)), dtype=np.uint8)
    entries["key"] = drawn.reshape(-1, KEY_BYTES)
    handle = os.open(folder / KEYS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(entries.tobytes())
        file.flush()
        os.fsync(file.fileno())


class Keys:
    """The keys of one log, as they were when they were read.

    Args:
        folder: of the log.

    Raises:
        RecordError: there is no such file, or it is cut short.
    """

    def __init__(self, folder: Path) -> None:
        try:
            content = (folder / KEYS).read_bytes()
        except OSError as error:
            raise RecordError(
                f"expected the keys of an update log at {folder / KEYS}, they cannot be read "
                f"({error.strerror}); without them the log is void: remove it"
            ) from error
        if len(content) % ENTRY.itemsize:
            raise RecordError(
                f"expected whole keys at {folder / KEYS}, the file is cut short; remove the log"
            )
        entries = np.frombuffer(content, dtype=ENTRY)
        self.positions: NDArray[np.int64] = entries["position"].astype(np.int64)
        self._keys = entries["key"]

    def __len__(self) -> int:
        return len(self.positions)

    def index_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where each position's entry stands; -1 for one that was not trained on."""
        found = np.searchsorted(self.positions, positions)
        within = np.minimum(found, max(0, len(self) - 1))
        is_there = self.positions[within] == positions if len(self) else np.zeros(len(positions), dtype=bool)
        return np.where(is_there, within, -1).astype(np.int64)

    def is_destroyed(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each entry whether its key is gone."""
        gone: NDArray[np.bool_] = ~np.any(self._keys[indices], axis=1)
        return gone

    def key(self, index: int) -> bytes:
        """Return a key; zeros if it was destroyed."""
        return bytes(self._keys[index])
