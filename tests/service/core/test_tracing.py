"""Traces: from the caller's, through the run that links to it, or nothing at all."""

from collections.abc import Iterator
from typing import Any

import pytest

from service.core import tracing

CALLERS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[Any]:
    """An exporter that keeps what was traced; the test is skipped without the extra."""
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    if not tracing.IS_INSTALLED:
        pytest.skip("the extra lethe[otel] is not whole")
    exporter = memory.InMemorySpanExporter()
    tracing.start("lethe-test", export.SimpleSpanProcessor(exporter))
    yield exporter
    tracing.stop()


def test_without_a_collector_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(tracing.ENDPOINT, raising=False)

    tracing.configure("lethe-test")
    with tracing.span("anything", parent=CALLERS, links=[CALLERS], job="j"):
        tracing.rename("else")
        tracing.link([CALLERS])
        told = tracing.current()

    assert told is None


def test_a_call_goes_on_in_the_callers_trace_under_its_route(spans: Any) -> None:
    with tracing.span("POST", parent=CALLERS, request_id="ticket"):
        tracing.rename("POST /v1/forget-requests")
        told = tracing.current()

    (made,) = spans.get_finished_spans()
    assert made.name == "POST /v1/forget-requests"
    assert format(made.context.trace_id, "032x") == CALLERS.split("-")[1] == str(told).split("-")[1]
    assert dict(made.attributes) == {"request_id": "ticket"}
    assert len(str(told)) == 55


def test_a_run_is_a_trace_of_its_own_that_links_to_every_call(spans: Any) -> None:
    with tracing.span("job.unlearn", job="j"):
        tracing.link([CALLERS, None, "not a traceparent"])
        with tracing.span("engine.unlearn"):
            pass

    child, run = spans.get_finished_spans()
    assert child.parent.span_id == run.context.span_id
    assert run.parent is None
    assert [format(one.context.span_id, "016x") for one in run.links] == [CALLERS.split("-")[2]]
