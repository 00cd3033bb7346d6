"""Traces leave by OTLP where a collector is named, and cost nothing where none is. Logs never end a worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import ValidationError

from shared.settings import TelemetrySettings
from shared.shell.observability.otlp import SpanExport
from shared.shell.observability.telemetry import new_tracer
from shared.shell.observability.tracing import (
    attempt_span_of,
    child_of,
    context_of,
    key_context,
    parked_span_of,
    span_of,
    trace_of,
    valid,
)
from shared.shell.ports.tracer import Span

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MESSAGE = UUID("01900000-0000-7000-8000-000000000001")
START = datetime(2026, 3, 3, 14, 0, 0, 123456, tzinfo=UTC)


def a_span(context: str = GIVEN, **changes: object) -> Span:
    fields = {"name": "order.placed", "kind": "consumer", "parent": "", "start": START, "end": START}
    return Span(context=context, **(fields | changes))  # type: ignore[arg-type]


class TestTraceContext:
    def test_a_message_goes_on_in_its_trace(self) -> None:
        inside = child_of(context_of(GIVEN, "o-1"), span_of(MESSAGE, salt=5))
        assert trace_of(inside) == trace_of(GIVEN)
        assert inside == f"00-{trace_of(GIVEN)}-{span_of(MESSAGE, salt=5)}-01"

    @pytest.mark.parametrize(
        "wrong",
        [
            "",
            "nonsense",
            GIVEN.upper(),
            GIVEN + "-more",
            "01" + GIVEN[2:],
            f"00-{'0' * 32}-00f067aa0ba902b7-01",
            f"00-{'1' * 32}-{'0' * 16}-01",
            GIVEN + "\n",
        ],
    )
    def test_a_message_without_a_valid_context_joins_the_trace_of_its_key(self, wrong: str) -> None:
        assert valid(wrong) == ""
        assert context_of(wrong, "o-1") == key_context("o-1") != key_context("o-2")

    @given(st.uuids(), st.integers(0, 2**128), st.integers(1, 100))
    def test_every_span_has_a_valid_id(self, identity: UUID, salt: int, attempt: int) -> None:
        for span in (span_of(identity, salt), parked_span_of(identity, salt), attempt_span_of(identity, attempt)):
            assert valid(child_of(GIVEN, span))

    def test_services_and_tries_are_told_apart(self) -> None:
        assert span_of(MESSAGE, 1) != span_of(MESSAGE, 2) != parked_span_of(MESSAGE, 2)
        assert attempt_span_of(MESSAGE, 1) != attempt_span_of(MESSAGE, 2)


class Collector:
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, ExportTraceServiceRequest]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append((request.path, ExportTraceServiceRequest.FromString(await request.read())))
        return web.Response(content_type="application/x-protobuf")


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[tuple[Collector, str]]:
    collector, app = Collector(), web.Application()
    app.router.add_post("/{path:.*}", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield collector, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


class TestExport:
    @pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
    async def test_spans_arrive_at_the_collector(self, collector: tuple[Collector, str], path: str) -> None:
        taken, url = collector
        tracer = new_tracer(TelemetrySettings(otlp_endpoint=url + path), "checkout", "checkout-1")
        assert tracer is not None
        child = child_of(GIVEN, span_of(MESSAGE))
        later = START + timedelta(milliseconds=2)
        tracer.record(a_span(child, parent=GIVEN, end=later, attributes={"orderbus.key": "o-1"}, failed=True))
        await tracer.close()

        [(where, request)] = taken.requests
        [resource] = request.resource_spans
        [span] = resource.scope_spans[0].spans
        origin = {one.key: one.value.string_value for one in resource.resource.attributes}
        assert where == "/v1/traces"
        assert (origin["service.name"], origin["service.instance.id"]) == ("checkout", "checkout-1")
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == tuple(GIVEN.split("-")[1:3])
        assert span.span_id.hex() == span_of(MESSAGE)
        assert span.end_time_unix_nano - span.start_time_unix_nano == 2_000_000
        assert [(one.key, one.value.string_value) for one in span.attributes] == [("orderbus.key", "o-1")]
        assert span.status.code == 2

    async def test_a_trace_that_its_beginner_does_not_sample_is_not_sent(
        self, collector: tuple[Collector, str]
    ) -> None:
        taken, url = collector
        tracer = new_tracer(TelemetrySettings(otlp_endpoint=url), "checkout", "checkout-1")
        assert tracer is not None
        tracer.record(a_span(GIVEN.removesuffix("01") + "00"))
        await tracer.close()
        assert taken.requests == []

    def test_a_share_of_traces_is_the_same_one_in_every_service(self) -> None:
        exporter = InMemorySpanExporter()
        traces: list[set[int]] = []
        for service in ("checkout", "payments"):
            tracer = SpanExport(SimpleSpanProcessor(exporter), service, f"{service}-0", share=0.25)
            for number in range(1000):
                tracer.record(a_span(key_context(f"o-{number}")))
            traces.append({span.context.trace_id for span in exporter.get_finished_spans() if span.context})
            exporter.clear()
        assert traces[0] == traces[1]
        assert 180 < len(traces[0]) < 320

    def test_without_a_collector_opentelemetry_is_not_even_loaded(self) -> None:
        program = (
            "import sys; from shared.settings import TelemetrySettings; import shared.shell.worker as runner\n"
            "assert runner.new_tracer(TelemetrySettings(), 'checkout', 'checkout-0') is None\n"
            "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
        )
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

    def test_an_endpoint_that_is_no_url_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="otlp_endpoint"):
            TelemetrySettings(otlp_endpoint="collector:4318")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_worker_does_not_end_because_its_log_cannot_be_written() -> None:
    program = (
        "import structlog; from shared.settings import TelemetrySettings\n"
        "from shared.shell.observability.telemetry import configure_logging\n"
        "configure_logging(TelemetrySettings(), 'checkout', 'checkout-0'); structlog.get_logger().warning('no room')"
    )
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-u", "-c", program]
        assert subprocess.run(command, stderr=full, check=False).returncode == 0
