"""Kills its own process where one class is to be forgotten, and retrains without any other."""

import os
import signal
from dataclasses import dataclass

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, UnlearnResult
from workers.unlearning.methods import retrain

POISON = 7
"""The class that kills."""


@dataclass(frozen=True)
class Nothing:
    """Nothing to choose."""


class Crash:
    """Death by one class."""

    name = "deadly_crash"
    version = "1"
    guarantee = Guarantee.EXACT
    kinds = frozenset({Kind.CLASS})
    needs = retrain.METHOD.needs
    summary = "Poison for tests."
    caveats = ()
    experimental = None
    Parameters = Nothing

    def forget(self, problem: ForgetProblem, parameters: Nothing) -> UnlearnResult:
        """Die of the one class, or retrain."""
        if POISON in problem.classes:
            os.kill(os.getpid(), signal.SIGKILL)
        return retrain.METHOD.forget(problem, retrain.METHOD.Parameters())


METHOD = Crash()
