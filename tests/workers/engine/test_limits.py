"""An engine with a bound refuses what is too large, says why, and is fit for the next call."""

import subprocess
import sys
from pathlib import Path

from tests.fixtures.processes import CODE_ROOT, environment

ROOM_BYTES = 256 << 20

SCRIPT = f"""
import torch
from workers.engine import limits, server
from workers.numerics import memory

torch.set_num_threads(1)
limits.bound(torch.device("cpu"), {ROOM_BYTES})
try:
    torch.ones({ROOM_BYTES}, dtype=torch.float64)
except RuntimeError as error:
    failure = server.failure_of(error)
    print(failure.code, failure.is_retryable, memory.free_bytes(torch.device("cpu")) <= {ROOM_BYTES})
print(int(torch.ones({ROOM_BYTES // 16}, dtype=torch.float32).sum()) == {ROOM_BYTES // 16})
print(open("/proc/self/oom_score_adj").read().strip())
"""


def test_what_passes_the_bound_is_refused_and_the_process_lives_on(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment(), cwd=CODE_ROOT, capture_output=True, text=True
    )

    assert done.stdout.split("\n") == ["out_of_memory True True", "True", "500", ""], done.stderr
