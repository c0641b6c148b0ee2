"""Tells how much memory is left to this process, and whether an error means that there was too little.

Torch says so in three ways: its own error on a GPU, Python's MemoryError, and on the CPU a RuntimeError that
only its text tells from others. Whoever translates an error keeps its cause, so the whole chain is looked at.
"""

import resource
from collections.abc import Iterator
from pathlib import Path

import torch

_SHORTAGES = ("can't allocate memory", "not enough memory", "Cannot allocate memory")
_CGROUP = Path("/sys/fs/cgroup")


def is_shortage(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, means that memory ran out."""
    return any(_tells_of_shortage(each) for each in _chain(error))


def free_bytes(device: torch.device) -> int:
    """Return how many bytes may be allocated on a device before somebody refuses; an estimate, of now.

    On the CPU it is the least of what the machine has available, what the control group is allowed, and what
    RLIMIT_DATA leaves; 0 where the system does not tell.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return max(0, min([_available(), *_group_leaves(), *_limit_leaves()]))
    except OSError:
        return 0


def data_bytes() -> int:
    """Return what the kernel counts against RLIMIT_DATA of this process."""
    return _kilobytes(Path("/proc/self/status"), "VmData")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def _tells_of_shortage(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and any(text in str(error) for text in _SHORTAGES)


def _available() -> int:
    return _kilobytes(Path("/proc/meminfo"), "MemAvailable")


def _group_leaves() -> Iterator[int]:
    try:
        allowed = (_CGROUP / "memory.max").read_text().strip()
        if allowed != "max":
            yield int(allowed) - int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # no control group, or one of the older kind
        return


def _limit_leaves() -> Iterator[int]:
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY:
        yield soft - data_bytes()


def _kilobytes(file: Path, name: str) -> int:
    """Return a line's value in bytes."""
    for line in file.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"expected a line {name} in {file}, got none; this needs Linux's proc file system")
