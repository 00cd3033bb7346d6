"""Mails to a real SMTP server and webhooks to a real HTTP server, good and bad ones."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr
from standardwebhooks import Webhook

from services.notifications.domain.operations import PostWebhook, SendEmail
from services.notifications.domain.state import Endpoint
from services.notifications.gateways.smtp import SmtpMails
from services.notifications.gateways.webhook import EndpointsUnreadable, Webhooks
from services.notifications.settings import SmtpSettings
from shared.core import NoOutcome, NotTried, OperatorFault, Outcome, Retry, Unknown
from shared.shell.http.outbound import Outbound, RequestProgress
from shared.shell.observability.tracing import CURRENT
from tests.unit.notifications.conversation import SECRET, START, hook, paid_order

Answer = Outcome | NoOutcome


# Mails


@dataclass
class Mailbox:
    """An SMTP server's memory, and what it answers to DATA and RCPT."""

    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    rcpt: str = ""
    sender: str = ""
    connections: int = 0
    transports: list[Any] = field(default_factory=list)
    port: int = 0
    delay: float = 0.0
    """Seconds before each answer to MAIL and RCPT."""

    async def handle_MAIL(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await asyncio.sleep(self.delay)
        if self.sender:
            return self.sender
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await asyncio.sleep(self.delay)
        if self.rcpt:
            return self.rcpt
        envelope.rcpt_tos.append(address)
        self.recipients.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.data.pop(0) if self.data else "250 OK"
        if answer.startswith(("250", "hang")):
            assert isinstance(envelope.content, bytes)
            assert b"\n" not in envelope.content.replace(b"\r\n", b"")
            self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        if answer == "hang":
            await asyncio.sleep(1)
        if answer == "hang up":
            self.transports[-1].close()
        return answer


@asynccontextmanager
async def mail_server(**options: Any) -> AsyncIterator[Mailbox]:
    box = Mailbox()

    class Server(SMTP):
        def connection_made(self, transport: Any) -> None:
            box.connections += 1
            box.transports.append(transport)
            super().connection_made(transport)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(box, enable_SMTPUTF8=True, **options), "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        for transport in box.transports:
            transport.close()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def mails_to(port: int, **settings: Any) -> AsyncIterator[SmtpMails]:
    gateway = SmtpMails(SmtpSettings(port=port, timeout=5, **settings))
    yield gateway
    await gateway.close()


def confirmation(**changes: Any) -> SendEmail:
    return replace(paid_order().mails()[0], **changes)


async def test_a_mail_arrives_whole_in_text_and_html() -> None:
    async with mail_server() as box, mails_to(box.port) as gateway:
        assert await gateway.perform(confirmation(), "key") == SendEmail.Done()

    (mail,) = box.mails
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text and html and mail.get_content_type() == "multipart/alternative"
    assert "27.00 EUR" in text.get_content() and "<strong>" not in text.get_content()
    assert "See your order" in html.get_content()
    assert mail["From"] == "Northwind Books <orders@northwind.example>"
    assert (mail["To"], mail["Reply-To"]) == ("ada@example.com", "help@northwind.example")
    assert mail["Message-ID"] == confirmation().message_id
    assert mail["Date"].datetime == confirmation().at
    assert mail["Auto-Submitted"] == "auto-generated"


async def test_every_template_arrives_readable_with_letters_of_every_alphabet() -> None:
    name = "Zoë Ångström 北京 <b>&amp;"
    mail = confirmation(subject=f"Für {name} " + "长" * 100, sender_name='Büch"er, GmbH', to="zoë@bücher.example")
    mail = replace(
        mail, data={**mail.data, "customer": {"name": name, "email": mail.to}, "store": "Bücher\u2028" * 300}
    )
    async with mail_server() as box, mails_to(box.port) as gateway:
        assert await gateway.perform(mail, "key") == SendEmail.Done()

    (arrived,) = box.mails
    text, html = arrived.get_body(("plain",)), arrived.get_body(("html",))
    assert text and html
    assert name in text.get_content()
    assert "Zo&#235; &#197;ngstr&#246;m &#21271;&#20140; &lt;b&gt;&amp;amp;" in html.get_content()
    assert arrived["Subject"] == mail.subject
    assert arrived["From"].addresses[0].display_name == 'Büch"er, GmbH'
    assert box.recipients == ["zoë@xn--bcher-kva.example"]


async def test_no_value_can_make_a_header_of_its_own() -> None:
    evil = "x\r\nBcc: all@example.com\r\n\r\nbody\x00"
    mail = confirmation(subject=evil, sender_name=evil, message_id="<1@x>\r\nBcc: all@example.com")
    async with mail_server() as box, mails_to(box.port) as gateway:
        assert await gateway.perform(mail, "key") == SendEmail.Done()
        smuggling = replace(mail, to="a@b.example>\r\nRCPT TO:<all@example.com")
        assert isinstance(await gateway.perform(smuggling, "key"), SendEmail.Failed)

    (arrived,) = box.mails
    assert arrived["Bcc"] is None and box.recipients == ["ada@example.com"]
    assert arrived["Subject"].startswith("x Bcc: all@example.com")


async def test_connections_are_kept_and_a_lost_one_is_made_anew_without_losing_the_mail() -> None:
    async with mail_server() as box, mails_to(box.port, connections=2) as gateway:
        for _ in range(5):
            assert await gateway.perform(confirmation(), "key") == SendEmail.Done()
        assert box.connections == 1
        box.transports[0].close()
        await asyncio.sleep(0.01)
        assert await gateway.perform(confirmation(), "key") == SendEmail.Done()
        answers = await asyncio.gather(*(gateway.perform(confirmation(), str(n)) for n in range(20)))

    assert answers == [SendEmail.Done()] * 20
    assert len(box.mails) == 26 and box.connections <= 4


async def test_what_the_server_answers_decides() -> None:
    async with mail_server() as box, mails_to(box.port) as gateway:
        box.data = ["451 later", "554 spam", "250 OK"]
        later = await gateway.perform(confirmation(), "key")
        final = await gateway.perform(confirmation(), "key")
        assert isinstance(later, Retry) and "451" in later.error
        assert isinstance(final, SendEmail.Failed) and final.code == "smtp_554"
        assert await gateway.perform(confirmation(), "key") == SendEmail.Done()
        box.rcpt = "550 no ada@example.com here"
        refused = await gateway.perform(confirmation(), "key")
        assert isinstance(refused, SendEmail.Failed) and refused.code == "smtp_550"
        assert "ada@" not in refused.text

    assert len(box.mails) == 1 and box.connections == 1


async def test_a_server_that_is_away_is_not_stormed() -> None:
    async with mail_server() as box:
        port = box.port
    async with mails_to(port) as gateway:
        answers = await asyncio.gather(*(gateway.perform(confirmation(), str(n)) for n in range(50)))

    assert all(isinstance(answer, Retry | NotTried) and "cannot be used" in answer.error for answer in answers)
    assert sum(isinstance(answer, Retry) for answer in answers) <= 4, "only who got a turn has tried"


async def test_a_mail_that_was_given_to_the_server_and_not_answered_is_in_doubt() -> None:
    """SMTP has no books: nobody can find out later either."""
    async with mail_server() as box, mails_to(box.port) as gateway:
        box.data = ["hang up"]
        answer = await gateway.perform(confirmation(), "key")
        assert isinstance(answer, Unknown) and "did not answer" in answer.error
        box.data = ["hang"]
        slow = SmtpMails(SmtpSettings(port=box.port, timeout=0.2))
        answer = await slow.perform(confirmation(), "key")
        assert isinstance(answer, Unknown) and "time-out" in answer.error
        await slow.close()
        found = await gateway.find(confirmation(), "key")
        assert isinstance(found, SendEmail.Unresolved)
        assert await gateway.perform(confirmation(), "key") == SendEmail.Done()
    assert len(box.mails) == 3, "the server had taken both"


async def test_a_mail_that_a_slow_server_was_not_given_in_time_is_certainly_not_sent() -> None:
    """Every single command is answered in time, and all together take longer than anybody waits."""
    async with mail_server() as box:
        box.delay = 0.3
        slow = SmtpMails(SmtpSettings(port=box.port, timeout=0.5))
        answer = await slow.perform(confirmation(), "key")
        assert isinstance(answer, Retry) and "too slow" in answer.error
        box.delay = 0.0
        assert await slow.perform(confirmation(), "key") == SendEmail.Done()
        await slow.close()
    assert len(box.mails) == 1


async def test_a_mail_that_waits_for_its_turn_was_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifications.gateways.smtp.TURN", 0.05)
    async with mail_server() as box, mails_to(box.port, connections=1) as gateway:
        box.data = ["hang"]
        first = asyncio.create_task(gateway.perform(confirmation(), "key"))
        await asyncio.sleep(0.05)
        assert isinstance(await gateway.perform(confirmation(), "other"), NotTried)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_an_attempt_cut_short_leaves_no_broken_conversation_behind() -> None:
    async with mail_server() as box, mails_to(box.port) as gateway:
        attempt = asyncio.create_task(gateway.perform(confirmation(), "key"))
        while not box.connections:
            await asyncio.sleep(0)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        assert await gateway.perform(confirmation(), "key") == SendEmail.Done()


async def test_wrong_credentials_hold_mails_back() -> None:
    def nobody(*_: Any) -> bool:
        return False

    async with (
        mail_server(auth_require_tls=False, auth_callback=nobody) as box,
        mails_to(box.port, username="u", password=SecretStr("not-the-password")) as gateway,
    ):
        answer = await gateway.perform(confirmation(), "key")
        again = await gateway.perform(confirmation(), "key")
    assert isinstance(answer, OperatorFault) and "ORDERBUS_SMTP__USERNAME" in answer.text
    assert "not-the-password" not in answer.text and "ada@" not in answer.text
    assert isinstance(again, NotTried), "others do not knock at a closed door"


@pytest.mark.parametrize("code", [530, 535])
async def test_a_server_that_wants_a_login_is_the_operators_fault_whenever_it_says_so(code: int) -> None:
    async with mail_server() as box, mails_to(box.port) as gateway:
        box.rcpt = f"{code} log in first"
        answer = await gateway.perform(confirmation(), "key")
        assert isinstance(answer, OperatorFault) and str(code) in answer.text
        box.rcpt = ""
        assert await gateway.perform(confirmation(), "key") == SendEmail.Done()


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"tls": "starttls"}, "__TLS"),
        ({"tls": "tls"}, "TLS with the mail server failed"),
        ({"host": "no-such-host.invalid"}, "there is no host no-such-host.invalid"),
        ({"username": "u", "password": SecretStr("p")}, "__USERNAME"),
    ],
)
async def test_what_keeps_every_mail_from_being_sent_is_the_operators_fault(
    settings: dict[str, Any], hint: str
) -> None:
    async with mail_server() as box, mails_to(box.port, **settings) as gateway:
        answer = await gateway.perform(confirmation(), "key")
    assert isinstance(answer, OperatorFault) and hint in answer.text
    assert box.mails == []


