"""How long a call of the engine may take: what its model's training took, many times over.

The setting alone (`LETHE_DEADLINE_SECONDS`, a day) has to suit the largest model there is, so a child that
hangs on a small one would hold its worker for as long. Where the cost of training a model was measured, no
call about it should take many trainings: the longest retrain it, audit what came of it, or read all its data
a few times. The measure is an estimate of a moment, on a machine that may be busier now: the multiple is
generous, and there is a floor for what a tiny model cannot tell (imports, loads, a slow disk).
"""

TRAININGS = 20.0
FLOOR_SECONDS = 1800.0


def seconds_for(training_seconds: float | None, longest_seconds: float) -> float:
    """Return the deadline of a call.

    Args:
        training_seconds: Measured cost of training the call's model once; None where it is not known.
        longest_seconds: The setting, which bounds every call.
    """
    if training_seconds is None:
        return longest_seconds
    return min(longest_seconds, max(FLOOR_SECONDS, TRAININGS * training_seconds))
