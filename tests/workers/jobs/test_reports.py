"""A version carries the report of its audits: two public files that its digest and its certificates cover."""

from pathlib import Path

import pytest

from service.core.db.session import Sessions, transaction
from service.core.ledger import canonical, certificate
from service.core.ledger import repository as ledger
from service.core.registry import repository as registry
from service.core.reports import document
from service.core.requests import audit_reports, publishing, repository, runs
from service.core.requests.certificates import Signatory
from service.core.requests.publishing import Publication
from service.core.storage.filesystem import FilesystemStore
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel, files_of_version
from workers.engine.client import Engine
from workers.jobs import reports
from workers.jobs.context import Context
from workers.settings import WorkerSettings


@pytest.fixture
def context(
    sessions: Sessions, store: FilesystemStore, signatory: Signatory, tmp_path: Path, database_url: str
) -> Context:
    settings = WorkerSettings(database_url=database_url, data_dir=tmp_path, broker_url="redis://127.0.0.1:1")
    return Context(settings, sessions, store, Engine(deadline_seconds=1.0), signatory, owner="tester")


def test_report_is_published_with_the_weights_and_named_in_the_certificate(
    context: Context, kernel: Kernel, digits: ReadyModel
) -> None:
    request = kernel.ask_classes(digits, 1)
    lease, assignment = kernel.begin(digits)
    kernel.audit(lease, assignment)

    kept = reports.keep(context, assignment.run_id, "approximate")
    files = [*files_of_version(digits.name, 2), *kept]
    with transaction(context.sessions) as session:
        version = publishing.publish(
            session, lease, assignment, Publication(files, "approximate"), context.signatory
        )

    with transaction(context.sessions) as session:
        public = [file.name for file in registry.files_of(session, version.id, public=True)]
        envelope = ledger.certificate_of(session, request.id).envelope  # type: ignore[union-attr]
    assert public == ["audit.html", "audit.json", "model.safetensors"]
    claim = certificate.verify(envelope, context.signatory.signer.verifier)
    assert {file.name: file.sha256 for file in claim.files if "audit" in file.name} == {
        file.name: file.stored.sha256 for file in kept
    }


def test_stored_report_is_what_the_database_tells_afterwards(
    context: Context, kernel: Kernel, digits: ReadyModel
) -> None:
    requests = [kernel.ask_classes(digits, 1), kernel.ask_samples(digits, 0, 2)]
    lease, assignment = kernel.begin(digits)
    kernel.audit(lease, assignment)
    kept = {file.name: file.stored.sha256 for file in reports.keep(context, assignment.run_id, "approximate")}
    kernel.publish(digits, lease, assignment)
    kernel.ask_classes(digits, 1)  # forgotten already: it changes nothing

    with transaction(context.sessions) as session:
        row = repository.request_by_id(session, requests[0].id)
        told = document.to_bytes(audit_reports.of_request(session, row))

    assert context.store.read(digits.id.hex, kept["audit.json"]) == told
    asked = canonical.parse_json(told)["asked"]  # type: ignore[index, call-overload]
    assert [(one["kind"], one["num_samples"]) for one in asked] == [("class", 6), ("samples", 2)]


def test_stored_report_names_no_sample(context: Context, kernel: Kernel, digits: ReadyModel) -> None:
    kernel.ask_samples(digits, 0, 2)
    kernel.ask_subject(digits, "digits-person-3")
    lease, assignment = kernel.begin(digits)
    kernel.audit(lease, assignment)

    kept = reports.keep(context, assignment.run_id, "approximate")

    for file in kept:
        text = context.store.read(digits.id.hex, file.stored.sha256).decode()
        assert "digits/train" not in text and "person-" not in text and "positions" not in text


def test_rung_that_is_named_comes_first(context: Context, kernel: Kernel, digits: ReadyModel) -> None:
    kernel.ask_classes(digits, 1)
    lease, assignment = kernel.begin(digits)
    kernel.audit(lease, assignment, "inconclusive")
    with transaction(context.sessions) as session:
        runs.next_rung(session, lease, assignment.run_id)
    kernel.audit(lease, assignment, "fail")

    kept = reports.keep(context, assignment.run_id, "approximate", state="accepted", decisive=0)

    told = context.store.read(digits.id.hex, kept[0].stored.sha256).decode()
    assert '"state":"accepted"' in told and "Verdict of the audit: inconclusive." in told


def test_run_that_was_not_audited_has_nothing_to_keep(
    context: Context, kernel: Kernel, digits: ReadyModel
) -> None:
    kernel.ask_classes(digits, 1)
    _, assignment = kernel.begin(digits)

    assert reports.keep(context, assignment.run_id, "exact") == ()
