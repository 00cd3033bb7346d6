"""Each service's HTTP API: health, metrics, parked messages, and the service's own routes (see also `web.py`)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

import orjson
from aiohttp import web
from prometheus_client import generate_latest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts.envelope import encode
from shared.core import Command, Problem, Refused, Report, codec, derived_id, hashed_id
from shared.core.fast_dataclasses import replace
from shared.shell.batch import spans
from shared.shell.batch.handler import Duplicate, Handler
from shared.shell.batch.inbound import Inbound, Meta
from shared.shell.batch.parked_rows import shown
from shared.shell.http.web import MAX_REQUEST, Accepted, ProblemResponse, json_response, not_found, protection, public
from shared.shell.http.web import Handler as RequestHandler
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.tracing import CURRENT, Tracer, child_of, context_of, new_span, valid
from shared.shell.operations import Operations
from shared.shell.operations.http import add_operations
from shared.shell.parking.parking import Parking
from shared.shell.parking.undeliverable import add_undeliverable
from shared.shell.ports.clock import Clock
from shared.shell.ports.store import ParkedRow, Store
from shared.shell.registry import HandlerRegistry

PATIENCE = 20.0
"""Seconds that a request waits for its commit."""


class ShellHttpApi:
    """See `web.Edge`."""

    def __init__(
        self,
        registry: HandlerRegistry,
        store: Store,
        handler: Handler,
        clock: Clock,
        engine: AsyncEngine,
        tracer: Tracer | None = None,
    ) -> None:
        self.registry, self.store, self.handler, self.clock = registry, store, handler, clock
        self.tracer = tracer
        self._engine = engine

    @property
    def engine(self) -> AsyncEngine:
        return self._engine

    async def submit(
        self,
        message: Command | Report,
        key: str,
        *,
        identity: UUID | str,
        actor: str,
        store: str = "",
        occurred: datetime | None = None,
    ) -> Accepted | Refused:
        meta = Meta(store=store, actor=actor, traceparent=valid(CURRENT.get()))
        inbound = self._inbound(message, key, identity, meta, occurred)
        if self.tracer is None:
            return await self._submit(inbound)
        began, outcome = self.clock.now(), "failed"
        parent = context_of(meta.traceparent, key)
        context = child_of(parent, new_span())
        try:
            answer = await self._submit(replace(inbound, meta=replace(meta, traceparent=context)))
            outcome = "refused" if isinstance(answer, Refused) else "duplicate" if answer.duplicate else "accepted"
        except ProblemResponse as problem:
            outcome = problem.code
            raise
        finally:
            span = spans.of_request(message, key, outcome, context, parent, began, self.clock.now())
            self.tracer.record(span)
        return answer

    def _inbound(
        self, message: Command | Report, key: str, identity: UUID | str, meta: Meta, occurred: datetime | None
    ) -> Inbound:
        id = identity if isinstance(identity, UUID) else hashed_id(self.registry.name, identity)
        if occurred:
            id = derived_id(id, 0, occurred)
        kind = type(message)
        body = encode(message) if isinstance(message, Command) else codec.dump(message)
        fingerprint = hashlib.sha256(b"\x00".join((kind.__qualname__.encode(), key.encode(), body))).hexdigest()
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        return Inbound(id, key, message, meta, reply=reply, fingerprint=fingerprint, occurred=occurred)

    async def _submit(self, inbound: Inbound) -> Accepted | Refused:
        assert inbound.reply is not None
        try:
            async with asyncio.timeout(PATIENCE):
                await self.handler.put([inbound])
                answer = await inbound.reply
        except TimeoutError:
            raise ProblemResponse(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "No commit in time; it may still happen. Send the same again, with the same Idempotency-Key.",
                "busy",
                retry_after=5,
            ) from None
        if isinstance(answer, Duplicate):
            return await self._first_answer(inbound.id, inbound.fingerprint)
        return answer if isinstance(answer, Refused) else Accepted(str(inbound.id))

    async def _first_answer(self, message_id: UUID, fingerprint: str) -> Accepted | Refused:
        async with self.store.begin() as tx:
            answer = await tx.answer(message_id)
        if answer is None:
            return Accepted(str(message_id), duplicate=True)
        if answer.fingerprint != fingerprint:
            raise ProblemResponse(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "This Idempotency-Key was used for another request.",
                "idempotency_key_reused",
            )
        if answer.code:
            problems = tuple(Problem.model_validate(entry) for entry in orjson.loads(answer.problems))
            return Refused(answer.code, answer.text, problems)
        return Accepted(str(message_id), duplicate=True)


@web.middleware
async def _in_trace(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
    """Whatever the request brings about goes on in the caller's trace."""
    given = CURRENT.set(valid(request.headers.get("traceparent", "")))
    try:
        return await handler(request)
    finally:
        CURRENT.reset(given)


