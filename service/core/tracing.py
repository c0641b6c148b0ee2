"""Traces, where they are wanted: spans of OpenTelemetry, or nothing at all.

They are wanted where the extra `lethe[otel]` is installed and `OTEL_EXPORTER_OTLP_ENDPOINT` names a
collector. Otherwise `span` is an empty context, and nothing is sent.

A call's trace does not become the run's: a run serves many requests, and a trace has one root. So a request
keeps the `traceparent` of its call in its row, and the run's trace links to each. The broker carries none of
it. Attributes are ids of requests, runs and jobs, and names of what is done, never of samples or persons.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

try:
    from opentelemetry import propagate, trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    IS_INSTALLED = True
except ImportError:
    IS_INSTALLED = False

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_wanted: "list[trace.Tracer]" = []
"""The tracer of this process, once traces are wanted."""


def configure(process: str) -> None:
    """Send this process's spans to the collector that the environment names, if it names one.

    Args:
        process: What the process is called in traces, e.g. `lethe-worker`.
    """
    if IS_INSTALLED and os.environ.get(ENDPOINT):
        start(process, BatchSpanProcessor(OTLPSpanExporter()))


def start(process: str, processor: "SpanProcessor") -> None:
    """Have a processor told of every span from here on."""
    provider = TracerProvider(resource=Resource.create({"service.name": process}))
    provider.add_span_processor(processor)
    _wanted[:] = [provider.get_tracer("lethe")]


def stop() -> None:
    """Make no more spans."""
    _wanted.clear()


def span(
    name: str, *, parent: str | None = None, links: Iterable[str | None] = (), **attributes: str | int | float
) -> AbstractContextManager[None]:
    """Make what happens in a `with` block a span; an empty context where traces are not wanted.

    Args:
        name: What happens.
        parent: `traceparent` to continue; None for the span around this one.
        links: `traceparent` of each call that led to this.
        attributes: Ids and names.
    """
    return _span(_wanted[0], name, parent, links, attributes) if _wanted else nullcontext()


def rename(name: str) -> None:
    """Call the present span something else, now that it is known."""
    if _wanted:
        trace.get_current_span().update_name(name)


def link(parents: Iterable[str | None]) -> None:
    """Link the present span to the calls that led to it."""
    if _wanted:
        for one in _links(parents):
            trace.get_current_span().add_link(one.context)


def current() -> str | None:
    """Return the present span's `traceparent`; None where there is none."""
    if not _wanted:
        return None
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def _span(
    tracer: "trace.Tracer",
    name: str,
    parent: str | None,
    links: Iterable[str | None],
    attributes: dict[str, str | int | float],
) -> Iterator[None]:
    context = propagate.extract({"traceparent": parent}) if parent else None
    with tracer.start_as_current_span(name, context, attributes=attributes, links=_links(links)):
        yield


def _links(parents: Iterable[str | None]) -> "list[trace.Link]":
    contexts = (
        trace.get_current_span(propagate.extract({"traceparent": parent})).get_span_context()
        for parent in parents
        if parent
    )
    return [trace.Link(context) for context in contexts if context.is_valid]
