"""Bounds the memory of this process, so that a model too large is refused and the machine lives on.

Without a bound, Linux grants what it does not have, and then kills whichever process it likes least: the
database perhaps. With one, the allocation that goes too far fails, and the engine answers `out_of_memory`.
"""

import contextlib
import resource
from pathlib import Path

import torch

from workers.numerics import memory

FIRST_TO_GO = 500
"""On the kernel's scale from -1000 to 1000; ordinary processes are at 0."""


def bound(device: torch.device, memory_bytes: int) -> None:
    """Let this process allocate so much beside what it holds now; 0 sets no bound.

    On the CPU it is the kernel's limit on data (RLIMIT_DATA), on a GPU the allocator's share of its memory.
    In any case the kernel is told to take this process first, if the machine itself runs out: its worker
    starts another.

    Args:
        device: Where tensors are.
        memory_bytes: The bound.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO))
    if memory_bytes == 0:
        return
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, memory_bytes / total), device)
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = memory.data_bytes() + memory_bytes
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
