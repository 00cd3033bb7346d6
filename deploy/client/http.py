"""A client of the services' HTTP edges.

async with ApiClient.of(settings) as edges:
    order = await edges.order("ORD-7KQ2M9XW4T")
    await edges.command("payments", f"/orders/{order['order']}/refund", {"amount": 500})

ClientError
├── Unreachable     no connection could be made: nothing was sent
├── Unanswered      the request was sent, and its answer never came
├── OutcomeUnknown  a command that may have been carried out
├── WrongService    its address is not that of the service
└── Problem         the service answered with an error, as problem+json (RFC 9457)
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, BinaryIO, Self
from urllib.parse import quote

import aiohttp
import orjson

from services.registry import PROCESSES
from shared.errors import ReportedError
from shared.settings import Settings, name_of

TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
OF_FILES = aiohttp.ClientTimeout(total=600, connect=5)
OF_STREAMS = aiohttp.ClientTimeout(total=None, connect=5, sock_read=600)
TRIES = 5
"""How often a command is sent, under one Idempotency-Key, if the service does not answer or is busy."""
PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds between two tries: longer each time, and as long as the service asks for within reason."""
_BUSY = frozenset({429, 502, 503, 504})
_REFUSED = frozenset({400, 409, 413, 415, 422})
_NOT_KEPT = frozenset({"parked", "newer", "internal", "outcome_forgotten"})
"""Refusals that say nothing of an earlier try under the same key."""
_NEVER_CONNECTED = (
    *(aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL),
    aiohttp.ServerFingerprintMismatch,
)


class ClientError(ReportedError):
    """The text is one clear sentence for people to read."""

    passing = False
    """Another try may go better."""
    in_doubt = False
    """A command may have been carried out, now or later."""
    retry_after = 0.0
    """Seconds to wait before another try."""


class Unreachable(ClientError):
    passing = True


class Unanswered(ClientError):
    passing = in_doubt = True


class WrongService(ClientError):
    exit_code = 2


class OutcomeUnknown(ClientError):
    """Repeated under the same `identity`, its Idempotency-Key, the command takes effect once."""

    exit_code = 4
    in_doubt = True

    def __init__(self, reason: ReportedError, identity: str) -> None:
        super().__init__(
            f"It is not known whether the command was carried out: {reason}\nSend it again with the Idempotency-Key "
            f"{identity}: it then takes effect once."
        )
        self.reason = str(reason)
        self.identity = identity


class Problem(ClientError):
    """`code` is the machine-readable one, `problems` what is wrong field by field."""

    def __init__(self, place: Place, status: int, body: Mapping[str, Any], retry_after: float = 0.0) -> None:
        self.status = status
        self.retry_after = retry_after
        self.passing = status in _BUSY
        self.in_doubt = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        self.code = str(body.get("code", status))
        self.title = str(body.get("title") or body.get("error") or "")
        self.problems: Sequence[Mapping[str, str]] = body.get("problems") or ()
        self.missing: Sequence[str] = body.get("missing") or ()
        new = [one for one in self.problems if str(one.get("text")).removesuffix(".") not in self.title]
        details = "".join(f"\n  {': '.join(filter(None, (one.get('field'), one.get('text'))))}" for one in new)
        if not self.title:
            phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else ""
            super().__init__(f"{place} answered {status} {phrase}, not as orderbus does: is this its address?")
        elif status == HTTPStatus.UNAUTHORIZED:
            super().__init__(f"{place.name}: {self.title} Set {name_of(('api_token',))} to that of an API client.")
        else:
            super().__init__(f"{place.name}: {self.title} ({self.code}){details}")

    @property
    def refused(self) -> bool:
        """The command was not carried out, nor was an earlier try under the same key."""
        return self.status in _REFUSED and self.code not in _NOT_KEPT


