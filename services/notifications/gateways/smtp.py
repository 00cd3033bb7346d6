"""Emails by SMTP (RFC 5321), over a few connections that are kept open.

Once the email's text is being sent (DATA), a lost connection or a time-out leaves the email in doubt: SMTP cannot be
asked what it has accepted. `domain/email.py` decides what to do then.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import aiosmtplib
import structlog
from jinja2 import TemplateError

from services.notifications.domain.operations import SendEmail
from services.notifications.gateways.mime import ascii_domain
from services.notifications.gateways.pay_link import with_pay_link
from services.notifications.gateways.templates import EmailTemplates
from services.notifications.settings import SmtpSettings
from shared.core import NoOutcome, NotDone, NotTried, OperatorFault, Outcome, Retry, Unknown
from shared.pay_links import PayLinks

log = structlog.get_logger(__name__)

STALE = 20.0
"""Seconds without use after which a connection is probed (NOOP) before an email is sent over it."""
PER_CONNECTION = 500
"""Emails after which a connection is replaced: some servers limit them, and load balancers can choose again."""
CONNECTION_WAIT = 15.0
"""Seconds that an email waits for a connection before it goes back to the queue."""
LATER = 5.0
"""Seconds after which an email that was not tried is tried again."""
DOWN = 1.0
"""Seconds without a new attempt after a connection could not be made."""
OUTAGE = 60.0
"""Seconds without any connection after which all emails are paused: operators see it, and one email probes for all."""
FORGOTTEN = 120.0
"""Seconds without a failure after which the next one begins a new outage: another worker may have had connections."""

_ADDRESS = re.compile(r"[^\s\x00-\x1f\x7f@<>,;]+@[^\s\x00-\x1f\x7f@<>,;]+")


class AnswerLost(Exception):
    """The email was sent, and the server's answer to it was lost."""


@dataclass(slots=True)
class Connection:
    """An open connection."""

    client: aiosmtplib.SMTP
    used_at: float
    emails: int = 0


