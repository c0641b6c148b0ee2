"""Poison and cancellation with real processes: found and parked, killed in time, and in nobody else's way."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from lethe.client.records import Job, class_target
from tests.e2e.deadly_methods.crash import POISON
from tests.e2e.test_faults import is_forgetting, num_versions, slow_registration
from tests.fixtures.digits import TrainedDigits
from tests.fixtures.processes import are_gone
from tests.fixtures.stack import Stack

DEADLY = {"LETHE_EXTRA_METHODS": "tests.e2e.deadly_methods"}
DEADLINE_SECONDS = 25.0
"""Enough for an honest call, and for the import of torch, on a busy machine."""


def started(stack: Stack, variables: Mapping[str, str]) -> Stack:
    """Start relay, worker and API, told what the test needs."""
    stack.variables = {**stack.variables, **variables}
    for name in ("relay", "worker", "api"):
        stack.start(name)
    return stack


def child_of(stack: Stack) -> int:
    """Return the pid of the worker's engine."""
    _, worker = stack.processes["worker"]
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    return int(children[-1])


def parked(stack: Stack, model: str) -> Job:
    """Return the one parked job of a model."""
    (job,) = stack.client.jobs(state="parked", model=model)
    return job


@pytest.mark.timeout(240)
def test_of_two_requests_the_one_that_kills_the_engine_is_parked_and_the_other_served(
    bare_stack: Stack, trained_digits: TrainedDigits
) -> None:
    stack = started(bare_stack, {**DEADLY, "LETHE_MAX_ATTEMPTS": "2"})
    stack.register(
        trained_digits.registration("digits", class_ladder=["deadly_crash"]), trained_digits.weights
    )
    stack.stop("worker")
    poison = stack.client.forget("digits", class_target([POISON]))
    harmless = stack.client.forget("digits", class_target([POISON + 1]))
    stack.start("worker")

    outcomes = [stack.settled(request) for request in (poison, harmless)]

    assert [one.status for one in outcomes] == ["failed", "completed"]
    assert outcomes[0].reason == "engine_died"
    evidence = parked(stack, "digits").evidence
    assert [entry["served"] for entry in evidence] == [2, 2, 1]
    assert {entry["signal"] for entry in evidence} == {"SIGKILL"}
    assert all(entry["peak_memory_bytes"] > 2**20 and entry["stage"] for entry in evidence)


def test_a_child_that_hangs_is_killed_at_its_deadline_and_the_next_model_is_served(
    bare_stack: Stack, trained_digits: TrainedDigits
) -> None:
    limits = {"LETHE_MAX_ATTEMPTS": "1", "LETHE_DEADLINE_SECONDS": str(DEADLINE_SECONDS)}
    stack = started(bare_stack, {**DEADLY, **limits})
    stack.register(
        trained_digits.registration("hanging", class_ladder=["deadly_hang"]), trained_digits.weights
    )
    stack.register(trained_digits.registration("digits", class_ladder=["retrain"]), trained_digits.weights)

    hung = stack.client.forget("hanging", class_target([3]))
    stack.until(lambda: stack.client.request(hung.id).status, lambda status: status == "running")
    honest = stack.client.forget("digits", class_target([3]))
    child = child_of(stack)
    outcomes = [stack.settled(request) for request in (hung, honest)]

    assert [one.status for one in outcomes] == ["failed", "completed"]
    assert are_gone([child], 0.0)
    (entry,) = parked(stack, "hanging").evidence
    assert (entry["code"], entry["attempt"], entry["served"]) == ("deadline_passed", 1, 1)


def test_cancelling_a_running_request_kills_the_child_in_seconds_whatever_the_lease(
    bare_stack: Stack, trained_digits: TrainedDigits
) -> None:
    stack = started(bare_stack, {"LETHE_LEASE_SECONDS": "120"})
    stack.register(slow_registration(trained_digits, "digits"), trained_digits.weights)
    unwanted = stack.client.forget("digits", class_target([3]))
    stack.until(lambda: is_forgetting(stack), bool)
    following = stack.client.forget("digits", class_target([4]))
    child = child_of(stack)

    cancelled = stack.client.cancel(unwanted.id)
    is_gone = are_gone([child], 5.0)
    done = stack.settled(following)

    assert (cancelled.status, is_gone) == ("cancelled", True)
    assert stack.client.request(unwanted.id).status == "cancelled"
    assert done.status == "completed"
    assert num_versions(stack) == 2
