"""What all services know of a customer, as one answer, and its erasure: by email address, which is in no URL. Orders
are found by staff's own rows; each owner erases its part (docs/privacy.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import quote

import orjson
import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import TypedDict

from services.staff.archived import find_order
from services.staff.jobs.owner import CommandOutcome, OrderCommand, OrderHeldUp, OwnerAway
from services.staff.owners.client import Owners
from services.staff.owners.sender import OwnersSender
from services.staff.people import audit_log
from services.staff.people.views import Address
from shared.contracts.erasure import EraseCustomer
from shared.contracts.values import Given
from shared.core.ids import hashed_id
from shared.shell.http.access import IN_PATH, PRINCIPAL, add_route
from shared.shell.http.assertions import RequestHead
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json
from shared.shell.http.principals import Principal
from shared.shell.http.problems import ProblemResponse, json_response
from shared.shell.http.requests import IDEMPOTENCY_KEY, body_in
from shared.shell.http.web import identity_of
from shared.shell.ports.http_api import HttpApi

ROOT = "/api/v1/stores/{store}/customers"
EXPORT = "customer.export"
MOST = 200
"""Orders of one answer."""
AT_ONCE = 8
ASKED = (
    ("order", "checkout", "/orders/{}", "order.read"),
    ("payment", "payments", "/orders/{}/payment", "payment.read"),
    ("deliveries", "fulfillment", "/orders/{}/deliveries", "delivery.read"),
    ("downloads", "fulfillment", "/orders/{}/downloads", "delivery.read"),
    ("messages", "notifications", "/orders/{}/notifications", "notification.read"),
)
_ORDERS = sa.text("""
    select order_id, number, coalesce(owed, 0) as owed, coalesce(unresolved, false) as unresolved from orders
    where store = :store and email = :email and order_id > :after order by order_id limit :most
""")
_EVENTS = sa.text("""
    select at, topic, type, actor, body from events where key = :key and body <> ''::bytea order by at, sequence
""")
_SEARCHES = (
    """update saved_views set version = version + 1,
        data = data || jsonb_build_object('search', '', 'filters', '[]'::jsonb)
        where key >= :first and key < :last and position(:email in lower(cast(data as text))) > 0""",
    """update jobs set request = cast(jsonb_set(cast(request as jsonb), '{filter,q}', '""', false) as text)
        where position(:email in lower(request)) > 0 and ended_at is not null""",
    """update job_schedules
        set request = cast(jsonb_set(cast(request as jsonb), '{export,filter,q}', '""', false) as text)
        where position(:email in lower(request)) > 0""",
)
"""What staff searched for and saved."""


class CustomerChoice(Given):
    """Whose data it is about, in the store."""

    email: Address
    """The customer's email address, in any case."""
    after: str = ""
    """The `next` of the answer before."""


class KnownEvent(TypedDict):
    """An archived event, or a status record as it was told then."""

    at: datetime
    """When it happened, by its sender's clock."""
    topic: str
    """Where it was sent."""
    type: str
    """Its wire type."""
    actor: str
    """Whose doing it was."""
    body: Any
    """Its contents; as text where they are no JSON."""


class KnownOrder(TypedDict):
    """All that is known of an order. What its service does not know, or did not tell, is null."""

    order_id: str
    """The order's id."""
    order: Json | None
    """As checkout shows it, with what is written about it."""
    payment: Json | None
    """As payments shows it."""
    deliveries: Json | None
    """As fulfillment shows them."""
    downloads: Json | None
    """As fulfillment shows them."""
    messages: Json | None
    """Its emails and webhook deliveries, as notifications shows them."""
    records: Json
    """The latest status records, by part."""
    events: list[KnownEvent]
    """What is archived of it, oldest first."""


@dataclass(frozen=True, slots=True)
class CustomerExport:
    """All that is known of a customer's orders in a store: what each service tells, and the archive of its events."""

    email: str
    """As it was asked for, in lower case."""
    store: str
    """The store's id."""
    at: datetime
    """When it was put together."""
    orders: Annotated[list[Json], Holds(list[KnownOrder])]
    """Those that were found."""
    missing: list[str]
    """Services that did not answer: ask again."""
    next: str | None
    """The `after` of the following orders; null: these are all."""


@dataclass(frozen=True, slots=True)
class ErasedCustomerOrder:
    """An order, and the outcome of its erasure."""

    order_id: str
    """The order's id."""
    number: str
    """The order's number."""
    state: Literal["done", "refused", "unknown"]
    """`done`: erased, in all services within a minute. `unknown`: its owner did not answer, or a message of the
    order is parked (`held_up`); ask again."""
    code: str
    """Why it is refused, machine-readable; empty: it is not."""
    text: str
    """The same in words."""


@dataclass(frozen=True, slots=True)
class CustomerErasure:
    """What was erased of a customer's orders in a store."""

    orders: list[ErasedCustomerOrder]
    """Those that were found."""
    next: str | None
    """The `after` of the following orders; null: these are all."""


EXPORT_DATA = Declaration("All that is known of a customer", (DeclaredResponse(CustomerExport),), body=CustomerChoice)
ERASE_DATA = Declaration(
    "Erase a customer's personal data",
    (DeclaredResponse(CustomerErasure),),
    body=CustomerChoice,
    headers=(IDEMPOTENCY_KEY,),
)


