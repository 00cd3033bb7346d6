"""Mails by SMTP (RFC 5321), over a few connections that are kept open.

Once the mail itself has begun to flow (DATA), a lost connection or a time-out leaves everybody in doubt: SMTP has no
books to look into. `domain/mail_outcomes.py` decides what to do then.
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
from functools import lru_cache

import aiosmtplib
import structlog
from jinja2 import TemplateError

from services.notifications.domain.operations import SendEmail
from services.notifications.gateways.letters import Letters
from services.notifications.gateways.mime import ascii_domain
from services.notifications.settings import SmtpSettings
from shared.core import NoOutcome, NotDone, NotTried, OperatorFault, Outcome, Retry, Unknown

log = structlog.get_logger(__name__)

STALE = 20.0
"""Seconds without use after which a connection is asked (NOOP) before it gets a mail."""
PER_CONNECTION = 500
"""Mails after which a connection is made anew: some servers bound it, and load balancers get to choose again."""
TURN = 15.0
"""Seconds that a mail waits for a connection before it goes back to the queue."""
LATER = 5.0
"""Seconds after which a mail that was not tried comes again."""
DOWN = 1.0
"""Seconds for which nobody else tries after a connection could not be made."""

_ADDRESS = re.compile(r"[^\s\x00-\x1f\x7f@<>,;]+@[^\s\x00-\x1f\x7f@<>,;]+")


class AnswerLost(Exception):
    """The mail was on its way, and its answer never came."""


@dataclass(slots=True)
class Line:
    """An open connection."""

    client: aiosmtplib.SMTP
    used_at: float
    mails: int = 0


class SmtpMails:
    """Performs SendEmail. 4xx answers and trouble with the connection are tried again, 5xx are final. What keeps every
    mail from being sent (login, TLS, the server's name) is the operator's fault."""

    def __init__(self, settings: SmtpSettings, letters: Letters | None = None) -> None:
        self._settings = settings
        self._letters = letters or Letters()
        self._idle: deque[Line] = deque()
        self._turns = asyncio.Semaphore(settings.connections)
        self._down_until = 0.0
        self._down_why = ""

    async def perform(self, operation: SendEmail, key: str) -> Outcome | NoOutcome:
        try:
            message = self._letters.write(operation)
        except (KeyError, TemplateError) as wrong:  # of another version of the service
            return SendEmail.Failed("template", f"the template {operation.template} cannot be filled: {wrong}"[:500])
        if time.monotonic() < self._down_until:
            return NotTried(self._down_why, LATER)
        try:
            async with asyncio.timeout(TURN):
                await self._turns.acquire()
        except TimeoutError:
            return NotTried("the mail server is slow; the mail waits for its turn", LATER)
        try:
            if time.monotonic() < self._down_until:  # it was found down while the mail waited
                return NotTried(self._down_why, LATER)
            return await self._deliver(operation, message)
        finally:
            self._turns.release()

    async def find(self, operation: SendEmail, key: str) -> Outcome | NotDone | NoOutcome:
        """SMTP cannot be asked what it took."""
        return SendEmail.Unresolved("the mail server was given the mail, and its answer never came")

    async def close(self) -> None:
        while self._idle:
            await _quit(self._idle.pop().client)

    async def _deliver(self, operation: SendEmail, message: bytes) -> Outcome | NoOutcome:
        """However slowly the server answers each command: what was not given to it in time is certainly not sent."""
        limit = asyncio.timeout(self._settings.timeout)
        try:
            async with limit:
                line = await self._line()
                answer = await self._converse(line, operation, message, limit)
                if answer is None and line.mails:  # the server had hung up while it lay idle
                    answer = await self._converse(await self._new_line(), operation, message, limit)
        except AnswerLost as error:
            return Unknown(str(error))
        except (aiosmtplib.SMTPException, OSError) as error:
            if limit.expired():
                return Retry("the mail server is too slow: the mail could not be given to it in time")
            return self._unreachable(error)
        return answer or Retry("the connection to the mail server broke before the mail was given to it")

    async def _converse(
        self, line: Line, operation: SendEmail, message: bytes, limit: asyncio.Timeout
    ) -> Outcome | NoOutcome | None:
        """One mail over one connection; None when the connection broke before the mail began to flow. `limit` ends when
        it does: from then on it has the time anew. Raises AnswerLost."""
        try:
            await _address(line.client, operation, len(message))
            limit.reschedule(None)
            await _hand_over(line.client, message, self._settings.timeout)
        except (aiosmtplib.SMTPNotSupported, ValueError) as wrong:
            self._give_back(line)
            return SendEmail.Failed("address", f"the address cannot be mailed to: {type(wrong).__name__}")
        except AnswerLost:
            line.client.close()
            raise
        except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError):
            line.client.close()
            return None
        except aiosmtplib.SMTPException as refused:
            await self._reset(line)
            return _refusal(refused)
        except BaseException:  # a time-out or the end of the process: the conversation is in an unknown place
            line.client.close()
            raise
        self._give_back(line)
        return SendEmail.Done()

    async def _reset(self, line: Line) -> None:
        """Give the connection back as one on which no mail has begun."""
        try:
            await line.client.rset()
        except (aiosmtplib.SMTPException, OSError):
            line.client.close()
        self._give_back(line)

    async def _line(self) -> Line:
        """An open connection: the one used last, or a new one."""
        while self._idle:
            line = self._idle.pop()
            if await _alive(line):
                return line
            line.client.close()
        return await self._new_line()

    async def _new_line(self) -> Line:
        settings = self._settings
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
        return Line(client, time.monotonic())

    def _give_back(self, line: Line) -> None:
        line.mails += 1
        line.used_at = time.monotonic()
        if line.client.is_connected and line.mails < PER_CONNECTION:
            self._idle.append(line)
        else:
            line.client.close()

    def _unreachable(self, error: Exception) -> NoOutcome:
        """No connection: other mails need not try for a moment."""
        fault = _fault(error, self._settings)
        answer = f" ({error.code})" if isinstance(error, aiosmtplib.SMTPResponseException) else ""
        self._down_why = fault or f"the mail server cannot be used: {type(error).__name__}{answer}"
        self._down_until = time.monotonic() + DOWN
        log.warning("mail server cannot be used", host=self._settings.host, error=type(error).__name__)
        return OperatorFault(fault) if fault else Retry(self._down_why)


def _fault(error: Exception, settings: SmtpSettings) -> str | None:
    """What the operator has to mend, where that is why no connection came about. Names no credential."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            why = type(cause).__name__
            return f"TLS with the mail server failed ({why}): check its certificate, ORDERBUS_SMTP__HOST and __TLS"
        if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
            return f"there is no host {settings.host}: check ORDERBUS_SMTP__HOST"
    if type(error) is aiosmtplib.SMTPException:  # it offers no STARTTLS, or no login
        return f"{error.message} Check ORDERBUS_SMTP__TLS, __PORT and __USERNAME."
    if not isinstance(error, aiosmtplib.SMTPResponseException) or error.code < 500:
        return None
    if isinstance(error, aiosmtplib.SMTPAuthenticationError) or error.code in LOGIN:
        return _login_refused(error.code)
    return f"the mail server does not let us in ({error.code}): see its log"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _login_refused(code: int) -> str:
    return f"the mail server wants another login ({code}): check ORDERBUS_SMTP__USERNAME, __PASSWORD and __TLS"


async def _greet(client: aiosmtplib.SMTP) -> None:
    if client.is_ehlo_or_helo_needed:
        try:
            await client.ehlo()
        except aiosmtplib.SMTPHeloError:
            await client.helo()


async def _address(client: aiosmtplib.SMTP, operation: SendEmail, size: int) -> None:
    """Begin a mail transaction."""
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
    """Raises AnswerLost when nobody knows whether it was taken."""
    try:
        async with asyncio.timeout(timeout):
            await client.data(message)
    except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError) as error:
        why = "time-out" if isinstance(error, TimeoutError) else "the connection broke"
        raise AnswerLost(f"the mail server was given the mail, and did not answer: {why}") from error