@dataclass(frozen=True)
class Place:
    """An HTTP server: its name for people, where it is, and the bearer token it asks for (empty: none)."""

    name: str
    url: str
    token: str

    def __str__(self) -> str:
        return f"{self.name} at {self.url}"


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
        self,
        place: Place,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        file: bytes | BinaryIO | None = None,
    ) -> Any:
        """The decoded answer (text where it is no JSON). `file`: sent as it is, with time; one that is open is read in
        parts. Raises ClientError."""
        assert self._session is not None
        sent = {"Authorization": f"Bearer {place.token}"} if place.token else {}
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        data = file if body is None else orjson.dumps(body)
        timeout = TIMEOUT if file is None else OF_FILES if isinstance(file, bytes) else OF_STREAMS
        try:
            async with self._session.request(
                method, place.url + path, data=data, headers=sent, timeout=timeout
            ) as response:
                text = await response.read()
        except _NEVER_CONNECTED as trouble:
            raise Unreachable(f"{place} cannot be reached: is it running? (`orderbus doctor`)") from trouble
        except (aiohttp.ClientError, TimeoutError, OSError) as trouble:
            how = "in time" if isinstance(trouble, TimeoutError) else "the request, but closed the connection"
            raise Unanswered(f"{place} did not answer {how}. (`orderbus doctor`)") from trouble
        answer = _decoded(place, response.content_type, text)
        if response.status >= HTTPStatus.BAD_REQUEST:
            problem = answer if isinstance(answer, dict) else {}
            raise Problem(place, response.status, problem, _seconds(response.headers.get("Retry-After", "")))
        return answer


def _decoded(place: Place, content_type: str, text: bytes) -> Any:
    if not content_type.endswith("json"):
        return text.decode("utf-8", "replace")
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        raise Unanswered(f"{place} answered with invalid JSON: is this an orderbus service?") from None


def _seconds(retry_after: str) -> float:
    """0 for a date, which our services do not send."""
    return min(float(retry_after), LONGEST_PAUSE) if retry_after.isascii() and retry_after.isdigit() else 0.0


