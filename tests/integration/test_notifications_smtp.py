"""Emails to a real SMTP server, a good and a bad one."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr

from deploy.cli import probes
from deploy.cli.errors import Failure
from services.notifications.domain.operations import SendEmail
from services.notifications.gateways.smtp import SmtpEmails
from services.notifications.settings import SmtpSettings
from shared.core import NotTried, OperatorFault, Retry, Unknown
from tests.unit.notifications.examples import paid_order


@dataclass
class Mailbox:
    """What an SMTP server has received, and what it answers to DATA and RCPT."""

    emails: list[EmailMessage] = field(default_factory=list)
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
            self.emails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
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
async def emails_to(port: int, **settings: Any) -> AsyncIterator[SmtpEmails]:
    # `model_copy` checks nothing: the servers of these tests take passwords without TLS.
    gateway = SmtpEmails(SmtpSettings(port=port, timeout=5).model_copy(update=settings))
    yield gateway
    await gateway.close()


def confirmation(**changes: Any) -> SendEmail:
    return replace(paid_order().emails[0], **changes)


async def test_an_email_arrives_in_text_and_html() -> None:
    async with mail_server() as box, emails_to(box.port) as gateway:
        assert await gateway.perform(confirmation(), "key") == SendEmail.Done()

    (arrived,) = box.emails
    text, html = arrived.get_body(("plain",)), arrived.get_body(("html",))
    assert text and html and arrived.get_content_type() == "multipart/alternative"
    assert "€27.00" in text.get_content() and "<strong>" not in text.get_content()
    assert "See your order" in html.get_content()
    assert arrived["From"] == "Northwind Books <orders@northwind.example>"
    assert (arrived["To"], arrived["Reply-To"]) == ("ada@example.com", "help@northwind.example")
    assert arrived["Message-ID"] == confirmation().message_id
    assert arrived["Date"].datetime == confirmation().at
    assert arrived["Auto-Submitted"] == "auto-generated"


async def test_characters_of_every_alphabet_arrive_unchanged() -> None:
    name = "Zoë Ångström 北京 <b>&amp;"
    sent = confirmation(subject=f"Für {name} " + "长" * 100, sender_name='Büch"er, GmbH', to="zoë@bücher.example")
    sent = replace(sent, data={**sent.data, "greeting": f"Hello {name},", "store": "Bücher\u2028" * 300})
    async with mail_server() as box, emails_to(box.port) as gateway:
        assert await gateway.perform(sent, "key") == SendEmail.Done()

    (arrived,) = box.emails
    text, html = arrived.get_body(("plain",)), arrived.get_body(("html",))
    assert text and html
    assert name in text.get_content()
    assert "Zo&#235; &#197;ngstr&#246;m &#21271;&#20140; &lt;b&gt;&amp;amp;" in html.get_content()
    assert arrived["Subject"] == sent.subject
    assert arrived["From"].addresses[0].display_name == 'Büch"er, GmbH'
    assert box.recipients == ["zoë@xn--bcher-kva.example"]


async def test_no_value_can_add_a_header() -> None:
    evil = "x\r\nBcc: all@example.com\r\n\r\nbody\x00"
    sent = confirmation(subject=evil, sender_name=evil, message_id="<1@x>\r\nBcc: all@example.com")
    async with mail_server() as box, emails_to(box.port) as gateway:
        assert await gateway.perform(sent, "key") == SendEmail.Done()
        smuggling = replace(sent, to="a@b.example>\r\nRCPT TO:<all@example.com")
        assert isinstance(await gateway.perform(smuggling, "key"), SendEmail.Failed)

    (arrived,) = box.emails
    assert arrived["Bcc"] is None and box.recipients == ["ada@example.com"]
    assert arrived["Subject"].startswith("x Bcc: all@example.com")


async def test_connections_are_kept_and_a_lost_one_is_replaced_without_losing_the_email() -> None:
    async with mail_server() as box, emails_to(box.port, connections=2) as gateway:
        for _ in range(5):
            assert await gateway.perform(confirmation(), "key") == SendEmail.Done()
        assert box.connections == 1
        box.transports[0].close()
        await asyncio.sleep(0.01)
        assert await gateway.perform(confirmation(), "key") == SendEmail.Done()
        answers = await asyncio.gather(*(gateway.perform(confirmation(), str(n)) for n in range(20)))

    assert answers == [SendEmail.Done()] * 20
    assert len(box.emails) == 26 and box.connections <= 4


async def test_the_servers_answer_decides() -> None:
    async with mail_server() as box, emails_to(box.port) as gateway:
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

    assert len(box.emails) == 1 and box.connections == 1


async def test_an_unavailable_server_is_not_overloaded_with_attempts() -> None:
    async with mail_server() as box:
        port = box.port
    async with emails_to(port) as gateway:
        answers = await asyncio.gather(*(gateway.perform(confirmation(), str(n)) for n in range(50)))

    assert all(isinstance(answer, Retry | NotTried) and "cannot be used" in answer.error for answer in answers)
    assert sum(isinstance(answer, Retry) for answer in answers) <= 4, "only emails with a connection were tried"


async def test_a_server_that_stays_away_is_for_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mail_server() as box:
        port = box.port
    for name, seconds in (("DOWN", 0.0), ("OUTAGE", 0.2), ("FORGOTTEN", 60.0)):
        monkeypatch.setattr(f"services.notifications.gateways.smtp.{name}", seconds)
    async with emails_to(port) as gateway:
        first = await gateway.perform(confirmation(), "key")
        await asyncio.sleep(0.25)
        later = await gateway.perform(confirmation(), "key")
        assert isinstance(first, Retry) and "refuses the connection" in first.error, "it may be restarting"
        assert isinstance(later, OperatorFault)
        assert f"127.0.0.1:{port}" in later.text and "ORDERBUS_SMTP__HOST" in later.text
        monkeypatch.setattr("services.notifications.gateways.smtp.FORGOTTEN", 0.1)
        await asyncio.sleep(0.15)
        assert isinstance(await gateway.perform(confirmation(), "key"), Retry), "a new outage, as far as is known here"


async def test_each_connection_ends_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("DOWN", 0.0), ("OUTAGE", 0.2), ("FORGOTTEN", 60.0), ("PER_CONNECTION", 1)):
        monkeypatch.setattr(f"services.notifications.gateways.smtp.{name}", seconds)
    async with mail_server() as box, emails_to(box.port) as gateway:
        working, gateway._settings = gateway._settings, SmtpSettings(port=9, timeout=5)
        assert isinstance(await gateway.perform(confirmation(), "key"), Retry)
        gateway._settings = working
        assert await gateway.perform(confirmation(), "key") == SendEmail.Done()
        await asyncio.sleep(0.25)
        gateway._settings = SmtpSettings(port=9, timeout=5)
        assert isinstance(await gateway.perform(confirmation(), "key"), Retry)


async def test_a_server_that_never_greets_is_away_not_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifications.gateways.smtp.OUTAGE", 0.0)
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    async with server, emails_to(server.sockets[0].getsockname()[1], timeout=0.2) as gateway:
        answer = await gateway.perform(confirmation(), "key")
    assert isinstance(answer, OperatorFault) and "it does not answer" in answer.text


async def test_an_email_whose_answer_is_lost_is_in_doubt() -> None:
    """SMTP cannot be asked later either."""
    async with mail_server() as box, emails_to(box.port) as gateway:
        box.data = ["hang up"]
        answer = await gateway.perform(confirmation(), "key")
        assert isinstance(answer, Unknown) and "did not answer" in answer.error
        box.data = ["hang"]
        slow = SmtpEmails(SmtpSettings(port=box.port, timeout=0.2))
        answer = await slow.perform(confirmation(), "key")
        assert isinstance(answer, Unknown) and "timeout" in answer.error
        await slow.close()
        found = await gateway.find(confirmation(), "key")
        assert isinstance(found, SendEmail.Unresolved)
        assert await gateway.perform(confirmation(), "key") == SendEmail.Done()
    assert len(box.emails) == 3, "the server had accepted both"


async def test_an_email_that_a_slow_server_did_not_get_in_time_is_certainly_not_sent() -> None:
    """Each command is answered in time, but all together take too long."""
    async with mail_server() as box:
        box.delay = 0.3
        slow = SmtpEmails(SmtpSettings(port=box.port, timeout=0.5))
        answer = await slow.perform(confirmation(), "key")
        assert isinstance(answer, Retry) and "too slow" in answer.error
        box.delay = 0.0
        assert await slow.perform(confirmation(), "key") == SendEmail.Done()
        await slow.close()
    assert len(box.emails) == 1


async def test_an_email_that_waits_for_a_connection_was_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifications.gateways.smtp.CONNECTION_WAIT", 0.05)
    async with mail_server() as box, emails_to(box.port, connections=1) as gateway:
        box.data = ["hang"]
        first = asyncio.create_task(gateway.perform(confirmation(), "key"))
        await asyncio.sleep(0.05)
        assert isinstance(await gateway.perform(confirmation(), "other"), NotTried)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_an_interrupted_attempt_leaves_no_broken_connection() -> None:
    async with mail_server() as box, emails_to(box.port) as gateway:
        attempt = asyncio.create_task(gateway.perform(confirmation(), "key"))
        while not box.connections:
            await asyncio.sleep(0)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        assert await gateway.perform(confirmation(), "key") == SendEmail.Done()


async def test_invalid_credentials_pause_all_emails() -> None:
    def refuse(*_: Any) -> bool:
        return False

    async with (
        mail_server(auth_require_tls=False, auth_callback=refuse) as box,
        emails_to(box.port, username="u", password=SecretStr("not-the-password")) as gateway,
    ):
        answer = await gateway.perform(confirmation(), "key")
        again = await gateway.perform(confirmation(), "key")
    assert isinstance(answer, OperatorFault) and "ORDERBUS_SMTP__USERNAME" in answer.text
    assert "not-the-password" not in answer.text and "ada@" not in answer.text
    assert isinstance(again, NotTried), "others are not tried either"


@pytest.mark.parametrize("code", [530, 535])
async def test_a_missing_login_is_the_operators_fault_whenever_the_server_says_so(code: int) -> None:
    async with mail_server() as box, emails_to(box.port) as gateway:
        box.rcpt = f"{code} log in first"
        answer = await gateway.perform(confirmation(), "key")
        assert isinstance(answer, OperatorFault) and str(code) in answer.text
        box.rcpt = ""
        assert await gateway.perform(confirmation(), "key") == SendEmail.Done()


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"tls": "starttls"}, "__TLS"),
        ({"tls": "starttls", "username": "u", "password": SecretStr("p")}, "__TLS"),
        ({"tls": "tls"}, "TLS with the mail server failed"),
        ({"host": "no-such-host.invalid"}, "There is no host no-such-host.invalid"),
        ({"username": "u", "password": SecretStr("p")}, "__USERNAME"),
    ],
)
async def test_what_prevents_every_email_is_the_operators_fault(settings: dict[str, Any], hint: str) -> None:
    async with mail_server() as box, emails_to(box.port, **settings) as gateway:
        answer = await gateway.perform(confirmation(), "key")
    assert isinstance(answer, OperatorFault) and hint in answer.text
    assert box.emails == []


async def test_an_email_with_a_refused_sender_is_lost_and_says_what_to_do() -> None:
    async with mail_server() as box, emails_to(box.port) as gateway:
        box.sender = "553 not yours"
        answer = await gateway.perform(confirmation(), "key")
    assert isinstance(answer, SendEmail.Failed) and "sender address" in answer.text


async def test_a_template_of_another_version_fails_and_says_so() -> None:
    async with emails_to(1) as gateway:
        answer = await gateway.perform(confirmation(template="birthday"), "key")
        empty = await gateway.perform(confirmation(data={}), "key")
    assert isinstance(answer, SendEmail.Failed) and isinstance(empty, SendEmail.Failed)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_doctor_finds_a_wrong_setting_of_tls(tls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with mail_server() as box:
        mail_settings(monkeypatch, box.port, tls)
        with pytest.raises(Failure, match=r"TLS.*Check .*__TLS"):
            await probes.smtp()
        mail_settings(monkeypatch, box.port, "none")
        assert "answers without TLS" in await probes.smtp()


async def test_doctor_finds_a_port_that_is_silent_and_one_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "TIMEOUT", 0.6)
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    async with server:
        mail_settings(monkeypatch, server.sockets[0].getsockname()[1], "none")
        with pytest.raises(Failure, match=r"it does not answer.*__TLS"):  # as a port for TLS does
            await probes.smtp()
    async with mail_server() as box:
        port = box.port
    mail_settings(monkeypatch, port, "none")
    with pytest.raises(Failure, match=r"it refuses the connection"):
        await probes.smtp()


def mail_settings(monkeypatch: pytest.MonkeyPatch, port: int, tls: str) -> None:
    for name, value in (
        *(("KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9"), ("API_TOKEN", "a-token-for-this-test")),
        *(("SMTP__HOST", "127.0.0.1"), ("SMTP__PORT", str(port)), ("SMTP__TLS", tls)),
    ):
        monkeypatch.setenv(f"ORDERBUS_{name}", value)