@lru_cache(1000)
def _envelope(address: str) -> str:
    """The address for MAIL and RCPT. Raises ValueError where it is none."""
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
        text = f"the mail server refuses the store's sender address ({code}): allow it there, then send the mail again"
        return SendEmail.Failed(f"smtp_{code}", text)
    if 500 <= code < 600:
        why = _MEANINGS.get(code, "see its log")
        return SendEmail.Failed(f"smtp_{code}", f"the mail server refused the mail for good: {code}, {why}")
    return Retry(f"the mail server refused the mail for now: {code or type(refused).__name__}")


def _code(refused: aiosmtplib.SMTPException) -> int:
    return refused.code if isinstance(refused, aiosmtplib.SMTPResponseException) else 0


LOGIN = frozenset({530, 534, 535, 538})
"""It wants a login, another one, or an encrypted one (RFC 4954, 6)."""
_MEANINGS = {
    550: "no such mailbox, or refused by policy",
    552: "mailbox full, or mail too large",
    553: "mailbox name not allowed",
}


async def _alive(line: Line) -> bool:
    if not line.client.is_connected:
        return False
    if time.monotonic() - line.used_at < STALE:
        return True
    try:
        await line.client.noop(timeout=5)
    except (aiosmtplib.SMTPException, OSError):
        return False
    return True


async def _quit(client: aiosmtplib.SMTP) -> None:
    try:
        await client.quit(timeout=1)
    except (aiosmtplib.SMTPException, OSError):
        client.close()