class SmtpEmails:
    """Performs SendEmail. 4xx answers and connection errors are retried, 5xx answers are final. What prevents every
    email from being sent (login, TLS, the server's name) is the operator's fault, and so is a server that cannot be
    reached for a minute: only an operator can tell wrong settings from an outage."""

    def __init__(
        self, settings: SmtpSettings, templates: EmailTemplates | None = None, links: PayLinks | None = None
    ) -> None:
        """`links`: to the pay page, where there is one."""
        self._settings = settings
        self._templates = templates or EmailTemplates()
        self._links = links
        self._idle: deque[Connection] = deque()
        self._connections = asyncio.Semaphore(settings.connections)
        self._down_until = 0.0
        self._down_why = ""
        self._down_since = self._failed_at = -FORGOTTEN

    async def perform(self, operation: SendEmail, key: str) -> Outcome | NoOutcome:
        try:
            message = self._templates.render(with_pay_link(operation, self._links))
        except (KeyError, TemplateError) as error:  # requested by another version of the service
            return SendEmail.Failed("template", f"Template {operation.template} cannot be rendered: {error}"[:500])
        if time.monotonic() < self._down_until:
            return NotTried(self._down_why, LATER)
        try:
            async with asyncio.timeout(CONNECTION_WAIT):
                await self._connections.acquire()
        except TimeoutError:
            return NotTried("All connections to the mail server are in use.", LATER)
        try:
            if time.monotonic() < self._down_until:  # it was found down meanwhile
                return NotTried(self._down_why, LATER)
            return await self._deliver(operation, message)
        finally:
            self._connections.release()

    async def find(self, operation: SendEmail, key: str) -> Outcome | NotDone | NoOutcome:
        """SMTP cannot be asked what it has accepted."""
        return SendEmail.Unresolved("The email was sent, but the mail server's answer was lost.")

    async def close(self) -> None:
        while self._idle:
            await _quit(self._idle.pop().client)

    async def _deliver(self, operation: SendEmail, message: bytes) -> Outcome | NoOutcome:
        """An email that the server did not get in time, however it spent the time, is certainly not sent."""
        limit, connection = asyncio.timeout(self._settings.timeout), None
        try:
            async with limit:
                connection = await self._connection()
                answer = await self._converse(connection, operation, message, limit)
                if answer is None and connection.emails:  # the server had closed it while it was idle
                    answer = await self._converse(await self._new_connection(), operation, message, limit)
        except AnswerLost as error:
            return Unknown(str(error))
        except (aiosmtplib.SMTPException, OSError) as error:
            if limit.expired() and connection is not None:
                return Retry("The mail server is too slow: it did not accept the recipient in time.")
            return self._unreachable(error)
        if answer is None:
            return Retry("The connection to the mail server broke before the email was sent.")
        self._failed_at = -FORGOTTEN  # it is there, also where it limits the number of connections
        return answer

    async def _converse(
        self, connection: Connection, operation: SendEmail, message: bytes, limit: asyncio.Timeout
    ) -> Outcome | NoOutcome | None:
        """Send one email over one connection. None when the connection broke before its text was sent. `limit` is for
        what comes before the text, which has the same time again. Raises AnswerLost."""
        try:
            await _address(connection.client, operation, len(message))
            limit.reschedule(None)
            await _hand_over(connection.client, message, self._settings.timeout)
        except (aiosmtplib.SMTPNotSupported, ValueError) as wrong:
            self._release(connection)
            return SendEmail.Failed("address", f"The address cannot receive email: {type(wrong).__name__}.")
        except AnswerLost:
            connection.client.close()
            raise
        except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError):
            connection.client.close()
            return None
        except aiosmtplib.SMTPException as refused:
            await self._reset(connection)
            return _refusal(refused)
        except BaseException:  # a time-out or the end of the process: the state of the connection is unknown
            connection.client.close()
            raise
        self._release(connection)
        return SendEmail.Done()

    async def _reset(self, connection: Connection) -> None:
        """Release the connection without an unfinished email."""
        try:
            await connection.client.rset()
        except (aiosmtplib.SMTPException, OSError):
            connection.client.close()
        self._release(connection)

    async def _connection(self) -> Connection:
        """An open connection: the one used last, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if await _alive(connection):
                return connection
            connection.client.close()
        return await self._new_connection()

    async def _new_connection(self) -> Connection:
        client = await connected(self._settings)
        self._failed_at = -FORGOTTEN
        return Connection(client, time.monotonic())

    def _release(self, connection: Connection) -> None:
        connection.emails += 1
        connection.used_at = time.monotonic()
        if connection.client.is_connected and connection.emails < PER_CONNECTION:
            self._idle.append(connection)
        else:
            connection.client.close()

    def _unreachable(self, error: Exception) -> NoOutcome:
        """No connection: other emails are not tried for a moment."""
        now = time.monotonic()
        if now - self._failed_at >= FORGOTTEN:
            self._down_since = now
        self._failed_at = now
        why = _why(error)
        fault = _fault(error, self._settings)
        if not fault and now - self._down_since >= OUTAGE:
            fault = _away(why, now - self._down_since, self._settings)
        self._down_why = fault or f"The mail server cannot be used: {why}."
        self._down_until = now + DOWN
        log.warning("mail server cannot be used", host=self._settings.host, error=type(error).__name__)
        return OperatorFault(fault) if fault else Retry(self._down_why)


async def connected(settings: SmtpSettings) -> aiosmtplib.SMTP:
    """A new connection, with TLS and login as the settings say. `unusable` says what is wrong with what it raises:
    SMTPException, OSError."""
    client = aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        username=settings.username,
        password=settings.password.get_secret_value() if settings.password else None,
        use_tls=settings.tls == "tls",
        start_tls=settings.tls == "starttls",
        timeout=settings.timeout,
    )
    try:
        await client.connect()
        await _greet(client)
    except BaseException:
        client.close()
        raise
    return client


def unusable(error: Exception, settings: SmtpSettings) -> str:
    """Why there is no connection, and what to check."""
    where = f"{settings.host}:{settings.port}"
    silent = ", __TLS (a port for TLS says nothing to a client without)" if settings.tls != "tls" else " and __TLS"
    return _fault(error, settings) or (
        f"{where} cannot be used: {_why(error)}. Check ORDERBUS_SMTP__HOST, __PORT{silent}."
    )


def _why(error: Exception) -> str:
    for cause in _causes(error):
        if isinstance(cause, ConnectionRefusedError):
            return "it refuses the connection"
        if isinstance(cause, TimeoutError | aiosmtplib.SMTPTimeoutError):
            return "it does not answer"
        if isinstance(cause, socket.gaierror):
            return "its name cannot be resolved"
        if isinstance(cause, aiosmtplib.SMTPResponseException):
            return f"it answers {cause.code}"
    return type(error).__name__


def _away(why: str, seconds: float, settings: SmtpSettings) -> str:
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    return (
        f"The mail server {settings.host}:{settings.port} cannot be used since {since:%H:%M:%S} UTC: {why}. See "
        "whether it runs, and check ORDERBUS_SMTP__HOST, __PORT and __TLS."
    )


def _fault(error: Exception, settings: SmtpSettings) -> str | None:
    """What the operator has to fix, if that is why there is no connection. Names no credential."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            why = type(cause).__name__
            return f"TLS with the mail server failed ({why}). Check its certificate, ORDERBUS_SMTP__HOST and __TLS."
        if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
            return f"There is no host {settings.host}. Check ORDERBUS_SMTP__HOST."
    if type(error) is aiosmtplib.SMTPException:  # it offers no STARTTLS, or no login
        return f"{error.message} Check ORDERBUS_SMTP__TLS, __PORT and __USERNAME."
    if not isinstance(error, aiosmtplib.SMTPResponseException) or error.code < 500:
        return None
    if isinstance(error, aiosmtplib.SMTPAuthenticationError) or error.code in LOGIN:
        return _login_refused(error.code)
    return f"The mail server refuses the connection ({error.code}). See its log."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _login_refused(code: int) -> str:
    return f"The mail server refuses the login ({code}). Check ORDERBUS_SMTP__USERNAME, __PASSWORD and __TLS."


