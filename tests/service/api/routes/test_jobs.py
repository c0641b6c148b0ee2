"""Jobs over HTTP: parked ones with their evidence, and how they are put back."""

import uuid

from starlette.testclient import TestClient

from service.core.db.session import Sessions, transaction
from service.core.requests import broken
from service.core.requests.broken import Breakdown
from tests.fixtures.api import MakeKey
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import MakeReady, ReadyModel

PATH = "/v1/jobs"
DIED = Breakdown(
    "The engine died.",
    code="engine_died",
    is_suspicious=True,
    facts={"signal": "SIGKILL", "exit_status": -9, "peak_memory_bytes": 5},
)


def park(kernel: Kernel, sessions: Sessions, model: ReadyModel) -> str:
    """Let the run of whatever waits for a model die once, which is once too often."""
    lease, _ = kernel.begin(model)
    with transaction(sessions) as session:
        broken.settle(session, lease, DIED, max_attempts=1)
    return str(lease.job_id)


def test_a_parked_job_is_shown_with_its_evidence(
    api: TestClient, kernel: Kernel, sessions: Sessions, digits: ReadyModel
):
    kernel.ask_classes(digits, 1)
    job_id = park(kernel, sessions, digits)

    (shown,) = api.get(PATH, params={"state": "parked"}).json()["items"]

    assert (shown["id"], shown["model"], shown["kind"]) == (job_id, "digits", "unlearn")
    (entry,) = shown["evidence"]
    assert entry.items() >= {"attempt": 1, "owner": "worker", "stage": "claimed", "served": 1}.items()
    assert entry.items() >= {"signal": "SIGKILL", "code": "engine_died", "peak_memory_bytes": 5}.items()


def test_a_list_shows_what_is_not_done_of_one_model_or_of_all_page_by_page(
    api: TestClient, kernel: Kernel, make_ready: MakeReady
):
    first, second = make_ready("one", "one"), make_ready("two", "two")
    kernel.ask_classes(first, 1)
    kernel.serve(first)
    kernel.ask_classes(second, 1)

    everything = api.get(PATH, params={"limit": 1}).json()
    following = api.get(everything["next"]).json()
    of_second = api.get(PATH, params={"model": "two"}).json()
    done = api.get(PATH, params={"state": "done", "model": "one"}).json()

    assert [page["items"][0]["model"] for page in (everything, following)] == ["two", "one"]
    assert [(job["kind"], job["state"]) for job in of_second["items"]] == [("unlearn", "ready")]
    assert {job["state"] for job in done["items"]} == {"done"}


def test_a_parked_job_is_put_back_once_and_whoever_failed_with_it_is_served(
    api: TestClient, kernel: Kernel, sessions: Sessions, digits: ReadyModel
):
    request = kernel.ask_classes(digits, 1)
    job_id = park(kernel, sessions, digits)

    answers = [api.post(f"{PATH}/{job_id}/retry") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 409]
    assert answers[0].json()["requests"] == [str(request.id)]
    assert answers[0].json()["job"]["state"] == "done"
    assert answers[1].json()["code"] == "not_parked"
    kernel.serve(digits)
    assert kernel.request(request.id).status == "completed"


def test_jobs_are_for_admins(api: TestClient, make_key: MakeKey):
    headers = make_key("requests:write", "models:write")

    answers = [
        api.get(PATH, headers=headers),
        api.post(f"{PATH}/{uuid.uuid4()}/retry", headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [403, 403]


def test_an_unknown_job_or_model_is_not_found(api: TestClient):
    answers = [api.post(f"{PATH}/{uuid.uuid4()}/retry"), api.get(PATH, params={"model": "nobody"})]

    assert [answer.status_code for answer in answers] == [404, 404]