@dataclass(frozen=True, slots=True)
class Readiness:
    """What `/ready` says: what is missing (nothing: the worker is ready), the age of each part's progress in seconds,
    and notes for staff."""

    missing: Callable[[], list[str]] = list
    progress: Callable[[], dict[str, float]] = dict
    notes: Callable[[], list[str]] = list


def application(
    registry: HandlerRegistry,
    edge: ShellHttpApi,
    parking: Parking,
    operations: Operations,
    metrics: Metrics,
    token: str,
    ready: Readiness,
) -> web.Application:
    """The aiohttp application of one worker."""
    app = web.Application(middlewares=[_in_trace, protection(token)], client_max_size=MAX_REQUEST)

    @public
    async def health(request: web.Request) -> web.Response:
        return json_response({"status": "ok", "service": registry.name})

    @public
    async def readiness(request: web.Request) -> web.Response:
        missing = ready.missing()
        status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
        answer = {"ready": not missing, "missing": missing, "progress": ready.progress(), "notes": ready.notes()}
        return json_response(answer, status)

    @public
    async def exposition(request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.registry), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    app.router.add_get("/health", health)
    app.router.add_get("/ready", readiness)
    app.router.add_get("/metrics", exposition)
    _add_parking(app, parking)
    add_undeliverable(app, edge.store)
    add_operations(app, edge.engine, operations)
    if registry.service.routes:
        registry.service.routes(app, edge)
    return app


def _add_parking(app: web.Application, parking: Parking) -> None:
    async def listing(request: web.Request) -> web.Response:
        rows = await parking.list()
        return json_response({"parked": [_brief(row) for row in rows]})

    async def show(request: web.Request) -> web.Response:
        rows = await parking.show(request.match_info["key"])
        if not rows:
            raise not_found("parked key")
        return json_response({"parked": [_whole(row) for row in rows]})

    async def retry(request: web.Request) -> web.Response:
        released = await parking.retry(request.match_info["key"])
        return json_response({"handled": released.handled, "error": released.error})

    async def skip(request: web.Request) -> web.Response:
        released = await parking.skip(request.match_info["key"])
        return json_response({"handled": released.handled, "error": released.error})

    async def late_timers(request: web.Request) -> web.Response:
        rows = await parking.late_timers()
        timers = [{"key": r.key, "name": r.name, "type": r.kind, "due": r.due.isoformat()} for r in rows]
        return json_response({"timers": timers})

    app.router.add_get("/timers/late", late_timers)
    app.router.add_get("/parked", listing)
    app.router.add_get("/parked/{key:.+}", show)
    app.router.add_post("/parked/{key:.+}/retry", retry)
    app.router.add_post("/parked/{key:.+}/skip", skip)


def _brief(row: ParkedRow) -> dict[str, object]:
    return {
        "key": row.key,
        "id": row.id,
        "message": str(row.message_id),
        "type": row.kind,
        "origin": row.origin,
        "topic": row.topic,
        "partition": row.partition,
        "offset": row.offset,
        "reason": row.reason,
        "error": row.error,
        "parked_at": row.at.isoformat(),
    }


def _whole(row: ParkedRow) -> dict[str, object]:
    return _brief(row) | shown(row)
