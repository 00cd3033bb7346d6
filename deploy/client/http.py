"""A client of the services' HTTP edges.

async with ApiClient.of(settings) as edges:
    order = await edges.order("ORD-7KQ2M9XW4T")
    await edges.command("payments", f"/orders/{order['order']}/refund", {"amount": 500})

ClientError
├── Unreachable     nothing answers there
└── Problem         the service answered with an error, as problem+json (RFC 9457)
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import orjson

from services.registry import PROCESSES
from shared.errors import ReportedError
from shared.settings import Settings

TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
TRIES = 5
"""How often a command is sent, under one Idempotency-Key, if the service does not answer or is busy."""


class ClientError(ReportedError):
    """The text is one clear sentence for people to read."""


class Unreachable(ClientError):
    pass


class Problem(ClientError):
    """`code` is the machine-readable one, `problems` what is wrong field by field."""

    def __init__(self, where: str, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(body.get("code", status))
        self.title = str(body.get("title") or body.get("error") or f"answered {status}")
        self.problems: Sequence[Mapping[str, str]] = body.get("problems") or ()
        self.missing: Sequence[str] = body.get("missing") or ()
        new = [one for one in self.problems if str(one.get("text")) not in self.title]
        details = "".join(f"\n  {one.get('field') or 'whole'}: {one.get('text')}" for one in new)
        super().__init__(f"{where}: {self.title} ({self.code}){details}")


@dataclass(frozen=True)
class Place:
    """An HTTP server: its name for people, where it is, and the bearer token it asks for."""

    name: str
    url: str
    token: str


class Http:
    """Requests to one place after another over one pool of connections."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=64, force_close=False)
        self._session = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def request(
        self, place: Place, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The decoded answer (text where it is no JSON). Raises ClientError."""
        assert self._session is not None
        sent = {"Authorization": f"Bearer {place.token}", **(headers or {})}
        data = None if body is None else orjson.dumps(body)
        try:
            async with self._session.request(method, place.url + path, data=data, headers=sent) as response:
                text = await response.read()
                answer = _decoded(response.content_type, text)
                if response.status >= 400:
                    problem = answer if isinstance(answer, dict) else {}
                    raise Problem(place.name, response.status, problem)
                return answer
        except (aiohttp.ClientError, TimeoutError, OSError) as trouble:
            reason = "does not answer in time" if isinstance(trouble, TimeoutError) else "cannot be reached"
            raise Unreachable(f"{place.name} at {place.url} {reason}: is it running? (`orderbus doctor`)") from trouble


def _decoded(content_type: str, text: bytes) -> Any:
    if not content_type.endswith("json"):
        return text.decode("utf-8", "replace")
    return orjson.loads(text) if text else None


class ApiClient(Http):
    """The services, and the processes that only read."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        super().__init__()
        self.places = places

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises ClientError without a token."""
        if settings.api_token is None:
            raise ClientError("Set ORDERBUS_API_TOKEN to the token of an API client.")
        token = settings.api_token.get_secret_value()
        return cls({name: Place(name, api_url(settings, name), token) for name in PROCESSES})

    async def get(self, service: str, path: str, **query: object) -> Any:
        pairs = [f"{name}={quote(str(value), safe='')}" for name, value in query.items() if value not in (None, "")]
        return await self.request(self.places[service], "GET", path + ("?" + "&".join(pairs) if pairs else ""))

    async def command(
        self, service: str, path: str, body: object = None, *, method: str = "POST", identity: str = ""
    ) -> Any:
        """Send a command until the service answers; the same `identity` makes a repetition harmless."""
        headers = {"Idempotency-Key": identity or str(uuid.uuid4())}
        for attempt in range(1, TRIES + 1):
            try:
                return await self.request(self.places[service], method, path, body or {}, headers)
            except (Unreachable, Problem) as trouble:
                passing = isinstance(trouble, Unreachable) or trouble.status == 503
                if not passing or attempt == TRIES:
                    raise
            await asyncio.sleep(0.2 * attempt)
        raise AssertionError("unreachable")

    async def orders(
        self, *, status: str = "", store: str = "", find: str = "", limit: int = 50, after: str = ""
    ) -> dict[str, Any]:
        """A page of `{"orders", "next"}`, newest first; `next` is the `after` of the page behind it."""
        query = {"status": status, "store": store, "q": find, "limit": limit, "after": after}
        return mapping(await self.get("checkout", "/orders", **query))

    async def order(self, name: str) -> dict[str, Any]:
        """One order with its timeline, by number or id."""
        if not name.strip():
            raise ClientError("Name an order, by its number (ORD-…) or id.")
        return mapping(await self.get("checkout", f"/orders/{quote(name, safe='')}"))

    async def part(self, service: str, path: str) -> dict[str, Any] | None:
        """What another service knows of an order; None where it knows nothing (yet)."""
        try:
            return mapping(await self.get(service, path))
        except Problem as problem:
            if problem.status == 404:
                return None
            raise

    async def ready(self, service: str) -> list[str]:
        """What a service still waits for; empty when it is ready."""
        try:
            await self.get(service, "/ready")
        except Unreachable:
            return ["process"]
        except Problem as problem:
            return list(problem.missing) or [problem.code]
        return []

    async def metrics(self, service: str) -> dict[str, float]:
        """The worker's gauges and counters, summed over their labels."""
        totals: dict[str, float] = {}
        for line in str(await self.get(service, "/metrics")).splitlines():
            if line and not line.startswith("#"):
                name, value = line.partition("{")[0].split(" ")[0], line.rpartition(" ")[2]
                totals[name] = totals.get(name, 0.0) + float(value)
        return totals


def api_url(settings: Settings, service: str) -> str:
    """Where a service's HTTP API is reached from here."""
    own = settings.edge(service)
    host = "127.0.0.1" if own.http_host in ("0.0.0.0", "") else own.http_host  # noqa: S104  # compared, not bound
    return own.public_url or f"http://{host}:{own.http_port}"


def mapping(answer: object) -> dict[str, Any]:
    """An answer that must be a JSON object."""
    if not isinstance(answer, dict):
        raise ClientError("the answer is not a JSON object: is this an orderbus service?")
    return answer
