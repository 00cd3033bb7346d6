"""Passes commands and reports over HTTP to the core as messages, and answers after their commit."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts.envelope import encode
from shared.core import Command, Message, Problem, Refused, Report, codec, derived_id, hashed_id
from shared.core.fast_dataclasses import replace
from shared.shell.batch.batcher import Batcher, Duplicate
from shared.shell.http.problems import ProblemResponse
from shared.shell.inbound.message import Copy, Inbound, Meta
from shared.shell.observability import spans
from shared.shell.observability.tracing import CURRENT, child_of, context_of, new_span, valid
from shared.shell.ports.clock import Clock
from shared.shell.ports.http_api import Accepted
from shared.shell.ports.store import Store
from shared.shell.ports.tracer import Tracer
from shared.shell.service.registry import HandlerRegistry

COMMIT_TIMEOUT = 20.0
"""Seconds that a request waits for its commit."""


class ShellHttpApi:
    """See `ports.http_api`."""

    def __init__(
        self,
        registry: HandlerRegistry,
        store: Store,
        batcher: Batcher,
        clock: Clock,
        engine: AsyncEngine,
        tracer: Tracer | None = None,
        commit_timeout: float = COMMIT_TIMEOUT,
    ) -> None:
        self.registry, self.store, self.batcher, self.clock = registry, store, batcher, clock
        self.tracer = tracer
        self.commit_timeout = commit_timeout
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
        compared_by: Command | None = None,
    ) -> Accepted | Refused:
        meta = Meta(store=store, actor=actor, traceparent=valid(CURRENT.get()))
        inbound = self._inbound(message, key, identity, meta, occurred, compared_by or message)
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
            span = spans.request_span(message, key, outcome, context, parent, began, self.clock.now())
            self.tracer.record(span)
        return answer

    def _inbound(
        self,
        message: Command | Report,
        key: str,
        identity: UUID | str,
        meta: Meta,
        occurred: datetime | None,
        compared_by: Command | Report,
    ) -> Inbound:
        id = identity if isinstance(identity, UUID) else hashed_id(self.registry.name, identity)
        if occurred:
            id = derived_id(id, 0, occurred)
        kind = type(message)
        body = encode(compared_by) if isinstance(compared_by, Command) else codec.dump(compared_by)
        fingerprint = hashlib.sha256(b"\x00".join((kind.__qualname__.encode(), key.encode(), body))).hexdigest()
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        copy = self._copy(message)
        return Inbound(id, key, message, meta, reply=reply, fingerprint=fingerprint, copy=copy, occurred=occurred)

    def _copy(self, message: Command | Report) -> Copy | None:
        """As it was given: with all defaults it could be larger than what is read."""
        as_message = self.registry.service.kept
        if isinstance(message, Report) and as_message is None:
            return None
        kept = as_message(message) if isinstance(message, Report) and as_message else message
        assert isinstance(kept, Message)
        return Copy(type(kept), kept.model_dump_json(exclude_unset=True).encode())

    async def _submit(self, inbound: Inbound) -> Accepted | Refused:
        assert inbound.reply is not None
        try:
            async with asyncio.timeout(self.commit_timeout):
                await self.batcher.put([inbound])
                answer = await inbound.reply
        except TimeoutError:
            raise ProblemResponse(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Not committed in time, but it may be later. Repeat the request with the same Idempotency-Key.",
                "busy",
                retry_after=5,
            ) from None
        if isinstance(answer, Duplicate):
            return await self._first_reply(inbound.id, inbound.fingerprint, report=isinstance(inbound.message, Report))
        return answer if isinstance(answer, Refused) else Accepted(str(inbound.id))

    async def _first_reply(self, message_id: UUID, fingerprint: str, *, report: bool) -> Accepted | Refused:
        async with self.store.begin() as tx:
            kept = await tx.reply(message_id)
        if kept is None and report:  # known again since a restore; who reported it waits for no answer
            return Accepted(str(message_id), duplicate=True)
        if kept is None:
            raise ProblemResponse(
                HTTPStatus.CONFLICT,
                "This Idempotency-Key was used before, and its outcome is no longer known. Check what happened, "
                "and use a new key.",
                "outcome_forgotten",
            )
        if kept.fingerprint != fingerprint:
            raise ProblemResponse(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "This Idempotency-Key was used for another request.",
                "idempotency_key_reused",
            )
        if kept.code:
            problems = tuple(Problem.model_validate(entry) for entry in orjson.loads(kept.problems))
            return Refused(kept.code, kept.text, problems)
        return Accepted(str(message_id), duplicate=True)
