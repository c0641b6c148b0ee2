"""One correlation id from the caller's POST to the run that serves it, in the engine's lines too."""

from typing import Any

import structlog
from starlette.testclient import TestClient

from service.core import logging
from service.core.counting import repository as counting
from service.core.counting.repository import Counter
from service.core.db.session import transaction
from service.core.ledger.signing import Signer
from service.core.requests import repository
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel
from workers.engine.messages import Asked, Catalogue
from workers.jobs import serving


def test_the_callers_id_is_on_the_request_and_on_the_runs_line(
    api: TestClient, kernel: Kernel, digits: ReadyModel, signer: Signer
) -> None:
    sent = {"model": "digits", "target": {"kind": "class", "classes": [1]}}
    answer = api.post("/v1/forget-requests", json=sent, headers={"X-Request-ID": "ticket-4711"})
    assert answer.status_code == 202, answer.text
    shown = api.get(f"/v1/forget-requests/{answer.json()['id']}").json()
    _, assignment = kernel.begin(digits)
    with transaction(kernel.sessions) as session:
        calls = repository.calls_of(session, repository.run_by_id(session, assignment.run_id))

    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        serving.announce(calls, assignment.run_id)
        logging.get("test").info("anything.later")
    logging.bind()

    assert shown["correlation_id"] == "ticket-4711"
    first, second = lines
    assert (first["event"], first["request"], first["correlation_id"], first["run"]) == (
        "run.serves",
        shown["id"],
        "ticket-4711",
        str(assignment.run_id),
    )
    assert second["run"] == str(assignment.run_id)


def test_what_a_worker_binds_goes_to_the_engine_with_the_call() -> None:
    logging.bind(job="j", epoch=3)
    logging.bind_more(run="r")

    asked = Asked(call=Catalogue(), bound=logging.bound())
    logging.bind()

    received: dict[str, Any] = Asked.model_validate_json(asked.model_dump_json()).bound
    assert received == {"job": "j", "epoch": "3", "run": "r"}
    assert logging.bound() == {}


def test_a_run_is_counted_when_it_ends_and_so_are_the_checks_it_failed(
    kernel: Kernel, digits: ReadyModel
) -> None:
    kernel.ask_classes(digits, 1)
    kernel.serve(digits)
    kernel.ask_classes(digits, 2)
    kernel.refuse(digits)

    with transaction(kernel.sessions) as session:
        told = counting.totals(session)

    assert told[Counter.RUNS] == {("one_shot", "published"): 1.0, ("one_shot", "refused"): 1.0}
    assert told[Counter.RUN_SECONDS].keys() == told[Counter.RUNS].keys()
    assert told[Counter.AUDITS] == {("pass",): 1.0, ("fail",): 1.0}
    assert told[Counter.CHECKS_REFUSED] == {("membership",): 1.0}
