"""When the audit says no: a person accepts, an interim version is served, a mask answers first."""

from pathlib import Path

from lethe.client import LetheClient
from lethe.client.evidence import collect
from lethe.client.records import class_target
from lethe.verify import verify_bundle
from tests.fixtures.digits import TrainedDigits
from tests.fixtures.stack import Stack


def officer(stack: Stack) -> LetheClient:
    """A person who decides in their own name."""
    key = stack.client.create_api_key("A. Officer", ["requests:read", "requests:write"]).key
    assert key is not None
    return LetheClient(stack.url, key)


def test_what_the_audit_refused_is_published_when_a_person_accepts_it_and_says_so_for_ever(
    shared_stack: Stack, trained_digits: TrainedDigits, tmp_path: Path
) -> None:
    client = shared_stack.client
    policy = {"class_ladder": ["lying_mask"], "exact_at_last": False}
    shared_stack.register(trained_digits.registration("accepted", **policy), trained_digits.weights)
    refused = shared_stack.settled(client.forget("accepted", class_target([2])))
    assert refused.status == "needs_review" and client.model("accepted").served_version == 1
    assert refused.review is not None and refused.review["candidate"]["guarantee"] == "suppressed"

    officer(shared_stack).decide(refused.id, "accept", "risk_assessed")
    done = shared_stack.until(lambda: client.request(refused.id), lambda one: one.status == "completed")

    assert client.model("accepted").served_version == 2
    assert done.acceptance is not None and done.acceptance["reason"] == "risk_assessed"
    collect(client, done.id, tmp_path)
    findings = verify_bundle(tmp_path)
    assert all(finding.ok for finding in findings), findings
    assert any("although the audit said fail" in finding.detail for finding in findings)


def test_an_interim_version_is_served_until_exact_retraining_closes_the_request(
    shared_stack: Stack, trained_digits: TrainedDigits
) -> None:
    client = shared_stack.client
    policy = {
        "class_ladder": ["competition_pruning"],  # without references neither refused nor cleared
        "exact_at_last": False,
        "accept_inconclusive": True,
        "complete_on": "exact",
        "exact_window_seconds": 0,
        # What this method costs the kept classes hangs on the run's seed, and is not what is tested.
        "audit_limits": {"mean_drop": 0.5, "worst_class_drop": 1.0, "neighbour_drop": 1.0},
    }
    shared_stack.register(trained_digits.registration("interim", **policy), trained_digits.weights)

    request = client.forget("interim", class_target([3]))
    interim = shared_stack.until(lambda: client.request(request.id), lambda one: one.interim is not None)
    done = shared_stack.until(lambda: client.request(request.id), lambda one: one.status == "completed")

    assert interim.interim["version"] == 2 and interim.interim["guarantee"] == "approximate"
    assert done.run is not None
    assert (done.run["version"], done.run["guarantee"]) == (3, "exact")
    assert [version.version for version in client.versions("interim")] == [3, 2, 1]


def test_a_masked_output_answers_first_and_is_replaced_by_what_forgot(
    shared_stack: Stack, trained_digits: TrainedDigits
) -> None:
    client = shared_stack.client
    shared_stack.register(trained_digits.registration("masked", suppress_first=True), trained_digits.weights)

    request = client.forget("masked", class_target([5]))
    done = shared_stack.until(lambda: client.request(request.id), lambda one: one.status == "completed")

    assert done.run is not None and done.run["version"] == 3
    assert done.run["guarantee"] in ("approximate", "exact")
    assert done.interim is not None and done.interim["guarantee"] == "suppressed"
    states = shared_stack.until(
        lambda: [one.state for one in client.versions("masked")], lambda seen: seen[1:] == ["purged"] * 2
    )
    assert states[0] == "published"
