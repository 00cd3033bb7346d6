"""Mails by SMTP (RFC 5321), over a few connections that are kept open.

A mail may be sent again after a time-out, always under the same Message-ID: never lost, and twice only where the
server took it and its answer, or our commit, did not come through.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from dataclasses import dataclass

import aiosmtplib
import structlog
from jinja2 import TemplateError

from services.notifications.domain.operations import SendEmail
from services.notifications.gateways.letters import Letters
from services.notifications.gateways.mime import ascii_domain
from shared.settings import SmtpSettings
from shared.shell.core import NotDone, Outcome, Retry, Unknown

log = structlog.get_logger(__name__)

STALE = 20.0
"""Seconds without use after which a connection is asked (NOOP) before it gets a mail."""
PER_CONNECTION = 500
"""Mails after which a connection is made anew: some servers bound it, and load balancers get to choose again."""
TURN = 15.0
"""Seconds that a mail waits for a connection before it goes back to the queue."""
DOWN = 1.0
"""Seconds for which nobody else tries after a connection could not be made."""

_ADDRESS = re.compile(r"[^\s\x00-\x1f\x7f@<>,;]+@[^\s\x00-\x1f\x7f@<>,;]+")


@dataclass(slots=True)
class Line:
    """An open connection."""

    client: aiosmtplib.SMTP
    used_at: float
    mails: int = 0


class SmtpMails:
    """Performs SendEmail. 4xx answers and trouble with the connection are tried again, 5xx are final."""

    def __init__(self, settings: SmtpSettings, letters: Letters | None = None) -> None:
        self._settings = settings
        self._letters = letters or Letters()
        self._idle: deque[Line] = deque()
        self._turns = asyncio.Semaphore(settings.connections)
        self._down_until = 0.0
        self._down_why = ""

    async def perform(self, operation: SendEmail, key: str) -> Outcome | Retry | Unknown:
        try:
            message = self._letters.write(operation)
        except (KeyError, TemplateError) as wrong:  # of another version of the service
            return SendEmail.Failed("template", f"the template {operation.template} cannot be filled: {wrong}"[:500])
        if time.monotonic() < self._down_until:
            return Retry(self._down_why)
        try:
            async with asyncio.timeout(TURN):
                await self._turns.acquire()
        except TimeoutError:
            return Retry("the mail server is slow; the mail waits for its turn")
        try:
            return await self._deliver(operation, message)
        finally:
            self._turns.release()

    async def find(self, operation: SendEmail, key: str) -> Outcome | NotDone | Unknown:
        """SMTP cannot be asked what it took; the same Message-ID makes a repetition recognisable."""
        return NotDone()

    async def close(self) -> None:
        while self._idle:
            await _quit(self._idle.pop().client)

    async def _deliver(self, operation: SendEmail, message: bytes) -> Outcome | Retry:
        try:
            line = await self._line()
            answer = await self._converse(line, operation, message)
            if answer is None and line.mails:  # the server had hung up while it lay idle
                answer = await self._converse(await self._new_line(), operation, message)
        except (aiosmtplib.SMTPException, OSError) as error:
            return self._unreachable(error)
        return answer or Retry("the connection to the mail server broke")

    async def _converse(self, line: Line, operation: SendEmail, message: bytes) -> Outcome | Retry | None:
        """One mail over one connection; None when the connection broke."""
        try:
            await _send(line.client, operation, message)
        except (aiosmtplib.SMTPNotSupported, ValueError) as wrong:
            self._give_back(line)
            return SendEmail.Failed("address", f"the address cannot be mailed to: {type(wrong).__name__}")
        except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError):
            line.client.close()
            return None
        except aiosmtplib.SMTPException as refused:
            self._give_back(line)
            return _refusal(refused)
        except BaseException:  # a time-out or the end of the process: the conversation is in an unknown place
            line.client.close()
            raise
        self._give_back(line)
        return SendEmail.Done()

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

    def _unreachable(self, error: Exception) -> Retry:
        """Includes wrong credentials: mails wait until they are mended."""
        answer = f" ({error.code})" if isinstance(error, aiosmtplib.SMTPResponseException) else ""
        self._down_why = f"the mail server cannot be used: {type(error).__name__}{answer}"
        self._down_until = time.monotonic() + DOWN
        log.warning("mail server cannot be used", host=self._settings.host, error=type(error).__name__)
        return Retry(self._down_why)


async def _send(client: aiosmtplib.SMTP, operation: SendEmail, message: bytes) -> None:
    sender, to = _envelope(operation.sender), _envelope(operation.to)
    options = [] if sender.isascii() and to.isascii() else ["SMTPUTF8"]
    await client.sendmail(sender, [to], message, mail_options=options)


def _envelope(address: str) -> str:
    """The address for MAIL and RCPT. Raises ValueError where it is none."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError("not an address")
    local, _, domain = address.rpartition("@")
    return f"{local}@{ascii_domain(domain)}"


def _refusal(refused: aiosmtplib.SMTPException) -> Outcome | Retry:
    """The answer's code decides (RFC 5321, 4.2.1); its text may repeat the address, so only the code is kept."""
    code = _code(refused)
    if 500 <= code < 600:
        why = _MEANINGS.get(code, "see its log")
        return SendEmail.Failed(f"smtp_{code}", f"the mail server refused the mail for good: {code}, {why}")
    return Retry(f"the mail server refused the mail for now: {code or type(refused).__name__}")


def _code(refused: aiosmtplib.SMTPException) -> int:
    if isinstance(refused, aiosmtplib.SMTPRecipientsRefused):
        return refused.recipients[0].code if refused.recipients else 0
    return refused.code if isinstance(refused, aiosmtplib.SMTPResponseException) else 0


_MEANINGS = {
    530: "it wants a login",
    535: "wrong login",
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
