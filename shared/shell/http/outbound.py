"""Requests to addresses that others choose (HTTP actions, webhooks), made so that they cannot be used to attack us.

No private or loopback address unless the settings allow it, and no link-local, multicast or reserved one at all:
checked on what the name resolves to, at the moment of connecting (`shared/contracts/addresses.py`). No redirects, no
proxies, no cookies; time and the response's size are bounded.

    OutboundError           what went wrong, in words for staff
    ├── Blocked             the address may not be reached from here; never tried
    ├── NotSent             no connection: nothing reached the receiver, safe to repeat
    │   └── NoConnection    no connection was free for half of the timeout; never tried
    └── NoResponse          sent, but no response arrived: its effect is unknown
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import unquote

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from shared.contracts.addresses import Reach, reach_of, reach_of_host, reach_of_url

MAX_RESPONSE = 65_536
"""Bytes of a response's body that are kept, as a rule; the rest is not read."""
_URL = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
"""RFC 3986, appendix A."""
WAITING = 0.5
"""The share of a request's timeout that it may spend waiting for a free connection. The rest is for the request."""


class OutboundError(Exception):
    """A request without a response. The text names the host only, never the path or a credential."""


class Blocked(OutboundError):
    """The address may not be reached from here."""


class NotSent(OutboundError):
    """No connection could be made."""


class NoConnection(NotSent):
    """All connections to the host were in use; the request was not tried."""


class NoResponse(OutboundError):
    """The request was sent, and no response arrived."""


@dataclass(frozen=True, slots=True)
class Response:
    """Any response, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """No more than is kept."""


def retry_after(response: Response, longest: float = 600) -> float | None:
    """Seconds of the header Retry-After (RFC 9110, 10.2.3: seconds or a date), at most `longest`; None without one."""
    given = response.headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdigit():
        return min(float(given[:9]), longest)
    try:
        seconds = (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), longest)


class CheckedResolver(AbstractResolver):
    """Resolves names and leaves out every address that may not be called. Raises Blocked when none remains.
    `private`: private addresses may."""

    def __init__(self, resolver: AbstractResolver | None = None, *, private: bool = False) -> None:
        self._resolver = resolver or ThreadedResolver()
        self._allowed = ("public", "private") if private else ("public",)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        reaches = [reach_of(result["host"]) for result in found]
        allowed = [result for result, reach in zip(found, reaches, strict=True) if reach in self._allowed]
        if found and not allowed:
            raise blocked(host, "private" if "private" in reaches else "never")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


class Outbound:
    """Makes the requests; one per process and purpose. `close()` it. `private`: special addresses are allowed as
    well. `most`: bytes of a response's body that are kept."""

    def __init__(self, *, private: bool, connections: int = 100, per_host: int = 20, most: int = MAX_RESPONSE) -> None:
        self._private, self._most = private, most
        self._limits = (connections, per_host)
        self._opened: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout: float) -> Response:
        """POST `body`; `timeout` seconds for everything. Raises OutboundError."""
        return await self.request("POST", url, body, headers, timeout=timeout)

    async def request(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], *, timeout: float
    ) -> Response:
        """`timeout` seconds for everything. Raises OutboundError."""
        target = self._checked(url)
        limit = asyncio.timeout(timeout)
        sent = RequestProgress(limit, asyncio.get_running_loop().time(), timeout)
        try:
            async with limit:
                return await self._request(method, target, body, headers, sent)
        except Blocked:
            raise
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            raise NotSent(f"{target.host} cannot be reached: {_reason(error)}") from error
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            if sent.queued:
                raise NoConnection(f"all connections to {target.host} were in use") from error
            if sent.sent:
                raise NoResponse(f"{target.host} did not answer: {_reason(error)}") from error
            raise NotSent(f"{target.host} cannot be reached: {_reason(error)}") from error

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    async def _request(
        self, method: str, url: URL, body: bytes | None, headers: Mapping[str, str], sent: RequestProgress
    ) -> Response:
        request = self._session().request(
            method, url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=sent, max_redirects=0
        )
        async with request as response:
            kept = bytearray()
            async for chunk in response.content.iter_chunked(8192):
                kept += chunk
                if len(kept) >= self._most:
                    response.close()
                    break
            return Response(response.status, response.headers, bytes(kept[: self._most]))

    def _checked(self, url: str) -> URL:
        """A literal IP address never reaches the resolver, so it is checked here."""
        target, reach = _parsed(url)
        if reach == "never" or (reach == "private" and not self._private):
            raise blocked(target.host or "", reach)
        return target

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            connections, per_host = self._limits
            resolver = CheckedResolver(private=self._private)
            connector = aiohttp.TCPConnector(resolver=resolver, limit=connections, limit_per_host=per_host)
            self._opened = aiohttp.ClientSession(
                connector=connector,
                connector_owner=True,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "orderbus", "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                trust_env=False,
                trace_configs=[_when_sent()],
            )
        return self._opened


def _as_written(url: str) -> URL:
    """Sent byte by byte as it is, if it can be: what is percent-encoded on purpose (a `;` in a path, which divides it
    for some servers) is not decoded again."""
    target = URL(url, encoded=True)
    dotted = any(unquote(part) in (".", "..") for part in target.raw_path.split("/"))
    return target if _URL.fullmatch(url) and target.raw_path.startswith("/") and not dotted else URL(url)


@lru_cache(1000)
def _parsed(url: str) -> tuple[URL, Reach]:
    """The URL, and the class of its host. Both as the registration reads it and as the client does: where they differ,
    neither is trusted. Raises Blocked."""
    try:
        reach = reach_of_url(url)
        target = _as_written(url)
        if reach_of_host(target.host or "") != reach:
            raise ValueError
    except ValueError:
        raise Blocked("the URL is not a complete http or https URL with a valid host") from None
    return target, reach


def blocked(host: str, reach: Reach) -> Blocked:
    if reach == "private":
        return Blocked(f"{host} is a private address; use a public one, or allow private addresses in the settings")
    return Blocked(f"{host} is a link-local, multicast or reserved address, which is never called; use another one")


@dataclass(slots=True)
class RequestProgress:
    """How far a request came, and the time that it has for its current step."""

    limit: asyncio.Timeout
    began: float
    timeout: float
    queued: bool = False
    """It waits for a free connection."""
    sent: bool = False
    """The first byte was sent: from now on the receiver may act."""

    def waits(self) -> None:
        self.queued = True
        self.limit.reschedule(self.began + WAITING * self.timeout)

    def has_connection(self) -> None:
        self.queued = False
        self.limit.reschedule(self.began + self.timeout)

    def is_sent(self) -> None:
        self.sent = True


def _when_sent() -> aiohttp.TraceConfig:
    """Keeps a request's progress up to date."""
    trace = aiohttp.TraceConfig()

    def on(step: Callable[[RequestProgress], None]) -> Callable[[object, object, object], Awaitable[None]]:
        async def note(_session: object, context: object, _params: object) -> None:
            progress = getattr(context, "trace_request_ctx", None)
            if isinstance(progress, RequestProgress):
                step(progress)

        return note

    trace.on_connection_queued_start.append(on(RequestProgress.waits))
    trace.on_connection_queued_end.append(on(RequestProgress.has_connection))
    trace.on_request_headers_sent.append(on(RequestProgress.is_sent))
    return trace


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "time-out"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or type(error.os_error).__name__
    return type(error).__name__
