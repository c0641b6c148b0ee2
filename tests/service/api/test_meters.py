"""What a scrape tells."""

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.main import create_app
from service.settings import ServiceSettings
from tests.fixtures.api import NO_DATABASE
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