async def test_a_refused_sender_is_lost_and_says_what_to_do() -> None:
    async with mail_server() as box, mails_to(box.port) as gateway:
        box.sender = "553 not yours"
        answer = await gateway.perform(confirmation(), "key")
    assert isinstance(answer, SendEmail.Failed) and "sender address" in answer.text


async def test_a_template_of_another_version_fails_and_says_so() -> None:
    async with mails_to(1) as gateway:
        answer = await gateway.perform(confirmation(template="birthday"), "key")
        empty = await gateway.perform(confirmation(data={}), "key")
    assert isinstance(answer, SendEmail.Failed) and isinstance(empty, SendEmail.Failed)


# Webhooks


@dataclass
class Receiver:
    """A webhook endpoint that answers as it is told and keeps what it got."""

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
    """The store's endpoints, as a gateway reads them."""

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

    async def post(self, operation: PostWebhook | None = None) -> Answer:
        return await self.gateway.perform(operation or received(), "key")


def received() -> PostWebhook:
    return next(post for post in paid_order(hook()).posts() if post.event == "order.received")


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


async def test_a_webhook_is_signed_so_that_the_official_library_accepts_it() -> None:
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


async def test_a_receiver_may_go_on_with_the_orders_trace() -> None:
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
async def test_whatever_else_is_answered_is_tried_again(status: int) -> None:
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


