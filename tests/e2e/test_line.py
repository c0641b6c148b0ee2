"""The whole line with real processes: POST, forget, audit, publish, pull, withdraw, verify."""

import json
from pathlib import Path

import httpx
import pytest

from lethe.client import LetheApiError, pull
from lethe.client.evidence import collect
from lethe.client.records import class_target, samples_target
from lethe.verify import verify_bundle
from service.core.db.session import transaction
from service.core.registry import repository as registry
from service.core.storage.filesystem import FilesystemStore
from tests.fixtures.digits import TrainedDigits
from tests.fixtures.stack import Stack

CLASS_FISHER = "prepared/class_fisher"


def test_a_class_and_some_samples_are_forgotten_published_and_proven(
    shared_stack: Stack, trained_digits: TrainedDigits, tmp_path: Path
) -> None:
    client, serving = shared_stack.client, tmp_path / "serving"
    shared_stack.register(trained_digits.registration("line"), trained_digits.weights)
    pull(client, "line", serving)

    by_class = shared_stack.settled(client.forget("line", class_target([3]), method="one_shot"))
    by_sample = shared_stack.settled(
        client.forget("line", samples_target(trained_digits.sample_ids(20)), method="ssd")
    )

    assert (by_class.status, by_sample.status) == ("completed", "completed")
    assert by_class.run is not None and by_sample.run is not None
    assert (by_class.run["version"], by_sample.run["version"]) == (2, 3)
    assert by_class.audit is not None and by_class.audit["verdict"] == "pass"
    pulled = pull(client, "line", serving)
    assert pulled is not None and pulled.version.version == 3
    assert (pulled.folder / "audit.json").read_bytes() == client.report(by_sample.id)
    assert "default-src 'none'" in (pulled.folder / "audit.html").read_text()
    for old in (1, 2):
        with pytest.raises(LetheApiError) as gone, client.file("line", old, "model.safetensors"):
            pass
        assert gone.value.status == httpx.codes.GONE
    assert client.model("line").revocation_floor == 3
    shared_stack.until(
        lambda: [one.state for one in client.versions("line")],
        lambda states: states == ["published", "purged", "purged"],
    )
    for request in (by_class, by_sample):
        shared_stack.until(lambda request=request: _proof(shared_stack, request.id), bool)
        collect(client, request.id, tmp_path / request.id)
        findings = verify_bundle(tmp_path / request.id)
        assert findings and all(finding.ok for finding in findings), findings


def test_a_published_version_is_got_ready_for_the_next_request_while_nobody_waits(
    shared_stack: Stack, trained_digits: TrainedDigits
) -> None:
    client = shared_stack.client
    shared_stack.register(trained_digits.registration("ready"), trained_digits.weights)

    request = shared_stack.settled(client.forget("ready", class_target([8]), method="retrain"))

    assert request.status == "completed"
    by_name = shared_stack.until(
        lambda: served_files(shared_stack, "ready"), lambda files: f"{CLASS_FISHER}/0.safetensors" in files
    )
    assert {f"{CLASS_FISHER}/{label}.safetensors" in by_name for label in range(8)} == {True}
    assert f"{CLASS_FISHER}/8.safetensors" not in by_name
    space, sha256 = by_name[f"{CLASS_FISHER}/record.json"]
    record = json.loads(FilesystemStore(shared_stack.folder / "store").read(space, sha256))
    assert record["weights"] == by_name["model.safetensors"][1]


def test_waiting_requests_share_one_run_and_get_a_certificate_each(
    shared_stack: Stack, trained_digits: TrainedDigits
) -> None:
    client = shared_stack.client
    shared_stack.register(trained_digits.registration("waiting"), trained_digits.weights)
    shared_stack.stop("worker")
    waiting = [
        client.forget("waiting", class_target([1])),
        client.forget("waiting", class_target([7])),
        client.forget("waiting", samples_target(trained_digits.sample_ids(5, skip=40))),
    ]

    shared_stack.start("worker")
    done = [shared_stack.settled(request) for request in waiting]

    assert [request.status for request in done] == ["completed"] * 3
    assert {request.run["version"] for request in done if request.run} == {2}
    assert len({client.certificate(request.id) for request in done}) == 3


def test_what_was_forgotten_before_completes_at_once_and_names_the_run(
    shared_stack: Stack, trained_digits: TrainedDigits
) -> None:
    client = shared_stack.client
    shared_stack.register(trained_digits.registration("again"), trained_digits.weights)
    first = shared_stack.settled(client.forget("again", class_target([4])))

    again = client.forget("again", class_target([4]))

    assert (again.status, again.reason) == ("completed", "already_forgotten")
    assert first.run is not None and again.run is not None
    assert again.run["version"] == first.run["version"]


@pytest.mark.parametrize("method", ["lying_mask", "lying_noop"])
def test_a_method_that_lies_is_refused_and_a_person_is_asked(
    shared_stack: Stack, trained_digits: TrainedDigits, method: str
) -> None:
    client, name = shared_stack.client, f"liar-{method}"
    shared_stack.register(
        trained_digits.registration(name, class_ladder=[method], exact_at_last=False), trained_digits.weights
    )

    request = shared_stack.settled(client.forget(name, class_target([2])))

    assert (request.status, request.reason) == ("needs_review", "audit_refused")
    assert request.audit is not None and request.audit["verdict"] != "pass"
    assert client.model(name).served_version == 1


def test_a_refused_rung_leads_to_the_next(shared_stack: Stack, trained_digits: TrainedDigits) -> None:
    client = shared_stack.client
    shared_stack.register(
        trained_digits.registration("rungs", class_ladder=["lying_noop", "retrain"]), trained_digits.weights
    )

    request = shared_stack.settled(client.forget("rungs", class_target([2])))

    assert request.status == "completed"
    assert request.run is not None
    assert (request.run["method"], request.run["attempts"], request.run["guarantee"]) == (
        "retrain",
        2,
        "exact",
    )


def served_files(stack: Stack, name: str) -> dict[str, tuple[str, str]]:
    """Return name -> store space and digest of every file of the served version."""
    with transaction(stack.sessions) as session:
        model = registry.model_named(session, name)
        version = registry.version_numbered(session, model.id, model.served_version or 0)
        return {f.name: (model.space, f.sha256) for f in registry.files_of(session, version.id)}


def _proof(stack: Stack, request_id: str) -> bytes:
    try:
        return stack.client.proof(request_id)
    except LetheApiError:
        return b""
