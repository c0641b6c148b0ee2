"""What the processes below this one have computed, by the kernel's count.

Where others share the machine, the time on the clock says little.
"""

import os
from collections import defaultdict
from pathlib import Path

PARENT, USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM = 1, 11, 12, 13, 14
"""Fields of `/proc/PID/stat` behind the name, from 0; those of children count what was waited for."""


def seconds_below() -> float:
    """Return the CPU seconds of all processes that this one started, and of theirs."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    ticks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:
            continue  # it ended meanwhile
        if fields:
            children[int(fields[PARENT])].append(int(entry.name))
            counted = (USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM)
            ticks[int(entry.name)] = sum(int(fields[place]) for place in counted)
    below, total = [*children[os.getpid()]], 0
    while below:
        pid = below.pop()
        total += ticks[pid]
        below += children[pid]
    return total / os.sysconf("SC_CLK_TCK")