def add_customer_data(application: web.Application, api: HttpApi, owners: Owners, writes: AsyncEngine) -> None:
    """`writes`: for the audit log, and what staff saved."""
    routes = CustomerRoutes(api.engine, owners, writes)
    add_route(application, "POST", f"{ROOT}/export", routes.export, EXPORT, IN_PATH, EXPORT_DATA)
    add_route(application, "POST", f"{ROOT}/erase", routes.erase, EraseCustomer.type, IN_PATH, ERASE_DATA)


class CustomerRoutes:
    def __init__(self, engine: AsyncEngine, owners: Owners, writes: AsyncEngine) -> None:
        self._engine, self._owners, self._writes = engine, owners, writes
        self._sender = OwnersSender(owners)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def export(self, request: web.Request) -> web.StreamResponse:
        caller, store = request[PRINCIPAL], request.match_info["store"]
        given = await body_in(request, CustomerChoice, "customer")
        found, following = await self._found(store, given)
        async with self._writes.begin() as connection:
            for row in found:
                await audit_log.record(connection, caller.name, "customer.exported", row.order_id, store=store)
        reader = Principal(caller.name, tuple({need for *_, need in ASKED}), frozenset({store}))
        missing: set[str] = set()
        orders = [await self._whole(reader, row.order_id, missing) for row in found]
        answer = CustomerExport(given.email.lower(), store, datetime.now(UTC), orders, sorted(missing), following)
        return json_response(answer)

    async def erase(self, request: web.Request) -> web.StreamResponse:
        caller, store = request[PRINCIPAL], request.match_info["store"]
        given, identity = await body_in(request, CustomerChoice, "customer"), identity_of(request)
        found, following = await self._found(store, given)
        async with self._writes.begin() as connection:
            await _forget_searches(connection, store, given.email.lower())
            for row in found:
                await audit_log.record(connection, caller.name, "customer.erase", row.order_id, store=store)
        sent = await asyncio.gather(*(self._erased(caller, store, row, str(identity)) for row in found))
        async with self._writes.begin() as connection:
            for order in sent:
                if order.state != "done":
                    detail = {"store": store, "code": order.code}
                    await audit_log.record(connection, caller.name, "customer.erase_refused", order.order_id, **detail)
        return json_response(CustomerErasure(list(sent), following))

    async def _found(self, store: str, given: CustomerChoice) -> tuple[Sequence[sa.Row[Any]], str | None]:
        values = {"store": store, "email": given.email.lower(), "after": given.after, "most": MOST + 1}
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_ORDERS, values)).all()
        return rows[:MOST], rows[MOST - 1].order_id if len(rows) > MOST else None

    async def _erased(self, caller: Principal, store: str, row: sa.Row[Any], identity: str) -> ErasedCustomerOrder:
        outcome = _why_not(row)
        if outcome is None:
            command = OrderCommand(
                service=EraseCustomer.topic.owner,
                path=f"/orders/{quote(row.order_id, safe=':@')}/erase",
                body={},
                key=str(hashed_id(identity, row.order_id)),
                actor=caller.name,
                permissions=(EraseCustomer.type,),
                store=store,
            )
            async with self._turns:
                try:
                    outcome = await self._sender.send(command)
                except OwnerAway as away:
                    code = "held_up" if isinstance(away, OrderHeldUp) else "unreachable"
                    outcome = CommandOutcome("unknown", code, str(away))
        return ErasedCustomerOrder(row.order_id, row.number, outcome.state, outcome.code, outcome.text)

    async def _whole(self, reader: Principal, order: str, missing: set[str]) -> dict[str, Any]:
        answers = await asyncio.gather(
            *(self._ask(reader, owner, path.format(quote(order, safe=":@")), missing) for _, owner, path, _ in ASKED)
        )
        told = dict(zip((name for name, *_ in ASKED), answers, strict=True))
        async with self._engine.connect() as connection:
            found = await find_order(connection, order)
            rows = (await connection.execute(_EVENTS, {"key": order})).all()
        events = [
            {"at": row.at, "topic": row.topic, "type": row.type, "actor": row.actor, "body": _decoded(row.body)}
            for row in rows
        ]
        return {"order_id": order, **told, "records": found.records if found else {}, "events": events}

    async def _ask(self, reader: Principal, owner: str, path: str, missing: set[str]) -> Any:
        """None: it knows nothing of the order, or does not answer."""
        async with self._turns:
            try:
                answer = await self._owners.send(reader, owner, RequestHead("GET", path))
            except ProblemResponse:
                missing.add(owner)
                return None
        if answer.status == HTTPStatus.OK:
            return orjson.loads(answer.body)
        if answer.status != HTTPStatus.NOT_FOUND:
            missing.add(owner)
        return None


def _why_not(row: sa.Row[Any]) -> CommandOutcome | None:
    """What checkout does not know."""
    if row.owed or row.unresolved:
        text = "Money is owed to the customer, or the outcome of a payment is unknown. Erase the order after that."
        return CommandOutcome("refused", "money_owed", text)
    return None


async def _forget_searches(connection: AsyncConnection, store: str, email: str) -> None:
    values = {"email": email, "first": f"{store}/", "last": f"{store}0"}
    for statement in _SEARCHES:
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        await connection.execute(sa.text(statement), used)


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")
