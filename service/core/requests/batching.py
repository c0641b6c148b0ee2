"""The batch window: how long the first request of a model waits for others to share its run.

The window opens with the first request that waits and closes for all who joined at once; a later one cannot
move its end. Nor does it ever cost a due date: it closes some trainings before the first of them. What is
answered by a masked output within seconds does not wait.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from service.core.registry.models import Model
from service.core.registry.policy import Policy
from service.core.requests import interims
from service.core.requests.models import ForgetRequest

TRAININGS_BEFORE_DUE = 4.0
"""Trainings that may follow a window: those of a ladder, and one attempt that was lost."""


def closes_at(model: Model, requests: Sequence[ForgetRequest], now: datetime) -> datetime | None:
    """Return when a run that serves requests which come now may begin: None for at once."""
    policy = Policy.model_validate(model.policy)
    if not policy.batch_window_seconds or any(interims.is_to_mask(one, policy) for one in requests):
        return None
    reserve = timedelta(seconds=TRAININGS_BEFORE_DUE * (model.training_seconds or 0.0))
    first_due_at = min(one.due_at for one in requests)
    is_over_at = min(now + timedelta(seconds=policy.batch_window_seconds), first_due_at - reserve)
    return is_over_at if is_over_at > now else None
