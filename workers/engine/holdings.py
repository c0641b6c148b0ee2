"""Weighs what the engine holds: models kept ready, and the memory of its GPU if it computes on one."""

import time

import torch

from workers.engine.messages import Holdings
from workers.engine.operations.dispatch import Operations

INTERVAL_SECONDS = 1.0


class Scales:
    """Weighs one engine.

    Args:
        operations: What the engine has loaded.
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._weighed_at = 0.0

    def if_due(self) -> Holdings | None:
        """Weigh, unless that was done less than a second ago: progress comes with every batch."""
        return self.weigh() if time.monotonic() - self._weighed_at >= INTERVAL_SECONDS else None

    def weigh(self) -> Holdings:
        """Return what is held now."""
        self._weighed_at = time.monotonic()
        shelf, device = self._operations.shelf, self._operations.device
        used, total = gpu_memory(device)
        return Holdings(
            held_models=len({key.split("/")[0] for key in shelf.keys}),
            held_bytes=shelf.size_bytes,
            gpu_used_bytes=used,
            gpu_total_bytes=total,
        )


def gpu_memory(device: torch.device) -> tuple[int | None, int | None]:
    """Return the bytes in use on a GPU, by whomever, and those it has; None where nothing was begun on it.

    Asking a device makes a context on it, which costs memory itself: an engine that has not computed yet is
    not asked.
    """
    if device.type != "cuda" or not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return None, None
    free, total = torch.cuda.mem_get_info(device)
    return total - free, total
