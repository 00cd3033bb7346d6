"""Webhooks to a real HTTP server, a good and a bad one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from services.notifications.domain.endpoint import Endpoint
from services.notifications.domain.operations import PostWebhook
from services.notifications.gateways.webhook import EndpointsUnreadable, Webhooks
from shared.core import NoOutcome, NotTried, OperatorFault, Outcome, Retry, Unknown
from shared.shell.http.outbound import Outbound, RequestProgress
from shared.shell.observability.tracing import CURRENT
from tests.unit.notifications.examples import SECRET, START, paid_order, webhook


@dataclass
class Receiver:
    """A webhook endpoint that answers as told and keeps its requests."""

    answers: list[Callable[[], web.Response]] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    delay: float = 0.0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.headers), await request.read()))
        await asyncio.sleep(self.delay)
        await self.may_answer.wait()
        return self.answers.pop(0)() if self.answers else web.Response(status=204)

    def will_answer(self, *statuses: int, **headers: str) -> None:
        for status in statuses:
            self.answers.append(lambda status=status: web.Response(status=status, headers=headers))  # type: ignore[misc]


@dataclass
class Book:
    """The store's endpoints, as the gateway reads them."""

    endpoint: Endpoint | None
    readable: bool = True

    async def find(self, store: str, endpoint: str) -> Endpoint | None:
        if not self.readable:
            raise EndpointsUnreadable
        return self.endpoint


@dataclass
class Rig:
    receiver: Receiver
    book: Book
    gateway: Webhooks

    async def post(self, operation: PostWebhook | None = None) -> Outcome | NoOutcome:
        return await self.gateway.perform(operation or received(), "key")


def received() -> PostWebhook:
    return next(post for post in paid_order(webhook()).posts() if post.event == "order.received")


@asynccontextmanager
async def rig(*, private: bool = True, timeout: float = 5) -> AsyncIterator[Rig]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/in", receiver.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/in"
    book = Book(Endpoint("crm", receiver.url, ("order.received",), SECRET, START))
    gateway = Webhooks(Outbound(private=private), book, timeout=timeout)
    try:
        yield Rig(receiver, book, gateway)
    finally:
        await gateway.close()
        await runner.cleanup()


async def test_the_official_library_accepts_the_signature() -> None:
    async with rig() as parts:
        assert await parts.post() == PostWebhook.Done(204)

    ((headers, body),) = parts.receiver.requests
    lower = {name.lower(): value for name, value in headers.items()}
    verified = Webhook(SECRET).verify(body, lower)
    assert verified == json.loads(body) and verified["event"] == "order.received"
    assert lower["webhook-id"] == received().message_id
    assert lower["content-type"] == "application/json"
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(SECRET).verify(body + b" ", lower)


async def test_a_receiver_can_continue_the_orders_trace() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    before = CURRENT.set(trace)
    try:
        async with rig() as parts:
            await parts.post()
    finally:
        CURRENT.reset(before)

    ((headers, _),) = parts.receiver.requests
    assert headers["traceparent"] == trace


async def test_a_repetition_has_the_same_id_and_body() -> None:
    async with rig() as parts:
        parts.receiver.will_answer(500, 200)
        first, second = await parts.post(), await parts.post()

    assert first == Retry("HTTP 500") and second == PostWebhook.Done(200)
    (one, body), (two, again) = parts.receiver.requests
    assert body == again and one["webhook-id"] == two["webhook-id"]


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500, 502])
async def test_any_other_answer_is_retried(status: int) -> None:
    async with rig() as parts:
        parts.receiver.will_answer(status)
        assert await parts.post() == Retry(f"HTTP {status}")


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(status: int) -> None:
    async with rig() as parts:
        parts.receiver.will_answer(status, **{"Retry-After": "17"})
        assert await parts.post() == Retry(f"HTTP {status}", after=17.0)


async def test_a_redirect_is_not_followed() -> None:
    async with rig() as parts:
        parts.receiver.will_answer(308, Location="http://127.0.0.1:1/elsewhere")
        answer = await parts.post()
    assert isinstance(answer, Retry) and "final URL" in answer.error and len(parts.receiver.requests) == 1


async def test_gone_paused_and_removed_endpoints_are_final() -> None:
    async with rig() as parts:
        parts.receiver.will_answer(410)
        gone = await parts.post()
        assert parts.book.endpoint
        parts.book.endpoint = replace(parts.book.endpoint, paused=True)
        paused = await parts.post()
        parts.book.endpoint = None
        removed = await parts.post()

    assert [answer.code for answer in (gone, paused, removed) if isinstance(answer, PostWebhook.Failed)] == [
        "gone",
        "paused",
        "removed",
    ]
    assert len(parts.receiver.requests) == 1


async def test_a_private_address_is_never_called_unless_allowed() -> None:
    async with rig(private=False) as parts:
        answer = await parts.post()
    assert isinstance(answer, OperatorFault) and "allow private addresses" in answer.text
    assert parts.receiver.requests == []


async def test_not_tried_not_accepted_and_in_doubt_are_different_outcomes() -> None:
    async with rig(timeout=0.05) as parts:
        parts.receiver.delay = 0.3
        slow = await parts.post()
        parts.book.readable = False
        unreadable = await parts.post()
        parts.book.readable = True
        parts.book.endpoint = Endpoint("crm", "http://127.0.0.1:1/in", (), SECRET, START)
        away = await parts.post()

    assert isinstance(slow, Unknown) and "127.0.0.1" in slow.error and "/in" not in slow.error
    assert isinstance(unreadable, NotTried) and isinstance(away, Retry)


async def test_a_post_without_a_free_connection_is_not_tried_and_does_not_interrupt_another() -> None:
    async with rig() as parts:
        parts.receiver.may_answer.clear()
        assert parts.book.endpoint
        gateway = Webhooks(Outbound(private=True, per_host=1), parts.book, timeout=4.0)
        posts = [asyncio.create_task(gateway.perform(received(), str(n))) for n in range(3)]
        first, *others = posts
        waited = await asyncio.gather(*others)
        assert not first.done(), "a waiting post times out sooner"
        parts.receiver.may_answer.set()
        answer = await first
        await gateway.close()
    assert [type(answer) for answer in waited] == [NotTried, NotTried]
    assert answer == PostWebhook.Done(204) and len(parts.receiver.requests) == 1


async def test_a_post_that_waited_for_a_connection_has_half_of_the_time_left() -> None:
    """Otherwise a post that got its connection at the last moment would count as tried, and its endpoint as silent."""
    async with asyncio.timeout(60) as limit:
        began = asyncio.get_running_loop().time()
        progress = RequestProgress(limit, began, 60)
        progress.waits()
        assert limit.when() == began + 30
        progress.has_connection()
        assert limit.when() == began + 60
        await asyncio.sleep(0)


async def test_the_signature_has_the_time_of_the_attempt_and_the_payload_that_of_the_fact() -> None:
    async with rig() as parts:
        await parts.post()
    headers, body = parts.receiver.requests[0]
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 5
    assert json.loads(body)["timestamp"] == "2026-03-03T14:08:00.000000Z"
