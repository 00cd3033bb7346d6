"""Spans on their way to an OpenTelemetry collector. Loaded only where there is one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared.shell.ports.tracer import Span


class SpanExport:
    """The shell's spans as OpenTelemetry's, handed on in batches from a thread of their own.

    Built as `ReadableSpan`s, not by the SDK's tracer: our ids are given (other services send them as parents, and a
    decision that is made again must give the same), and a span is recorded once its transaction is committed, not while
    it runs. An `IdGenerator` is called without knowing for what.
    """

    def __init__(self, processor: SpanProcessor, service: str, worker: str, share: float = 1.0) -> None:
        self._processor = processor
        self._below = round(share * 2**_RANDOM_BITS)
        self._resource = Resource.create(
            {"service.namespace": "orderbus", "service.name": service, "service.instance.id": worker}
        )

    def record(self, span: Span) -> None:
        """Queue it. When the queue is full, the collector being away, the oldest are dropped."""
        if int(span.context[35 - _RANDOM_BITS // 4 : 35], 16) < self._below:
            self._processor.on_end(_readable(span, self._resource))

    async def close(self) -> None:
        """Send what is queued; give up after a few seconds when no collector takes it."""
        closing = asyncio.create_task(asyncio.to_thread(self._processor.shutdown))
        await asyncio.wait([closing], timeout=5.0)


_RANDOM_BITS = 52
"""The last bits of a trace id, random in all that are made here."""


def exporter(endpoint: str, service: str, worker: str, share: float) -> SpanExport:
    """Sends spans to an endpoint by OTLP over HTTP."""
    processor = BatchSpanProcessor(
        OTLPSpanExporter(endpoint=_traces(endpoint), timeout=5),
        max_queue_size=8192,
        max_export_batch_size=1024,
        schedule_delay_millis=2000,
    )
    return SpanExport(processor, service, worker, share)


def refusal_of(endpoint: str) -> str:
    """Send no spans, as `exporter` sends some. Returns why they are not taken: an HTTP status or an error's name; empty
    where they are."""
    asking = OTLPSpanExporter(endpoint=_traces(endpoint), timeout=3)
    try:
        result = asking._client.export(b"")
    finally:
        asking.shutdown()  # type: ignore[no-untyped-call]  # of the SDK
    return "" if result.success else str(result.status_code or type(result.error).__name__)


def _traces(endpoint: str) -> str:
    return endpoint.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    return ReadableSpan(
        span.name,
        context=_span_context(span.context),
        parent=_span_context(span.parent) if span.parent else None,
        resource=resource,
        attributes=span.attributes,
        kind=SpanKind[span.kind.upper()],
        status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
        start_time=_nanoseconds(span.start),
        end_time=_nanoseconds(span.end),
    )


def _span_context(traceparent: str) -> SpanContext:
    _, trace, span, flags = traceparent.split("-")
    return SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
