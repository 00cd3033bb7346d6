"""Lists of what belongs to orders: `/api/v1/transactions`, `/payments`, `/deliveries`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from aiohttp import web
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.cursors import MAX_CURSOR, Place, WrongCursor, read_cursor, write_cursor
from services.staff.domain.deliveries import FAILED, WAITS_FOR_STAFF
from services.staff.order_list import MOST, PAGE, Chosen, Store, own_stores
from services.staff.part_query import EXECUTIONS, SHAPE, TRANSACTIONS, PartQuery, PartTable, part_page, rows_at
from services.staff.storage import executions, transactions
from services.staff.unchanged import IF_NONE_MATCH, NOT_MODIFIED, kept_response
from shared.contracts.values import Currency
from shared.core import Problem
from shared.shell.http.access import OWN_STORES, RequestHandler, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, StrictQuery
from shared.shell.http.requests import Number, UtcMoment, Words, strict_query_in
from shared.shell.ports.http_api import HttpApi

QUEUES = {"failed": sorted(FAILED), "waiting": sorted(WAITS_FOR_STAFF)}


class PartChoice(StrictQuery):
    store: tuple[Store, ...] = Chosen
    """Of these stores."""
    begin: UtcMoment | None = Field(default=None, alias="from")
    """Then or later."""
    end: UtcMoment | None = Field(default=None, alias="to")
    """Earlier than that."""
    order: Literal["asc", "desc"] = "desc"
    """By time, ascending or descending."""
    limit: Number = Field(default=PAGE, ge=1, le=MOST)
    """At most so many."""
    after: str = Field(default="", max_length=MAX_CURSOR)
    """The `next` of the previous page, of the same filters and order."""


class PaymentQuery(PartChoice):
    status: tuple[Words, ...] = Chosen
    """`charging`, `action_required`, `cancelling`, `captured`, `declined`, `cancelled`, `unresolved`."""
    provider: tuple[Words, ...] = Chosen
    """The payment provider."""
    method: tuple[Words, ...] = Chosen
    """How it is paid: `card`."""
    currency: tuple[Currency, ...] = Chosen
    """ISO 4217."""
    reference: tuple[Words, ...] = Chosen
    """The provider's id."""


class TransactionQuery(PaymentQuery):
    status: tuple[Words, ...] = Chosen
    """Of charges as of payments; of refunds `pending`, `done`, `failed`, `unresolved`; of stray charges `found`."""
    kind: tuple[Literal["charge", "refund", "stray_charge"], ...] = Chosen
    """What kind it is."""
    recorded: bool | None = None
    """Refunds for which the provider moved no money."""
    surplus: bool | None = None
    """Captured besides what paid the order."""


class DeliveryQuery(PartChoice):
    queue: Literal["failed", "waiting"] | None = None
    """Those that failed, or that wait for staff."""
    status: tuple[Words, ...] = Chosen
    """Its status."""
    kind: tuple[Words, ...] = Chosen
    """`download`, `code`, `course`, `shipment`, `manual`, `http`, `discord_role`, `rcon`."""
    code: tuple[Words, ...] = Chosen
    """Why it waits or failed."""
    in_doubt: bool | None = None
    """A failed attempt may have been carried out."""


@dataclass(frozen=True, slots=True)
class ListedTransaction:
    """A charge, a refund or a charge that orderbus did not make. Amounts in minor units of `currency`."""

    order: str
    """The order's id."""
    number: str | None
    """The order's number."""
    id: str
    """The transaction's id within the order: `charge:1`, `refund:<id>`."""
    store: str
    """The store's id."""
    kind: str
    """What kind it is."""
    attempt: int | None
    """The number of the payment attempt."""
    provider: str | None
    """The payment provider."""
    method: str | None
    """How it is paid: `card`."""
    reference: str | None
    """The provider's id."""
    status: str
    """Its status."""
    code: str | None
    """Why it was declined or failed, for staff."""
    amount: int
    """In minor units."""
    currency: str
    """ISO 4217."""
    fee: int | None
    """In minor units of `fee_currency`."""
    fee_currency: str | None
    """The fee's currency, in ISO 4217."""
    card_brand: str | None
    """The card's brand."""
    card_last4: str | None
    """The card's last four digits."""
    recorded: bool
    """A refund for which the provider moved no money."""
    surplus: bool
    """Captured besides what paid the order."""
    at: datetime
    """When it was made."""


@dataclass(frozen=True, slots=True)
class ListedDelivery:
    """One action of an order's delivery."""

    order: str
    """The order's id."""
    number: str | None
    """The order's number."""
    execution: str
    """The action's id within the order."""
    store: str
    """The store's id."""
    about: str
    """The item's id within the order; `offer` for what its offer brings, `order` for what every order does."""
    name: str
    """The name of what is delivered."""
    quantity: int
    """How many units."""
    kind: str | None
    """What kind it is."""
    status: str
    """Its status."""
    code: str | None
    """Why it waits or failed."""
    text: str
    """The same for staff: what to fix."""
    in_doubt: bool
    """A failed attempt may have been carried out."""
    carrier: str | None
    """Who carries the parcel."""
    tracking: str | None
    """The tracking number."""
    updated_at: datetime
    """When it changed last."""


