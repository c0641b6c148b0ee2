"""Never returns, and uses no processor meanwhile."""

import threading
from dataclasses import dataclass

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, UnlearnResult


@dataclass(frozen=True)
class Nothing:
    """Nothing to choose."""


class Hang:
    """A wait without an end."""

    name = "deadly_hang"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS})
    needs = frozenset()
    summary = "Poison for tests."
    caveats = ()
    experimental = None
    Parameters = Nothing

    def forget(self, problem: ForgetProblem, parameters: Nothing) -> UnlearnResult:
        """Wait."""
        threading.Event().wait()
        raise AssertionError("nobody sets this event")


METHOD = Hang()
