"""A client of the services' HTTP edges, and of what the embedded stack plays: the outside world and Stripe's sandbox.

async with ApiClient.of(settings) as edges:
    order = await edges.order("ORD-7KQ2M9XW4T")
    await edges.command("payments", f"/orders/{order['order']}/refund", {"amount": 500})

ClientError
├── Unreachable     nothing answers there
└── Problem         the edge answered with an error, as problem+json (RFC 9457)
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

from services.registry import SERVICES
from shared.errors import ReportedError
from shared.settings import Settings

PATIENCE = aiohttp.ClientTimeout(total=30, connect=5)
TRIES = 5
"""How often a command is sent, under one Idempotency-Key, when nobody answers or the edge is busy."""


class ClientError(ReportedError):
    """One clear sentence for a person."""


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
        details = "".join(f"\n  {one.get('field') or 'whole'}: {one.get('text')}" for one in self.problems)
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
        self._session = aiohttp.ClientSession(connector=connector, timeout=PATIENCE)
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
    """The four services."""

    def __init__(self, places: Mapping[str, Place], actor: str = "staff") -> None:
        super().__init__()
        self.places = places
        self.actor = actor

    @classmethod
    def of(cls, settings: Settings, actor: str = "staff") -> Self:
        token = settings.api_token.get_secret_value()
        return cls({name: Place(name, api_url(settings, name), token) for name in SERVICES}, actor)

    async def get(self, service: str, path: str, **query: object) -> Any:
        pairs = [f"{name}={quote(str(value), safe='')}" for name, value in query.items() if value not in (None, "")]
        return await self.request(self.places[service], "GET", path + ("?" + "&".join(pairs) if pairs else ""))

    async def command(
        self, service: str, path: str, body: object = None, *, method: str = "POST", identity: str = ""
    ) -> Any:
        """Send a command until the edge says what became of it: the same `identity` makes a repetition harmless."""
        headers = {"Idempotency-Key": identity or str(uuid.uuid4()), "X-Actor": self.actor}
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
        return _mapping(await self.get("checkout", "/orders", **query))

    async def order(self, name: str) -> dict[str, Any]:
        """One order with its timeline, by number or id."""
        return _mapping(await self.get("checkout", f"/orders/{quote(name, safe='')}"))

    async def part(self, service: str, path: str) -> dict[str, Any] | None:
        """What another service knows of an order; None where it knows nothing (yet)."""
        try:
            return _mapping(await self.get(service, path))
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
    """Where a service's HTTP edge is reached from here."""
    own = settings.service(service)
    host = "127.0.0.1" if own.http_host in ("0.0.0.0", "") else own.http_host  # noqa: S104  # compared, not bound
    return own.public_url or f"http://{host}:{own.http_port}"


class OutsideWorld(Http):
    """The embedded stack's mailbox, webhook receiver and course platform."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__()
        self._place = Place("the outside world", url, token)

    def hook_url(self, hook: str) -> str:
        """Where a receiver of that name takes posts."""
        return f"{self._place.url}/hooks/{hook}"

    async def mails(self, to: str = "", after: int = 0, limit: int = 1000) -> dict[str, Any]:
        """`{"count", "mails"}`, oldest first."""
        query = f"to={quote(to)}&after={after}&limit={limit}"
        return _mapping(await self.request(self._place, "GET", f"/mails?{query}"))

    async def mail(self, mail: str) -> dict[str, Any]:
        """With headers, text and html."""
        return _mapping(await self.request(self._place, "GET", f"/mails/{mail}"))

    async def hooks(self) -> dict[str, Any]:
        """Counts by receiver."""
        return _mapping(await self.request(self._place, "GET", "/hooks"))

    async def received(self, hook: str, after: int = 0, limit: int = 10_000) -> list[dict[str, Any]]:
        answer = await self.request(self._place, "GET", f"/hooks/{hook}/received?after={after}&limit={limit}")
        return list(_mapping(answer)["requests"])

    async def grants(self, customer: str) -> list[str]:
        """Products that a customer has access to."""
        answer = await self.request(self._place, "GET", f"/access?customer={quote(customer)}")
        return [grant["product"] for grant in _mapping(answer)["grants"]]

    async def all_grants(self) -> dict[str, list[str]]:
        """Products by the customer who has access to them."""
        found: dict[str, list[str]] = {}
        for grant in _mapping(await self.request(self._place, "GET", "/access"))["grants"]:
            found.setdefault(grant["customer"], []).append(grant["product"])
        return found

    async def set_secret(self, hook: str, secret: str) -> None:
        """From now on the receiver checks signatures."""
        await self.request(self._place, "PUT", f"/control/hooks/{hook}/secret", {"secret": secret})

    async def inject(self, target: str, **fault: object) -> None:
        """Have `smtp`, `course` or `hooks/NAME` answer badly: `answer=500, delay=1.5, times=3, every=5`."""
        await self.request(self._place, "PUT", f"/control/{target}", fault)

    async def clear_fault(self, target: str) -> None:
        await self.request(self._place, "DELETE", f"/control/{target}")


class StripeSandbox(Http):
    """The control side of the embedded Stripe sandbox."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__()
        self._place = Place("the Stripe sandbox", url, token)

    async def books(self, **metadata: str) -> dict[str, Any]:
        """Every payment intent and the totals; narrowed by metadata."""
        query = "&".join(f"{name}={quote(value)}" for name, value in metadata.items())
        return _mapping(await self.request(self._place, "GET", "/_control/books" + (f"?{query}" if query else "")))

    async def charge(self, amount: int, currency: str, **metadata: str) -> None:
        """Take money that nobody asked for; minor units."""
        wish = {"amount": amount, "currency": currency, "metadata": metadata}
        await self.request(self._place, "POST", "/_control/charges", wish)

    async def authenticate(self, page: str, *, passed: bool) -> None:
        """Press the button on the bank's 3-D Secure page, as the customer."""
        assert self._session is not None
        button = "complete" if passed else "fail"
        async with self._session.post(f"{page}/{button}", allow_redirects=False) as response:
            if response.status >= 400:
                raise Problem("the bank's page", response.status, {})

    async def inject(self, fault: Mapping[str, object]) -> None:
        await self.request(self._place, "POST", "/_control/faults", dict(fault))

    async def clear_fault(self) -> None:
        """No more faults."""
        await self.request(self._place, "DELETE", "/_control/faults")

    async def hold_webhooks(self) -> None:
        await self.request(self._place, "POST", "/_control/webhooks/hold")

    async def release_webhooks(self, order: str = "kept") -> None:
        await self.request(self._place, "POST", "/_control/webhooks/release", {"order": order})


def _mapping(answer: object) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise ClientError("the answer is not a JSON object: is this an orderbus edge?")
    return answer
