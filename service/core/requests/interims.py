"""Interim versions: what they have forgotten counts as forgotten everywhere, and completes nothing.

Vocabulary. An *interim version* is served in the place of its base while the requests that it serves stay
open. A *settled* request is one that an interim version has forgotten by more than a masked output; it waits
for the exact retraining that closes it. A *suppressed* one is only masked, and nothing has been forgotten.

The rule. What is settled is treated as forgotten by whatever reads the data or what was derived from them:
the next run, the refresh, the purge, a bank, the log of a training. It has no tombstone and no certificate.
Only the run that retrains for the request counts its data as its own. What is suppressed is forgotten by
nobody: a run on a masked version starts from the weights without the mask, and must forget it.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from sqlalchemy.orm import Session

from service.core import clock
from service.core.ledger.claims import Guarantee
from service.core.lineage import repository as lineage
from service.core.queue import repository as queue
from service.core.queue.models import JobKind
from service.core.registry.models import Model, Version
from service.core.registry.policy import Policy
from service.core.requests import repository
from service.core.requests.models import AUTO, ForgetRequest, Run, TargetKind

INTERIM_PUBLISHED = "interim_published"
"""Reason of a request that is queued, and served by an interim version."""

MASK_METHOD = "output_mask"
"""What answers a class request within seconds, where the policy says so or a request names it."""

TRAININGS_BEFORE_DUE = 2.0
"""How many trainings before the first due date the exact retraining begins at the latest."""


@dataclass(frozen=True)
class Forgotten:
    """What a model has forgotten, by runs that closed their requests or by interim versions.

    Attributes:
        classes: Labels, ascending.
        positions: Manifest positions, ascending; those of the classes' training samples among them.
    """

    classes: tuple[int, ...]
    positions: tuple[int, ...]

    @cached_property
    def _sets(self) -> tuple[frozenset[int], frozenset[int]]:
        return frozenset(self.classes), frozenset(self.positions)

    def covers(self, request: ForgetRequest) -> bool:
        """Whether nothing of a request's target is left to forget."""
        classes, positions = self._sets
        if request.classes:
            return classes.issuperset(request.classes)
        return positions.issuperset(request.positions or ())


def is_settled(request: ForgetRequest) -> bool:
    """Whether an interim version has forgotten the request's target, by more than a mask."""
    return request.interim is not None and not is_suppressed(request)


def is_suppressed(request: ForgetRequest) -> bool:
    """Whether all that an interim version did for the request is to mask an output."""
    return request.interim is not None and request.interim["guarantee"] == Guarantee.SUPPRESSED


def is_to_mask(request: ForgetRequest, policy: Policy) -> bool:
    """Whether a request is answered by a masked output first, and was not yet."""
    if request.kind != TargetKind.CLASS or request.interim is not None:
        return False
    return request.method == MASK_METHOD or (request.method == AUTO and policy.suppress_first)


def reason_of(request: ForgetRequest) -> str | None:
    """Return why a request that waits has been served already, if it has."""
    return INTERIM_PUBLISHED if request.interim is not None else None


def forgotten(session: Session, model: Model, besides: Collection[uuid.UUID] = ()) -> Forgotten:
    """Return all that must not be read again of what a model learned from.

    Args:
        session: The transaction.
        model: The model.
        besides: Settled requests that a run serves now: their data are its own to forget.
    """
    settled = [
        one for one in repository.with_interim(session, model.id) if is_settled(one) and one.id not in besides
    ]
    labels = {label for one in settled for label in one.classes}
    positions = {place for one in settled for place in one.positions or ()}
    positions.update(lineage.training_positions(session, model.dataset_id, labels))
    return Forgotten(
        classes=tuple(sorted(labels | lineage.forgotten_classes(session, model.id).keys())),
        positions=tuple(sorted(positions.union(lineage.forgotten_positions(session, model.id)))),
    )


def told(version: Version, run: Run) -> dict[str, object]:
    """Return what a request keeps of the interim version that serves it."""
    return {
        "version": version.number,
        "guarantee": version.guarantee,
        "published_at": clock.rfc3339(version.published_at),
        "run": str(run.id),
    }


def schedule(session: Session, model: Model, *, is_possible: bool = True) -> None:
    """Make sure that a job retrains for all settled requests of a model when that is due.

    Args:
        session: The transaction.
        model: The model.
        is_possible: Whether the model can be retrained; if not, a person is to hear of it at once.
    """
    settled = [one for one in repository.with_interim(session, model.id) if is_settled(one)]
    if settled:
        starts_at = exact_at(
            Policy.model_validate(model.policy), model.training_seconds, settled, clock.now()
        )
        queue.enqueue(
            session,
            model.id,
            JobKind.EXACT,
            due_at=min(one.due_at for one in settled),
            not_before=starts_at if is_possible else None,
        )


def exact_at(
    policy: Policy, training_seconds: float | None, settled: Sequence[ForgetRequest], now: datetime
) -> datetime | None:
    """Return when to retrain for some settled requests: None for at once.

    At once where the measured cost fits the budget; else when the window since the oldest interim version is
    over, or two trainings before the first due date, whatever comes first.
    """
    cost_seconds = training_seconds or 0.0
    if training_seconds is not None and cost_seconds <= policy.exact_budget_seconds:
        return None
    oldest = min(datetime.fromisoformat(one.interim["published_at"]) for one in settled if one.interim)
    is_over_at = oldest + timedelta(seconds=policy.exact_window_seconds)
    is_pressing_at = min(one.due_at for one in settled) - timedelta(
        seconds=TRAININGS_BEFORE_DUE * cost_seconds
    )
    due_at = min(is_over_at, is_pressing_at)
    return due_at if due_at > now else None
