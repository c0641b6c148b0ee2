"""Certificates: signed with the ledger's key, pinned by an entry, and saying no more than was done."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.core.db.session import transaction
from service.core.ledger import certificate, claims, entries, errors, proof
from service.core.ledger import repository as ledger
from service.core.ledger.models import Certificate, LedgerEntry
from service.core.ledger.signing import Signer
from service.core.requests.certificates import step_for
from service.core.requests.models import ForgetRequest
from tests.fixtures.forgetting import Kernel, step
from tests.fixtures.registry import ReadyModel, files_of_version


def test_certificate_says_what_was_done_and_measured(
    kernel: Kernel, digits: ReadyModel, signer: Signer
) -> None:
    request = kernel.ask_classes(digits, 3)
    version = kernel.serve(digits)

    claim = certificate.verify(kept(kernel, request).envelope, signer.verifier)

    row = kernel.request(request.id)
    assert claim.request == kernel.signatory.pseudonymiser.request(str(request.id))
    assert (claim.model, claim.base_version, claim.version) == ("digits", 1, 2)
    assert claim.target == claims.Target("class", len(digits.trained_on(3)))
    assert claim.method == claims.Method(
        name="one_shot",
        version="1.0",
        parameters={"alpha": 10.0},
        seed=kernel.run(version.run_id).seed,
        guarantee=claims.Guarantee.APPROXIMATE,
        caveats=("approximate",),
    )
    assert (claim.audit.suite, claim.audit.verdict) == ("1", "pass")
    membership, no_op = claim.audit.checks
    assert (membership.value, membership.low, membership.high, membership.threshold) == (
        0.51,
        0.47,
        0.55,
        0.6,
    )
    assert (no_op.low, no_op.high, no_op.threshold) == (None, None, None)
    assert (claim.received_at, claim.completed_at) == (row.received_at, row.completed_at)
    public = [file for file in files_of_version("digits", 2) if file.is_public]
    assert [(file.name, file.sha256) for file in claim.files] == [
        (file.name, file.stored.sha256) for file in public
    ]


def test_certificate_of_another_key_does_not_verify(kernel: Kernel, digits: ReadyModel) -> None:
    request = kernel.ask_classes(digits, 3)
    kernel.serve(digits)
    stranger = Signer("lethe.test/log", Ed25519PrivateKey.generate())

    with pytest.raises(errors.UnknownSigner):
        certificate.verify(kept(kernel, request).envelope, stranger.verifier)


def test_ledger_entry_pins_the_certificate_and_can_be_proven(
    kernel: Kernel, digits: ReadyModel, signer: Signer
) -> None:
    request = kernel.ask_samples(digits, 1, 2)
    kernel.serve(digits)
    with transaction(kernel.sessions) as session:
        ledger.sequence(session, signer)

    row = kept(kernel, request)
    with transaction(kernel.sessions) as session:
        shown = ledger.prove(session, row.entry_id)
        data = session.get_one(LedgerEntry, row.entry_id).entry
    assert shown is not None
    proof.verify(shown, data, signer.verifier)
    entry = entries.parse(data)
    assert entry.kind == "request.completed"
    assert entry.body["certificate_sha256"] == row.sha256 == hashlib.sha256(row.envelope).hexdigest()


def test_each_request_of_a_run_is_certified_with_the_step_that_served_it(
    kernel: Kernel, digits: ReadyModel, signer: Signer
) -> None:
    by_class, by_sample = kernel.ask_classes(digits, 3), kernel.ask_samples(digits, 1)
    kernel.serve(digits)

    found = [certificate.verify(kept(kernel, one).envelope, signer.verifier) for one in (by_class, by_sample)]

    assert [claim.method.name for claim in found] == ["one_shot", "ssd"]
    assert [claim.target.kind for claim in found] == ["class", "samples"]


def test_request_that_was_never_served_has_no_certificate(kernel: Kernel, digits: ReadyModel) -> None:
    request = kernel.ask_subject(digits, "nobody")

    with transaction(kernel.sessions) as session:
        assert ledger.certificate_of(session, request.id) is None


@pytest.mark.parametrize(("kind", "method"), [("class", "one_shot"), ("samples", "ssd"), ("subject", "ssd")])
def test_step_is_chosen_by_the_kind_of_request(kind: str, method: str) -> None:
    rung = {"steps": [step("samples", "ssd"), step("class", "one_shot")]}

    assert step_for(rung, kind)["method"] == method


def test_single_step_serves_every_kind() -> None:
    assert step_for({"steps": [step("class", "retrain")]}, "subject")["method"] == "retrain"


def kept(kernel: Kernel, request: ForgetRequest) -> Certificate:
    """The certificate of a request."""
    with transaction(kernel.sessions) as session:
        found = ledger.certificate_of(session, request.id)
    assert found is not None
    return found