async def _greet(client: aiosmtplib.SMTP) -> None:
    if client.is_ehlo_or_helo_needed:
        try:
            await client.ehlo()
        except aiosmtplib.SMTPHeloError:
            await client.helo()


async def _address(client: aiosmtplib.SMTP, operation: SendEmail, size: int) -> None:
    """Name sender and recipient."""
    sender, to = _envelope(operation.sender), _envelope(operation.to)
    options, encoding = [], "ascii"
    if client.supports_extension("size"):
        options.append(f"size={size}")
    if not (sender.isascii() and to.isascii()):
        if not client.supports_extension("smtputf8"):
            raise aiosmtplib.SMTPNotSupported("SMTPUTF8 is not supported by this server")
        options.append("SMTPUTF8")
        encoding = "utf-8"
    await client.mail(sender, options=options, encoding=encoding)
    await client.rcpt(to, encoding=encoding)


async def _hand_over(client: aiosmtplib.SMTP, message: bytes, timeout: float) -> None:
    """Raises AnswerLost when it is unknown whether the server accepted the email."""
    try:
        async with asyncio.timeout(timeout):
            await client.data(message)
    except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError) as error:
        why = "timeout" if isinstance(error, TimeoutError) else "the connection broke"
        raise AnswerLost(f"The email was sent, but the mail server did not answer: {why}.") from error


@lru_cache(1000)
def _envelope(address: str) -> str:
    """The address for MAIL and RCPT. Raises ValueError for an invalid one."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError("not an address")
    local, _, domain = address.rpartition("@")
    return f"{local}@{ascii_domain(domain)}"


def _refusal(refused: aiosmtplib.SMTPException) -> Outcome | NoOutcome:
    """The answer's code decides (RFC 5321, 4.2.1); its text may repeat the address, so only the code is kept."""
    code = _code(refused)
    if code in LOGIN:
        return OperatorFault(_login_refused(code))
    if isinstance(refused, aiosmtplib.SMTPSenderRefused) and 500 <= code < 600:
        text = f"The mail server refuses the store's sender address ({code}). Allow it there, then resend the email."
        return SendEmail.Failed(f"smtp_{code}", text)
    if 500 <= code < 600:
        why = _MEANINGS.get(code, "see its log")
        return SendEmail.Failed(f"smtp_{code}", f"The mail server rejected the email: {code}, {why}.")
    return Retry(f"The mail server refused the email for now: {code or type(refused).__name__}.")


def _code(refused: aiosmtplib.SMTPException) -> int:
    return refused.code if isinstance(refused, aiosmtplib.SMTPResponseException) else 0


LOGIN = frozenset({530, 534, 535, 538})
"""The login is missing, refused or not encrypted (RFC 4954, 6)."""
_MEANINGS = {
    550: "no such mailbox, or refused by policy",
    552: "mailbox full, or email too large",
    553: "mailbox name not allowed",
}


async def _alive(connection: Connection) -> bool:
    if not connection.client.is_connected:
        return False
    if time.monotonic() - connection.used_at < STALE:
        return True
    try:
        await connection.client.noop(timeout=5)
    except (aiosmtplib.SMTPException, OSError):
        return False
    return True


async def _quit(client: aiosmtplib.SMTP) -> None:
    try:
        await client.quit(timeout=1)
    except (aiosmtplib.SMTPException, OSError):
        client.close()
