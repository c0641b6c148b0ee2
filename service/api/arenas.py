"""Has the C library give large blocks back at once, and keep few arenas.

glibc maps large blocks by themselves, but raises what it calls large whenever one is freed, up to 32 MiB, and
gives each thread an arena. So after a few calls that name 100,000 samples each thread that took one would
keep tens of megabytes for the next. A fixed bound costs such a call some page faults, and short ones nothing.
"""

import ctypes

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""Names of `mallopt(3)`."""
LARGE_BYTES = 128 << 10
NUM_ARENAS = 2


def bound() -> None:
    """Bound what this process keeps; where the C library has no such call, nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_ARENA_MAX, NUM_ARENAS)
