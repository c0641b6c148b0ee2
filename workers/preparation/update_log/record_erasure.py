"""Erases what an update log knows: the keys of those who were forgotten, or the whole of a log without use.

A key is overwritten where it lies and the file fsynced: no second copy is written, and half a key is none.
What a disk or file system keeps of overwritten blocks (flash, snapshots, copy-on-write, backups) it keeps:
the keys belong where that can be destroyed too. All of it is safe to run twice, and after a run that was cut
short. Nothing here needs torch.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.preparation.update_log.record_keys import ENTRY, KEY_BYTES, KEYS, Keys

HEADER, RECORDS, MEMBERS = "log.json", "records.bin", "members.bin"
PURGED = "purged"


def destroy_keys(folder: Path, positions: Sequence[int] | NDArray[np.int64]) -> int:
    """Destroy the keys of some positions for good.

    Returns:
        How many of the positions have a destroyed key now; one that was not trained on has none.

    Raises:
        RecordError: there are no keys to read.
        OSError: the file cannot be written.
    """
    keys = Keys(folder)
    indices = keys.index_of(np.unique(np.asarray(positions, dtype=np.int64)))
    indices = indices[indices >= 0]
    handle = os.open(folder / KEYS, os.O_WRONLY)
    try:
        for index in indices[~keys.is_destroyed(indices)].tolist():
            os.pwrite(handle, bytes(KEY_BYTES), (index + 1) * ENTRY.itemsize - KEY_BYTES)
        os.fsync(handle)
    finally:
        os.close(handle)
    return len(indices)


def void(folder: Path) -> None:
    """Make a log unreadable for good, remove its files, and leave its header, which then says so.

    Raises:
        OSError: a file cannot be written or removed.
    """
    keys = folder / KEYS
    if keys.exists():
        handle = os.open(keys, os.O_WRONLY)
        try:
            os.pwrite(handle, bytes(keys.stat().st_size), 0)
            os.fsync(handle)
        finally:
            os.close(handle)
    header = folder / HEADER
    if header.exists():
        told = json.loads(header.read_text(encoding="utf-8"))
        replace_json(header, {**told, "state": PURGED, "identity": {}})
    for name in (KEYS, RECORDS, MEMBERS):
        (folder / name).unlink(missing_ok=True)


def replace_json(file: Path, told: Mapping[str, Any]) -> None:
    """Put a JSON record in the place of the one before, whole or not at all."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8") as stream:
            json.dump(told, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
