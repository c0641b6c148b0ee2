"""What a scrape tells."""

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from service.core.counting import repository as counting
from service.core.counting.repository import Counter
from service.core.db.session import Sessions, transaction
from service.core.fleet import repository as fleet
from service.core.fleet.models import Role
from service.core.fleet.repository import Sighting
from service.core.requests import broken
from service.main import create_app
from service.settings import ServiceSettings
from tests.fixtures.api import AS_ADMIN, NO_DATABASE
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel


def scrape(client: TestClient) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by its name and the values of its labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_scrape_counts_what_there_is(api: TestClient, kernel: Kernel, digits: ReadyModel):
    kernel.ask_classes(digits, 1)
    kernel.ask_classes(digits, 2)

    told = scrape(api)

    assert told["lethe_database_up", ()] == 1
    assert told["lethe_needs_review", ()] == 0
    assert told["lethe_requests", ("queued",)] == 2
    assert told["lethe_requests", ("completed",)] == 0
    assert told["lethe_jobs", ("ready",)] == 1
    assert told["lethe_requests_overdue", ()] == 0
    assert told["lethe_queue_age_seconds", ()] > 0
    assert told["lethe_ledger_unsequenced", ()] > 0


def test_backlogs_are_told_with_their_age_and_size(
    api: TestClient, kernel: Kernel, digits: ReadyModel, engine: Engine
):
    kernel.ask_classes(digits, 1)
    kernel.serve(digits)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE versions SET withdrawn_at = now() - interval '2 hours' WHERE number = 1")
        )

    told = scrape(api)

    assert told["lethe_purge_backlog_versions", ()] == 1
    assert told["lethe_purge_backlog_bytes", ()] > 0
    assert told["lethe_purge_backlog_age_seconds", ()] >= 7200
    assert told["lethe_ledger_unsequenced_age_seconds", ()] > 0


def test_due_dates_are_told_as_overdue_soon_or_neither(
    api: TestClient, kernel: Kernel, digits: ReadyModel, engine: Engine
):
    for label in range(3):
        kernel.ask_classes(digits, label)
    with engine.begin() as connection:
        for label, due in enumerate(("now() - interval '1 day'", "now() + interval '6 days'")):
            connection.execute(
                text(f"UPDATE forget_requests SET due_at = {due} WHERE classes = ARRAY[{label}]")
            )

    told = scrape(api)

    assert told["lethe_requests_overdue", ()] == 1
    assert told["lethe_requests_due_soon", ()] == 1


def test_a_parked_job_counts_as_unresolved_until_a_later_one_succeeds(
    service_settings: ServiceSettings, kernel: Kernel, digits: ReadyModel
):
    kernel.ask_classes(digits, 1)
    lease, _ = kernel.begin(digits)
    with transaction(kernel.sessions) as session:
        broken.fail(session, lease, "it broke")
    with TestClient(create_app(service_settings)) as client:
        before = scrape(client)
    kernel.ask_classes(digits, 2)
    kernel.serve(digits)
    with TestClient(create_app(service_settings)) as client:
        after = scrape(client)

    assert (before["lethe_jobs", ("parked",)], before["lethe_jobs_unresolved", ()]) == (1, 1)
    assert (after["lethe_jobs", ("parked",)], after["lethe_jobs_unresolved", ()]) == (1, 0)


def test_the_fleet_is_told_by_host_and_device(api: TestClient, sessions: Sessions):
    with transaction(sessions) as session:
        fleet.note(session, Sighting("a:1:relay", Role.RELAY, "a", 1))
        for pid in (2, 3):
            facts = {
                "engine_bytes": 100,
                "gpu_used_bytes": 70,
                "gpu_total_bytes": 90,
                "methods": {"ssd": "1"},
            }
            sighting = Sighting(f"a:{pid}", Role.WORKER, "a", pid, device="cuda:0", facts=facts)
            fleet.note(session, sighting)

    told = scrape(api)

    assert told["lethe_workers", ("idle",)] == 2
    assert told["lethe_workers", ("draining",)] == 0
    assert told["lethe_relays", ()] == 1
    assert told["lethe_engine_memory_bytes", ("cuda:0", "a")] == 200
    assert told["lethe_gpu_memory_used_bytes", ("cuda:0", "a")] == 70


def test_counters_of_the_database_begin_at_zero_and_outlive_the_process(
    service_settings: ServiceSettings, sessions: Sessions
):
    with TestClient(create_app(service_settings)) as client:
        before = scrape(client)
    with transaction(sessions) as session:
        counting.add(session, Counter.LEASES_LOST, "ready", amount=2)
        counting.add(session, Counter.RUNS, "retrain", "published")
    with TestClient(create_app(service_settings)) as client:
        after = scrape(client)

    assert before["lethe_leases_lost_total", ("ready",)] == 0
    assert after["lethe_leases_lost_total", ("ready",)] == 2
    assert after["lethe_runs_total", ("retrain", "published")] == 1


def test_refusals_are_told_with_their_reason(service_settings: ServiceSettings):
    with TestClient(
        create_app(service_settings.model_copy(update={"database_url": NO_DATABASE})), headers=AS_ADMIN
    ) as client:
        assert client.get("/v1/models").status_code == 503
        told = scrape(client)

    assert told["lethe_http_refusals_total", ("unavailable", "/v1/models", "503")] == 1


def test_scrapes_in_quick_succession_share_one_census(api: TestClient, kernel: Kernel, digits: ReadyModel):
    first = scrape(api)
    kernel.ask_classes(digits, 1)

    assert scrape(api)["lethe_requests", ("queued",)] == first["lethe_requests", ("queued",)] == 0


def test_the_pool_tells_its_bounds(api: TestClient, service_settings: ServiceSettings):
    told = scrape(api)

    assert told["lethe_database_connections_limit", ()] == 2 * service_settings.pool_size
    assert told["lethe_database_connections", ("in_use",)] <= 1


def test_latency_is_told_by_route_and_not_by_path(api: TestClient, digits: ReadyModel):
    api.get("/v1/models/digits")
    api.get("/v1/models/unknown")
    api.request("BREW", "/v1/models/digits")

    told = scrape(api)

    assert told["lethe_http_request_seconds_count", ("GET", "/v1/models/{model}", "200")] == 1
    assert told["lethe_http_request_seconds_count", ("GET", "/v1/models/{model}", "404")] == 1
    assert not [labels for _, labels in told if "BREW" in labels or "unknown" in "".join(labels)]


def test_two_applications_in_one_process_count_apart(
    api: TestClient, service_settings: ServiceSettings, digits: ReadyModel
):
    api.get("/v1/models/digits")

    with TestClient(create_app(service_settings)) as other:
        assert ("lethe_http_request_seconds_count", ("GET", "/v1/models/{model}", "200")) not in scrape(other)


def test_a_database_that_is_out_is_a_reading(service_settings: ServiceSettings):
    with TestClient(create_app(service_settings.model_copy(update={"database_url": NO_DATABASE}))) as client:
        told = scrape(client)

    assert told["lethe_database_up", ()] == 0
    assert ("lethe_requests_overdue", ()) not in told
