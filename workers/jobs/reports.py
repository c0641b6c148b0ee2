"""Puts the report of a run's audits beside the weights it is about: two public files of the new version.

They travel with the weights, are covered by the version's digest and by the certificate's list of files, and
go with the version when it is withdrawn.
"""

import uuid

from service.core.db.session import transaction
from service.core.registry.models import Model
from service.core.registry.service import NamedFile
from service.core.reports import document, page
from service.core.requests import audit_reports, repository
from workers.jobs.context import Context

AUDIT_JSON = "audit.json"
AUDIT_HTML = "audit.html"


def keep(
    context: Context,
    run_id: uuid.UUID,
    guarantee: str,
    *,
    state: str = document.PUBLISHED,
    decisive: int | None = None,
) -> tuple[NamedFile, ...]:
    """Store the report of a run that is about to publish; none where nothing was audited.

    Args:
        context: Of the job.
        run_id: The run, audited.
        guarantee: What will be claimed of the new version.
        state: The run's, once it has published.
        decisive: Which of its rungs is published, counted from 0; the last that was audited, if None.

    Raises:
        errors.Unavailable: The store or the database is out.
    """
    with transaction(context.sessions) as session:
        run = repository.run_by_id(session, run_id)
        space = session.get_one(Model, run.model_id).space
        report = audit_reports.of_publication(session, run, guarantee, state=state, decisive=decisive)
    if report is None:
        return ()
    files = {AUDIT_JSON: document.to_bytes(report), AUDIT_HTML: page.to_html(report).encode()}
    return tuple(
        NamedFile(name, context.store.put(space, [data]), is_public=True) for name, data in files.items()
    )