async def test_a_private_address_is_never_asked_unless_allowed() -> None:
    async with rig(private=False) as parts:
        answer = await parts.post()
    assert isinstance(answer, OperatorFault) and "allow private addresses" in answer.text
    assert parts.receiver.requests == []


async def test_what_was_not_tried_what_was_not_taken_and_what_is_in_doubt_are_told_apart() -> None:
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


async def test_a_post_for_which_no_connection_is_free_is_not_tried_and_the_one_under_way_goes_on() -> None:
    async with rig() as parts:
        parts.receiver.may_answer.clear()
        assert parts.book.endpoint
        gateway = Webhooks(Outbound(private=True, per_host=1), parts.book, timeout=4.0)
        posts = [asyncio.create_task(gateway.perform(received(), str(n))) for n in range(3)]
        first, *others = posts
        waited = await asyncio.gather(*others)
        assert not first.done(), "who waits gives up sooner"
        parts.receiver.may_answer.set()
        answer = await first
        await gateway.close()
    assert [type(answer) for answer in waited] == [NotTried, NotTried]
    assert answer == PostWebhook.Done(204) and len(parts.receiver.requests) == 1


async def test_who_has_waited_for_a_connection_has_half_of_the_time_left() -> None:
    """Or one that got a connection in the last moment would count as tried, and its endpoint as silent."""
    async with asyncio.timeout(60) as limit:
        began = asyncio.get_running_loop().time()
        progress = RequestProgress(limit, began, 60)
        progress.waits()
        assert limit.when() == began + 30
        progress.has_connection()
        assert limit.when() == began + 60
        await asyncio.sleep(0)


async def test_the_clock_of_the_signature_is_now_whenever_the_fact_was() -> None:
    async with rig() as parts:
        await parts.post()
    headers, body = parts.receiver.requests[0]
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 5
    assert json.loads(body)["timestamp"] == "2026-03-03T14:08:00Z"
