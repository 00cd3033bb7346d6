"""Logs: one JSON object a line, with service, worker, and where it applies order id and trace id. Traces, by OTLP.

What is logged and traced are ids, counts, types and durations: no bodies, no addresses, no card data, no secrets.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, TextIO, cast

import orjson
import structlog

from shared.settings import TelemetrySettings
from shared.shell.observability.logged_errors import hide_data, log_uncaught

if TYPE_CHECKING:
    from shared.shell.observability.otlp import SpanExport


def configure_logging(settings: TelemetrySettings, service: str, worker: str) -> structlog.typing.FilteringBoundLogger:
    """Set up structlog for this process, and send the libraries' warnings the same way. Returns the program's own."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]

    def origin(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"service": service, "worker": worker, **event}

    processors: list[structlog.typing.Processor] = [
        origin,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        hide_data,
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
    log_uncaught(structlog.get_logger(__name__).error)
    handler = _ToStructlog()
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger(service)
    return log


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


def new_tracer(settings: TelemetrySettings, service: str, worker: str) -> SpanExport | None:
    """Sends spans to `otlp_endpoint`. None where that is not set: then OpenTelemetry is not even loaded."""
    if settings.otlp_endpoint is None:
        return None
    otlp = import_module("shared.shell.observability.otlp")
    tracer: SpanExport = otlp.exporter(settings.otlp_endpoint, service, worker, settings.trace_share)
    return tracer


def traces_refused(endpoint: str) -> str:
    """Why an endpoint takes no traces; empty where it takes them. Waits for its answer."""
    said: str = import_module("shared.shell.observability.otlp").refusal_of(endpoint)
    return said
