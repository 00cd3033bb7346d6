"""What callers may use of a worker's memory and time: bodies, requests and connections.

A body is read within a time, and all bodies together within a number of bytes, of which one client has at most a
quarter. API clients have a number of their own: bodies of others, customers among them, do not take theirs. A client
that asks too often is answered 429, and one for whom there is no room left 503, both with `Retry-After`.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import web

from shared.settings import HttpSettings
from shared.shell.http.problems import ProblemResponse

MAX_REQUEST = 1_000_000
"""Bytes of one body."""
CLIENT = web.RequestKey("client", str)
"""Whose limits a request counts for: a principal, or an address."""
BODY_BYTES = web.RequestKey("body_bytes", int)
"""The bytes of its body that are in memory."""
SHARE = 4
"""A client's bodies have this part of the bytes of all bodies."""
NETWORK_BITS = 64
_TRANSLATED = IPv6Network("64:ff9b::/96")
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([\d.]+):\d+")
CLIENTS = 10_000
"""Clients whose rates are remembered: those that asked last."""
BURST = 2.0
"""Seconds' worth of requests that a client may make at once."""


class RequestRates:
    """A token bucket for each client."""

    def __init__(self, per_second: float, now: Callable[[], float]) -> None:
        self._per_second = per_second
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def remembered(self) -> int:
        return len(self._buckets)

    def wait(self, client: str) -> float:
        """Count a request. Seconds until the client may make it; 0: it may."""
        now, most = self._now(), self._per_second * BURST
        left, at = self._buckets.pop(client, (most, now))
        left = min(most, left + (now - at) * self._per_second)
        allowed = left >= 1
        self._buckets[client] = (left - allowed, now)
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_second


class Budget:
    """What all clients may have together, and each of them."""

    def __init__(self, total: int, of_client: int) -> None:
        self._total, self._of_client = total, of_client
        self._used = 0
        self._by_client: Counter[str] = Counter()

    @property
    def used(self) -> int:
        return self._used

    def take(self, client: str, size: int = 1) -> bool:
        """False: there is no room."""
        if self._used + size > self._total or self._by_client[client] + size > self._of_client:
            return False
        self._used += size
        self._by_client[client] += size
        return True

    def release(self, client: str, size: int = 1) -> None:
        self._used -= size
        self._by_client[client] -= size
        if not self._by_client[client]:
            del self._by_client[client]


class BodyBudget(Budget):
    """The bytes of all bodies that are in memory."""

    def __init__(self, total: int) -> None:
        super().__init__(total, max(total // SHARE, MAX_REQUEST))


@dataclass
class Limits:
    """Those of one worker."""

    settings: HttpSettings = field(default_factory=HttpSettings)
    now: Callable[[], float] = lambda: asyncio.get_running_loop().time()

    def __post_init__(self) -> None:
        self.bodies = BodyBudget(self.settings.body_bytes)
        self.public_bodies = BodyBudget(self.settings.public_body_bytes)
        self.rates = RequestRates(self.settings.requests_per_second, self.now)
        self._proxies = [ip_network(proxy) for proxy in self.settings.trusted_proxies]

    def address_of(self, request: web.Request) -> str:
        """The caller's IP address; behind our own proxies, the last one that is not a proxy's."""
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ())) if self._proxies else ""
        address = request.remote or ""
        for earlier in reversed(forwarded.split(",")):
            known = _without_port(earlier.strip())
            if not self.is_proxy(address) or parsed(known) is None:
                break
            address = known
        return address

    def is_proxy(self, address: str) -> bool:
        known = parsed(address)
        return known is not None and any(known in network for network in self._proxies)

    def count(self, client: str) -> None:
        """Count a request of a client. Raises ProblemResponse (429)."""
        seconds = self.rates.wait(client)
        if seconds:
            title = f"Too many requests. {self.settings.requests_per_second} a second are accepted from one client."
            raise ProblemResponse(
                HTTPStatus.TOO_MANY_REQUESTS, title, "too_many_requests", retry_after=math.ceil(seconds)
            )

    async def read(self, request: web.Request, most: int) -> bytes:
        """The whole body, whose bytes are counted until `release`. Raises ProblemResponse."""
        client, budget = request[CLIENT], request[BUDGET]
        if (request.content_length or 0) > most:
            raise _too_large(most)
        parts: list[bytes] = []
        taken = size = 0
        try:
            async with asyncio.timeout(self.settings.body_seconds):
                async for part in request.content.iter_any():
                    size += len(part)
                    if size > most:
                        raise _too_large(most)
                    if not budget.take(client, len(part)):
                        raise _busy()
                    taken = size
                    parts.append(part)
            body = b"".join(parts)
        except TimeoutError:
            budget.release(client, taken)
            raise _too_slow(self.settings.body_seconds) from None
        except BaseException:
            budget.release(client, taken)
            raise
        return body

    async def read_file(self, request: web.Request, most: int) -> bytes:
        """The body, each part of which arrives within the time for a body. Raises ProblemResponse."""
        file = bytearray()
        async for part in self.parts_of_file(request, most):
            file += part
        return bytes(file)

    async def parts_of_file(self, request: web.Request, most: int) -> AsyncIterator[bytes]:
        """The same, part by part."""
        if (request.content_length or 0) > most:
            raise _too_large(most)
        size = 0
        while True:
            try:
                async with asyncio.timeout(self.settings.body_seconds):
                    part = await request.content.readany()
            except TimeoutError:
                raise _too_slow(self.settings.body_seconds) from None
            if not part:
                return
            size += len(part)
            if size > most:
                raise _too_large(most)
            yield part


def _too_large(most: int) -> ProblemResponse:
    title = f"The body is larger than {most} bytes."
    return ProblemResponse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, title, "request_entity_too_large", close=True)


def _too_slow(seconds: float) -> ProblemResponse:
    title = f"The body did not arrive within {seconds:g} seconds."
    return ProblemResponse(HTTPStatus.REQUEST_TIMEOUT, title, "request_timeout", close=True)


def _busy() -> ProblemResponse:
    title = "Too many bodies are being read. Repeat the request."
    return ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, title, "busy", retry_after=2, close=True)


def client_of(address: str) -> str:
    """Who is counted as one: an IPv4 address, or the network of 2**64 IPv6 addresses that one host may use."""
    known = parsed(address)
    return str(IPv6Network((int(known), NETWORK_BITS), strict=False) if isinstance(known, IPv6Address) else known or "")


def _without_port(text: str) -> str:
    """Some proxies add it: `203.0.113.1:5555`, `[2001:db8::1]:443`."""
    found = _WITH_PORT.fullmatch(text)
    return found[1] or found[2] if found else text


def parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An IPv4 address also where it is written as, or translated into, one of IPv6 (RFC 6052); None for what is no
    address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return IPv4Address(int(address) & 0xFFFF_FFFF) if address in _TRANSLATED else address.ipv4_mapped or address
    return address


BUDGET = web.RequestKey("budget", BodyBudget)
"""The bodies that its own counts with."""
LIMITS = web.RequestKey("limits", Limits)