class ApiClient(Http):
    """The services, and the processes that only read."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        super().__init__()
        self.places = places
        self._known: set[str] = set()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises ClientError without a token."""
        if settings.api_token is None:
            raise ClientError("Set ORDERBUS_API_TOKEN to the token of an API client.")
        token = settings.api_token.get_secret_value()
        return cls({name: Place(name, api_url(settings, name), token) for name in PROCESSES})

    async def get(self, service: str, path: str, **query: object) -> Any:
        pairs = [f"{name}={quote(str(value), safe='')}" for name, value in query.items() if value not in (None, "")]
        place = await self._place(service)
        return await self.request(place, "GET", path + ("?" + "&".join(pairs) if pairs else ""))

    async def read(self, service: str, path: str, body: object) -> dict[str, Any]:
        """What a question with a body is answered, which changes nothing. Raises ClientError."""
        return mapping(await self.request(await self._place(service), "POST", path, body))

    async def _place(self, service: str) -> Place:
        """Where the service is. Raises WrongService unless it says so itself: until then, no token is sent there."""
        place = self.places[service]
        if place.url.endswith(":0"):
            raise WrongService(f"The address of {service} is not set: set {name_of((service, 'internal_url'))}.")
        if service not in self._known:
            try:
                health = await self.request(replace(place, token=""), "GET", "/health")
            except Problem as problem:
                if problem.passing:
                    raise
                health = None
            if said := wrong_service(service, health):
                raise WrongService(f"{place}: {said}")
            self._known.add(service)
        return place

    async def _connected(self, service: str) -> Place:
        """The same, for a command: that no answer comes to this says nothing of the command."""
        try:
            return await self._place(service)
        except (Unanswered, Problem) as trouble:
            raise Unreachable(str(trouble)) from trouble

    async def command(
        self, service: str, path: str, body: object = None, *, method: str = "POST", identity: str = ""
    ) -> dict[str, Any]:
        """Send a command until the service answers; the same `identity` makes a repetition harmless. Raises
        OutcomeUnknown if it may have been carried out, and another ClientError if it was not."""
        identity, in_doubt = identity or str(uuid.uuid4()), False
        for attempt in range(1, TRIES + 1):
            try:
                return await self._sent(service, path, body, method, identity)
            except ClientError as trouble:
                in_doubt = in_doubt or trouble.in_doubt
                if attempt == TRIES or not trouble.passing:
                    if in_doubt and not (isinstance(trouble, Problem) and trouble.refused):
                        raise OutcomeUnknown(trouble, identity) from trouble
                    raise
                pause = max(PAUSE * attempt, trouble.retry_after)
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def _sent(self, service: str, path: str, body: object, method: str, identity: str) -> dict[str, Any]:
        place = await self._connected(service)
        answer = await self.request(place, method, path, body or {}, {"Idempotency-Key": identity})
        if not isinstance(answer, dict):
            raise Unanswered(f"{place} did not answer as an orderbus service does: is this its address?")
        return answer

    async def upload(self, service: str, path: str, file: bytes, media: str) -> dict[str, Any]:
        """Send a file, once; the answer may take minutes. Raises ClientError."""
        headers = {"Content-Type": media, "Idempotency-Key": str(uuid.uuid4())}
        place = await self._connected(service)
        return mapping(await self.request(place, "POST", path, headers=headers, file=file))

    async def put_file(self, service: str, path: str, file: BinaryIO, identity: str = "") -> dict[str, Any]:
        """Send an open file, once. Raises OutcomeUnknown if it may have been taken, and another ClientError if not."""
        identity = identity or str(uuid.uuid4())
        headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": identity}
        place = await self._connected(service)
        try:
            return mapping(await self.request(place, "PUT", path, headers=headers, file=file))
        except ClientError as trouble:
            if trouble.in_doubt:
                raise OutcomeUnknown(trouble, identity) from trouble
            raise

    async def orders(
        self, *, status: str = "", store: str = "", find: str = "", limit: int = 50, after: str = ""
    ) -> dict[str, Any]:
        """A page of `{"orders", "next"}`, newest first; `next` is the `after` of the page behind it."""
        query = {"status": status, "store": store, "q": find, "limit": limit, "after": after}
        return mapping(await self.get("checkout", "/orders", **query))

    async def order(self, name: str) -> dict[str, Any]:
        """One order, by number or id."""
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
        except (Unreachable, Unanswered):
            return ["process"]
        except Problem as problem:
            return list(problem.missing) or [problem.code]
        return []

    async def metrics(self, service: str) -> dict[str, float]:
        """The worker's gauges and counters, summed over their labels; without those that cannot be read now."""
        totals: dict[str, float] = {}
        for line in str(await self.get(service, "/metrics")).splitlines():
            if line and not line.startswith("#"):
                name, value = line.partition("{")[0].split(" ")[0], float(line.rpartition(" ")[2])
                if not math.isnan(value):
                    totals[name] = totals.get(name, 0.0) + value
        return totals


def store_path(store: str, *parts: str) -> str:
    """`/stores/<store>/<part>/…`, each quoted."""
    return "/".join(("/stores", *(quote(part, safe="") for part in (store, *parts))))


def api_url(settings: Settings, service: str) -> str:
    """Where a service's HTTP API is reached from here."""
    own = settings.edge(service)
    if own.internal_url:
        return own.internal_url.rstrip("/")
    host = "127.0.0.1" if own.http_host in ("0.0.0.0", "") else own.http_host  # noqa: S104  # compared, not bound
    return f"http://{host}:{own.http_port}"


def no_address(settings: Settings, service: str) -> str:
    """What to set where the settings do not say where a service is; empty where they do."""
    own = settings.edge(service)
    if own.http_port or own.internal_url:
        return ""
    names = name_of((service, "http_port")), name_of((service, "internal_url"))
    return f"unknown address: set {names[0]}, or {names[1]} if it runs on another machine"


def wrong_service(service: str, health: object) -> str:
    """What to do if this answer to `/health` is not that of the service; empty if it is."""
    found = health.get("service") if isinstance(health, dict) else None
    if found == service:
        return ""
    what = f"this is {found}" if found in PROCESSES else f"this does not say that it is {service}"
    return f"{what}. Correct {name_of((service, 'internal_url'))} or {name_of((service, 'http_port'))}."


def mapping(answer: object) -> dict[str, Any]:
    """An answer that must be a JSON object."""
    if not isinstance(answer, dict):
        raise ClientError("the answer is not a JSON object: is this an orderbus service?")
    return answer
