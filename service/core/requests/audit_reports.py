"""Gathers what a run's audit report is made of; the report itself is made in `reports`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.core import errors
from service.core.ledger import claims
from service.core.registry import repository as registry
from service.core.registry.models import Model
from service.core.reports import document
from service.core.reports.document import PUBLISHED, Asked, Facts
from service.core.requests import repository
from service.core.requests.models import ForgetRequest, Run, TargetKind

ALREADY_FORGOTTEN = "already_forgotten"


def of_request(session: Session, request: ForgetRequest) -> dict[str, Any]:
    """Return the report of the run that serves or served a request.

    Raises:
        errors.NotFound: Nothing has been audited for it.
    """
    found = None
    if request.run_id is not None:
        found = of_run(session, repository.run_by_id(session, request.run_id))
    if found is None:
        raise errors.NotFound(
            f"There is no audit report: this request is {request.status}. "
            "One is there once a run has audited a candidate for it.",
            code="no_report",
        )
    return found


def of_run(session: Session, run: Run) -> dict[str, Any] | None:
    """Return the report of a run as it stands, or None where nothing has been audited."""
    version = registry.version_numbered(session, run.model_id, run.version) if run.version else None
    guarantee = version.guarantee if version else None
    return _composed(session, run, run.version, guarantee, run.state, run.rung)


def of_publication(
    session: Session, run: Run, guarantee: str, *, state: str = PUBLISHED, decisive: int | None = None
) -> dict[str, Any] | None:
    """Return the report of a run that is about to publish: what `of_run` returns once it has.

    Args:
        session: The transaction.
        run: The run.
        guarantee: What will be claimed of the new version.
        state: The run's, once it has published.
        decisive: Which of its rungs is published, counted from 0; the last that was audited, if None.
    """
    return _composed(session, run, run.base_version + 1, guarantee, state, decisive)


def _composed(
    session: Session,
    run: Run,
    version: int | None,
    guarantee: str | None,
    state: str,
    decisive: int | None = None,
) -> dict[str, Any] | None:
    return document.compose(
        Facts(
            model=session.get_one(Model, run.model_id).name,
            base_version=run.base_version,
            version=version,
            guarantee=guarantee,
            state=str(state),
            seed=run.seed,
            asked=_asked(_served(session, run)),
            rungs=run.rungs,
            decisive=decisive,
            acceptance=None if run.acceptance is None else claims.Acceptance(**run.acceptance),
        )
    )


def _served(session: Session, run: Run) -> Sequence[ForgetRequest]:
    """Return the requests that the run took; those it had served before they came are not its work."""
    found = session.scalars(
        select(ForgetRequest).where(ForgetRequest.run_id == run.id).order_by(ForgetRequest.id)
    )
    return [one for one in found if one.reason != ALREADY_FORGOTTEN]


def _asked(requests: Sequence[ForgetRequest]) -> list[Asked]:
    by_kind = {kind: [one for one in requests if one.kind == kind] for kind in TargetKind}
    return [
        Asked(
            kind=kind.value,
            num_requests=len(of_kind),
            num_classes=len({label for one in of_kind for label in one.classes}),
            num_samples=sum(one.num_samples for one in of_kind),
        )
        for kind, of_kind in by_kind.items()
        if of_kind
    ]
