"""Kills its own process as long as a file of the data folder says so, and retrains once it is gone."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, UnlearnResult
from workers.unlearning.methods import retrain

BAD = "bad"
"""Name of the file."""


@dataclass(frozen=True)
class Nothing:
    """Nothing to choose."""


class WhileBad:
    """Death by a cause that can be mended."""

    name = "mendable"
    version = "1"
    guarantee = Guarantee.EXACT
    kinds = frozenset({Kind.CLASS})
    needs = retrain.METHOD.needs
    summary = "Poison for tests."
    caveats = ()
    experimental = None
    Parameters = Nothing

    def forget(self, problem: ForgetProblem, parameters: Nothing) -> UnlearnResult:
        """Die while things are bad, or retrain."""
        if Path(os.environ["LETHE_DATA_DIR"], BAD).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return retrain.METHOD.forget(problem, retrain.METHOD.Parameters())


METHOD = WhileBad()