@dataclass(frozen=True, slots=True)
class TransactionPage:
    """A page of transactions."""

    transactions: list[ListedTransaction]
    """The transactions, in the order that was asked for."""
    next: str | None
    """The `after` of the next page; null on the last one."""


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """A page of payments: charges, each attempt one."""

    payments: list[ListedTransaction]
    """The payments, in the order that was asked for."""
    next: str | None
    """The `after` of the next page; null on the last one."""


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """A page of deliveries' actions."""

    deliveries: list[ListedDelivery]
    """The executions, in the order that was asked for."""
    next: str | None
    """The `after` of the next page; null on the last one."""


def _declared(summary: str, page: type, query: type[StrictQuery]) -> Declaration:
    return Declaration(summary, (DeclaredResponse(page), NOT_MODIFIED), query=query, headers=(IF_NONE_MATCH,))


LIST_TRANSACTIONS = _declared("Charges, refunds and stray charges", TransactionPage, TransactionQuery)
LIST_PAYMENTS = _declared("Attempts to charge", PaymentPage, PaymentQuery)
LIST_DELIVERIES = _declared("Actions of deliveries", DeliveryPage, DeliveryQuery)


Given = TypeVar("Given", bound=PartChoice)
Row = Mapping[str, Any]


def add_part_lists(application: web.Application, api: HttpApi) -> None:
    add = functools.partial(add_route, application, "GET")
    charges = functools.partial(_payment_columns, kinds=("charge",))
    transactions_of = functools.partial(_list, api.engine, TRANSACTIONS, transactions)
    add(
        "/api/v1/transactions",
        transactions_of(TransactionQuery, _transaction_columns, _transaction_page),
        *("payment.read", OWN_STORES, LIST_TRANSACTIONS),
    )
    add(
        "/api/v1/payments",
        transactions_of(PaymentQuery, charges, _payment_page),
        *("payment.read", OWN_STORES, LIST_PAYMENTS),
    )
    add(
        "/api/v1/deliveries",
        _list(api.engine, EXECUTIONS, executions, DeliveryQuery, _delivery_columns, _delivery_page),
        *("delivery.read", OWN_STORES, LIST_DELIVERIES),
    )


def _list(
    engine: AsyncEngine,
    part: PartTable,
    table: sa.Table,
    kind: type[Given],
    columns: Callable[[Given], Mapping[str, Collection[object]]],
    page: Callable[[Sequence[Row], str | None], object],
) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        given = strict_query_in(request, kind, functools.partial(_problems, part))
        after = _place(part, given)
        async with engine.connect() as connection:
            stores, _ = await own_stores(connection, request)
            query = PartQuery(part, stores, columns(given), given.begin, given.end, given.order == "desc")
            places = await part_page(connection, query, after, given.limit + 1)
            shown = places[: given.limit]
            rows = await rows_at(connection, table, part.id, shown)
        more = write_cursor(_cursor_kind(part, given), shown[-1]) if len(places) > len(shown) else None
        return kept_response(request, page(rows, more))

    return handle


def _cursor_kind(part: PartTable, given: PartChoice) -> str:
    return f"{part.name} {given.order}"


def _place(part: PartTable, given: PartChoice) -> Place | None:
    return read_cursor(_cursor_kind(part, given), given.after, SHAPE) if given.after else None


def _problems(part: PartTable, given: PartChoice) -> Iterable[Problem]:
    if given.begin and given.end and given.begin >= given.end:
        yield Problem(field="to", code="invalid_value", text="must be later than from")
    try:
        _place(part, given)
    except WrongCursor as wrong:
        yield Problem(field="after", code="invalid_value", text=str(wrong))


def _flag(value: bool | None) -> tuple[bool, ...]:
    return () if value is None else (value,)


def _payment_columns(given: PaymentQuery, kinds: Sequence[str] = ()) -> Mapping[str, Collection[object]]:
    names = ("status", "provider", "method", "currency", "reference")
    return {name: getattr(given, name) for name in names} | {"kind": kinds}


def _transaction_columns(given: TransactionQuery) -> Mapping[str, Collection[object]]:
    flags = {"recorded": _flag(given.recorded), "surplus": _flag(given.surplus)}
    return {**_payment_columns(given, given.kind), **flags}


def _delivery_columns(given: DeliveryQuery) -> Mapping[str, Collection[object]]:
    """A status that is not in the queue finds none."""
    status: Collection[str] = given.status
    if given.queue:
        queue = QUEUES[given.queue]
        status = [one for one in queue if one in given.status] or ["none"] if given.status else queue
    return {"status": status, "kind": given.kind, "code": given.code, "in_doubt": _flag(given.in_doubt)}


def _transaction_page(rows: Sequence[Row], more: str | None) -> TransactionPage:
    return TransactionPage([_shown(ListedTransaction, row) for row in rows], more)


def _payment_page(rows: Sequence[Row], more: str | None) -> PaymentPage:
    return PaymentPage([_shown(ListedTransaction, row) for row in rows], more)


def _delivery_page(rows: Sequence[Row], more: str | None) -> DeliveryPage:
    return DeliveryPage([_shown(ListedDelivery, row) for row in rows], more)


Listed = TypeVar("Listed", ListedTransaction, ListedDelivery)


def _shown(kind: type[Listed], row: Row) -> Listed:
    return kind(**{each.name: row["order_id" if each.name == "order" else each.name] for each in fields(kind)})
