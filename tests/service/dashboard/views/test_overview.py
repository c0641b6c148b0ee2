"""The first page: what there is in numbers, the list with its filters, what each model does, the ledger."""

import re
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from service.core import clock
from service.core.db.session import transaction
from service.core.fleet import repository as fleet
from service.core.fleet.models import MemberState, Role
from service.core.fleet.repository import Sighting
from service.core.ledger import repository as ledger
from service.core.requests.models import ForgetRequest
from service.dashboard.views import overview
from tests.fixtures.dashboard import Scene
from tests.fixtures.forgetting import Kernel, classes, subject
from tests.fixtures.registry import ReadyModel

STALLED = "Entries get their place within seconds"


def listed(page: str) -> list[str]:
    """The ids of the requests in the order of the list."""
    return re.findall(r'<tr role="row" id="r-([0-9a-f-]{36})"', page)


def test_nobody_has_asked_yet(visitor: TestClient) -> None:
    page = visitor.get("/dashboard/").text

    assert "Nobody has asked to be forgotten yet" in page
    assert "No model has anything to do" in page
    assert "none yet" in page


def test_numbers_count_all_requests(visitor: TestClient, scene: Scene) -> None:
    page = visitor.get("/dashboard/").text

    found = re.findall(r'<span class="big">(\d+)</span> ([a-z ]+)</a>', page)
    assert {text: int(number) for number, text in found} == {
        "open": 6,
        "overdue": 1,
        "to review": 1,
        "failed": 1,
        "completed": 3,
    }


def test_list_has_the_newest_first_and_marks_what_is_overdue(visitor: TestClient, scene: Scene) -> None:
    page = visitor.get("/dashboard/").text

    assert listed(page) == sorted(map(str, scene.requests.values()), reverse=True)
    assert re.findall(r'id="r-([0-9a-f-]+)" class="overdue"', page) == [str(scene["needs_review"])]
    assert "5 days overdue" in page or "6 days overdue" in page


def test_filters_choose_requests(visitor: TestClient, scene: Scene) -> None:
    everything = {*scene.requests}
    chosen = {
        "status=queued": {"queued"},
        "status=completed&model=digits": {"completed", "done_before", "by_retraining"},
        "model=badges": {"held", "cancelled"},
        "overdue=true": {"needs_review"},
        "model=none": set(),
        "status=&model=": everything,
        "status=nonsense": everything,
    }

    for query, names in chosen.items():
        found = set(listed(visitor.get(f"/dashboard/?{query}").text))
        assert found == {str(scene[name]) for name in names}, query


def test_running_request_shows_how_far_it_is(visitor: TestClient, scene: Scene) -> None:
    page = visitor.get("/dashboard/?status=running").text

    assert '<progress max="1" value="0.620"' in page
    assert "Forgetting" in page and "62%" in page


def test_each_model_tells_what_it_does(visitor: TestClient, scene: Scene) -> None:
    page = visitor.get("/dashboard/").text
    at_work = page[page.index('id="queues"') :]

    assert "1 request" in at_work
    assert "waits its turn" in at_work
    assert "given up" in at_work and "The worker was lost 3 times" in at_work


def test_list_goes_on_page_by_page(
    visitor: TestClient, kernel: Kernel, digits: ReadyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "PAGE_SIZE", 2)
    asked = [str(kernel.ask(digits.name, classes(label)).id) for label in range(3)]
    kernel.ask(digits.name, subject("nobody"))

    first = visitor.get("/dashboard/?status=queued").text
    older = re.findall(r'rel="next" href="([^"]+)"', first)
    second = visitor.get(older[0].replace("&amp;", "&")).text

    assert listed(first) == [asked[2], asked[1]]
    assert listed(second) == [asked[0]]
    assert 'rel="next"' not in second and "Newest" in second


def test_late_completion_is_called_late(visitor: TestClient, kernel: Kernel, digits: ReadyModel) -> None:
    request = kernel.ask(digits.name, classes(1), submitted_at=clock.now() - timedelta(days=40))
    kernel.serve(digits)

    assert "late, took" in visitor.get("/dashboard/").text
    assert "past its due date" in visitor.get(f"/dashboard/requests/{request.id}").text


def test_ledger_that_nobody_sequences_raises_the_alarm(
    visitor: TestClient, kernel: Kernel, digits: ReadyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.ask(digits.name, classes(1))
    assert STALLED not in visitor.get("/dashboard/").text

    monkeypatch.setattr(overview, "STALLED_AFTER", timedelta(0))
    assert STALLED in visitor.get("/dashboard/").text

    with transaction(kernel.sessions) as session:
        ledger.sequence(session, kernel.signatory.signer)
    assert STALLED not in visitor.get("/dashboard/").text


def test_parked_job_is_forgiven_by_a_later_success(visitor: TestClient, kernel: Kernel, scene: Scene) -> None:
    with transaction(kernel.sessions) as session:
        failed = session.get_one(ForgetRequest, scene["failed"])
        model_id = failed.model_id
    assert "given up" in visitor.get("/dashboard/").text

    triage = ReadyModel(model_id, "triage", scene.digits.dataset_id, scene.digits.rows)
    kernel.ask("triage", classes(2))
    kernel.serve(triage)

    assert "given up" not in visitor.get("/dashboard/").text


def test_workers_tell_what_they_do_and_hold(visitor: TestClient, kernel: Kernel, scene: Scene) -> None:
    with transaction(kernel.sessions) as session:
        job_id = scene.lease.job_id
        fleet.note(
            session,
            Sighting(
                "gpu-1:7",
                Role.WORKER,
                "gpu-1",
                7,
                device="cuda:0",
                state=MemberState.RUNNING,
                job_id=job_id,
                facts={"engine_bytes": 1, "gpu_used_bytes": 70_123_456_789, "gpu_total_bytes": 140 * 10**9},
            ),
        )
        fleet.note(session, Sighting("cpu-1:8", Role.WORKER, "cpu-1", 8, device="cpu"))

    page = visitor.get("/dashboard/").text

    at_work = page[page.index('id="workers"') :]
    assert "gpu-1:7" in at_work and "70.2 GB of 140.0 GB on the device" in at_work
    assert re.search(r'at work on <a href="[^"]+/models/digits">digits</a>', at_work)
    assert "cpu-1:8" in at_work and "idle" in at_work and "none yet" in at_work
    assert "No relay is there" in at_work


def test_no_worker_is_said_in_words(visitor: TestClient) -> None:
    page = visitor.get("/dashboard/").text

    assert "No worker is there. Requests are accepted and wait for one." in page
