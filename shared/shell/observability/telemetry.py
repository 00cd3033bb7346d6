"""Logs: one JSON object a line, with service, worker, and where it applies order id and trace id. Traces, by OTLP.

What is logged and traced are ids, counts, types and durations: no bodies, no addresses, no card data, no secrets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TextIO, cast

import orjson
import structlog

from shared.settings import TelemetrySettings
from shared.shell.ports.tracer import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from opentelemetry.trace import SpanContext


def configure_logging(settings: TelemetrySettings, service: str, worker: str) -> None:
    """Set up structlog for this process, and send the libraries' warnings the same way."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]

    def origin(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"service": service, "worker": worker, **event}

    processors: list[structlog.typing.Processor] = [
        origin,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    renderer: structlog.typing.Processor
    if settings.log_format == "json":
        processors.append(
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=12)
            )
        )
        renderer = structlog.processors.JSONRenderer(
            lambda value, default=None, **_: orjson.dumps(value, default=str).decode()
        )
    else:
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    if level > logging.DEBUG:
        # It retries by itself and reports each try as an error, a dozen of them whenever a broker starts.
        logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.CRITICAL)
    handler = _ToStructlog()
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


class Unfailing:
    """A stream that drops what cannot be written, such as on a full disk: no worker may end because of its log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class _ToStructlog(logging.Handler):
    """What libraries log, in our form. Only the message: their arguments are connection details, not order data."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(record.levelno, record.getMessage()[:500], logger=record.name)


class SpanExport:
    """The shell's spans as OpenTelemetry's, handed on in batches from a thread of their own.

    Built as `ReadableSpan`s, not by the SDK's tracer: the ids of ours are given (other services send them as parents,
    and a decision that is made again must give the same), and a span is told once its transaction is committed, not
    while it runs. An `IdGenerator` is called without knowing for what, and would have to be told behind the SDK's back.
    """

    def __init__(self, processor: SpanProcessor, service: str, worker: str, share: float = 1.0) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

        self._processor = processor
        self._below = round(share * 2**_CHANCE_BITS)
        self._resource = Resource.create(
            {"service.namespace": "orderbus", "service.name": service, "service.instance.id": worker}
        )

    def record(self, span: Span) -> None:
        """Queue it. When the queue is full, the collector being away, the oldest are dropped."""
        if int(span.context[35 - _CHANCE_BITS // 4 : 35], 16) < self._below:
            self._processor.on_end(_readable(span, self._resource))

    async def close(self) -> None:
        """Send what waits; give up after a few seconds when nobody takes it."""
        closing = asyncio.create_task(asyncio.to_thread(self._processor.shutdown))
        await asyncio.wait([closing], timeout=5.0)


_CHANCE_BITS = 52
"""The last bits of a trace id, random in all that are made here."""


def new_tracer(settings: TelemetrySettings, service: str, worker: str) -> SpanExport | None:
    """Sends spans where `otlp_endpoint` says; None, and OpenTelemetry not even loaded, where it says nothing."""
    if settings.otlp_endpoint is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    endpoint = settings.otlp_endpoint.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
    processor = BatchSpanProcessor(
        OTLPSpanExporter(endpoint=endpoint, timeout=5),
        max_queue_size=8192,
        max_export_batch_size=1024,
        schedule_delay_millis=2000,
    )
    return SpanExport(processor, service, worker, settings.trace_share)


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415
    from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

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
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415

    _, trace, span, flags = traceparent.split("-")
    return SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
