"""Requests to addresses that others choose (HTTP actions, webhooks), made so that they cannot be used to attack us.

No private, loopback, link-local or otherwise special address unless the settings allow it: checked on what the name
resolves to, at the moment of connecting. No redirects, no proxies, no cookies; time and the response's size are
bounded.

    OutboundError           what went wrong, in words for staff
    ├── Blocked             the address may not be reached from here; never tried
    ├── NotSent             no connection: nothing reached the receiver, safe to repeat
    │   └── NoConnection    no connection was free for half of the timeout; never tried
    └── NoResponse          sent, but no response arrived: its effect is unknown
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

MAX_RESPONSE = 65_536
"""Bytes of a response's body that are kept; the rest is not read."""
WAITING = 0.5
"""The share of a request's timeout that it may spend waiting for a free connection. The rest is for the request."""
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))  # RFC 6052, RFC 8215


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
    """At most MAX_RESPONSE bytes."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet, looking through IPv6's ways of carrying IPv4."""
    found = ip_address(address.partition("%")[0])
    return all(ip.is_global and not ip.is_multicast for ip in (found, *_carried(found)))


def _carried(ip: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(ip, IPv4Address):
        return []
    carried = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if any(ip in network for network in _NAT64):
        carried.append(IPv4Address(int(ip) & 0xFFFFFFFF))
    return [v4 for v4 in carried if v4 is not None]


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


class PublicResolver(AbstractResolver):
    """Resolves names and leaves out every address that is not public. Raises Blocked when none remains."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        public = [result for result in found if is_public(result["host"])]
        if found and not public:
            raise Blocked(f"{host} is a private address; use a public one, or allow private addresses in the settings")
        return public

    async def close(self) -> None:
        await self._resolver.close()


class Outbound:
    """Makes the requests; one per process and purpose. `close()` it. `private`: special addresses are allowed as
    well."""

    def __init__(self, *, private: bool, connections: int = 100, per_host: int = 20) -> None:
        self._private = private
        self._limits = (connections, per_host)
        self._opened: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout: float) -> Response:
        """POST `body`; `timeout` seconds for everything. Raises OutboundError."""
        target = self._checked(url)
        limit = asyncio.timeout(timeout)
        sent = RequestProgress(limit, asyncio.get_running_loop().time(), timeout)
        try:
            async with limit:
                return await self._post(target, body, headers, sent)
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

    async def _post(self, url: URL, body: bytes, headers: Mapping[str, str], sent: RequestProgress) -> Response:
        request = self._session().post(
            url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=sent, max_redirects=0
        )
        async with request as response:
            kept = bytearray()
            async for chunk in response.content.iter_chunked(8192):
                kept += chunk
                if len(kept) >= MAX_RESPONSE:
                    response.close()
                    break
            return Response(response.status, response.headers, bytes(kept[:MAX_RESPONSE]))

    def _checked(self, url: str) -> URL:
        """A literal IP address never reaches the resolver, so it is checked here."""
        target, public = _parsed(url)
        if not (public or self._private):
            raise Blocked(
                f"{target.host} is a private address; use a public one, or allow private addresses in the settings"
            )
        return target

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            connections, per_host = self._limits
            resolver = ThreadedResolver() if self._private else PublicResolver()
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


@lru_cache(1000)
def _parsed(url: str) -> tuple[URL, bool]:
    """The URL, and whether its host may be a public one: a name may. Raises Blocked."""
    try:
        target = URL(url)
        host = target.host or ""
        if target.scheme not in ("http", "https") or not host:
            raise ValueError
    except ValueError:
        raise Blocked("the URL is not a complete http or https URL") from None
    try:
        return target, is_public(host)
    except ValueError:
        return target, True


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
