"""Payments' HTTP API: commands, the providers' callbacks, and reading payments and the ledger."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from aiohttp import web
from pydantic import Field

from services.payments.answers import LedgerEntry, ListedPayment, PaymentAnswer
from services.payments.domain.payment import Payment
from services.payments.gateways.provider import OrderOf, Provider
from services.payments.owed import OWED, REFUNDS, owed_payments
from services.payments.pay_page import PayPages, add_pay_page, payment_reader
from services.payments.preview import PREVIEW, refund_preview
from services.payments.storage import attempts, ledger_entries, payments
from services.payments.views import payment_view
from shared.contracts.payments import RecordPayment, RefundPayment, SettlePayment
from shared.contracts.values import PaymentStatus
from shared.pay_links import PayLinks
from shared.shell.http.access import IN_QUERY, RequestHandler, add_route, found_by, store_column
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json, Query
from shared.shell.http.problems import bad_request, json_response, not_found
from shared.shell.http.requests import Number, UtcMoment, Words, query_in
from shared.shell.http.web import READ_REFUSED, add_commands
from shared.shell.ports.http_api import HttpApi, Routes
from shared.shell.postgres.tables import read_state
from shared.shell.postgres.waiting import waiting

MOST = 500
COMMANDS = (
    ("POST", "/orders/{key}/refund", RefundPayment),
    ("POST", "/orders/{key}/record-payment", RecordPayment),
    ("POST", "/orders/{key}/settle", SettlePayment),
)


class PaymentsQuery(Query):
    status: PaymentStatus | None = None
    provider: Words | None = None
    """Without an index: name a store or a status, too, where few payments have it."""
    currency: Words | None = None
    """As `provider`."""
    store: Words | None = None
    """Only those of this store. Missing: of all stores, which the token must be for."""
    number: Words | None = None
    """Only the order with this number."""
    reference: Words | None = None
    """Only those with this reference: the provider's id of the charge or refund."""
    unresolved: bool = False
    """Only those with a charge or refund whose outcome is unknown."""
    limit: Number = Field(default=100, ge=1, le=MOST)
    """At most so many entries."""
    after: Words = ""
    """The order of the previous page's last payment."""


class LedgerQuery(Query):
    kind: Words | None = None
    """Only entries of this kind."""
    account: Words | None = None
    """Only entries of this account."""
    currency: Words | None = None
    """Only entries in this currency (ISO 4217 code)."""
    provider: Words | None = None
    """Only entries of this payment provider."""
    store: Words | None = None
    """Only those of this store. Missing: of all stores, which the token must be for."""
    reference: Words | None = None
    """Only those with this reference: the provider's id of the charge or refund."""
    key: Words | None = None
    """The order."""
    begin: UtcMoment | None = Field(default=None, alias="from")
    """No earlier than this."""
    to: UtcMoment | None = None
    """Earlier than this."""
    limit: Number = Field(default=100, ge=1, le=MOST)
    """At most so many entries."""
    after: UUID | None = None
    """The id of the previous page's last entry."""


@dataclass(frozen=True, slots=True)
class PaymentsPage:
    """Payments that match."""

    payments: Annotated[list[Json], Holds(list[ListedPayment])]
    """By order id."""


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """A payment's entries in the ledger."""

    entries: Annotated[list[Json], Holds(list[LedgerEntry])]
    """In the order in which they were made."""


PAYMENT = Declaration(
    "An order's payment: sums, attempts, refunds", (DeclaredResponse(PaymentAnswer),), refused=READ_REFUSED
)
PAYMENTS = Declaration("Payments, by order", (DeclaredResponse(PaymentsPage),), query=PaymentsQuery)
LEDGER = Declaration("Ledger entries, in order of time", (DeclaredResponse(LedgerPage),), query=LedgerQuery)


def routes(providers: Sequence[Provider], links: PayLinks | None = None) -> Routes:
    """`links`: to the pay page, where there is one."""
    forms = [form for provider in providers if (form := provider.pay_form())]

    def add(application: web.Application, api: HttpApi) -> None:
        store_of = store_column(api.engine, payments)
        add_commands(application, api, COMMANDS, store_of)
        for provider in providers:
            provider.add_callbacks(application, api, order_of(api, provider.name))
        add_pay_page(application, PayPages(api, links, forms, payment_reader(api)))
        add, of_order = functools.partial(add_route, application), found_by(store_of)
        add("GET", "/orders/{key}/payment", one_payment(api), "payment.read", of_order, PAYMENT)
        add("POST", "/orders/{key}/refund/preview", refund_preview(api), RefundPayment.type, of_order, PREVIEW)
        add("GET", "/payments", some_payments(api), "payment.read", IN_QUERY, PAYMENTS)
        add("GET", "/owed", owed_payments(api), "payment.read", IN_QUERY, OWED)
        add("GET", "/ledger", some_entries(api), "ledger.read", IN_QUERY, LEDGER)

    return add


def order_of(api: HttpApi, provider: str) -> OrderOf:
    """By the history of attempts."""
    attempt = attempts.c

    async def find(reference: str) -> str:
        statement = sa.select(attempt.key).where(
            attempt.reference == reference, attempt.reference != "", attempt.provider == provider
        )
        async with api.engine.connect() as connection:
            return (await connection.execute(statement.limit(1))).scalar_one_or_none() or ""

    return find


def one_payment(api: HttpApi) -> RequestHandler:
    async def show(request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        statement = sa.select(sa.cast(payments.c.data, sa.Text)).where(payments.c.key == key)
        async with api.engine.connect() as connection:
            data = (await connection.execute(statement)).scalar_one_or_none()
        payment = None if data is None else read_state(Payment, data)
        if payment is None or payment.ended_unrequested:
            raise not_found("payment")
        waits = await waiting(api.engine, key)
        obstacles = {str(one.operation.get("refund")): one.error or one.paused for one in waits if one.kind in REFUNDS}
        view = payment_view(key, payment, obstacles)
        return json_response(view | {"waiting": [one.as_json() for one in waits]})

    return show


def some_payments(api: HttpApi) -> RequestHandler:
    columns = [column for column in payments.c if column.name not in ("data", "shape", "version", "sequence")]
    requested = sa.and_(payments.c.data.is_not(None), payments.c.number != "")
    statement = sa.select(*columns).where(requested).order_by(payments.c.key)

    async def show(request: web.Request) -> web.StreamResponse:
        given = query_in(request, PaymentsQuery)
        query = _equal(statement, payments, given, "provider", "currency", "store", "number", "reference")
        if given.status:
            # As a literal: an index of all payments that are not paid is used only where PostgreSQL sees the status.
            query = query.where(payments.c.status == sa.literal(given.status.value, literal_execute=True))
        if given.unresolved:
            query = query.where(payments.c.unresolved)
        if given.after:
            query = query.where(payments.c.key > given.after)
        return json_response(PaymentsPage(await _rows(api, query, given.limit)))

    return show


def some_entries(api: HttpApi) -> RequestHandler:
    place = sa.tuple_(ledger_entries.c.at, ledger_entries.c.id)
    statement = sa.select(ledger_entries).order_by(*place)
    names = ("kind", "account", "currency", "provider", "store", "reference", "key")

    async def show(request: web.Request) -> web.StreamResponse:
        given = query_in(request, LedgerQuery)
        query = _equal(statement, ledger_entries, given, *names)
        if given.begin:
            query = query.where(ledger_entries.c.at >= given.begin)
        if given.to:
            query = query.where(ledger_entries.c.at < given.to)
        if given.after:
            query = query.where(place > await _place_of(api, given.after))
        return json_response(LedgerPage(await _rows(api, query, given.limit)))

    return show


async def _place_of(api: HttpApi, entry: UUID) -> sa.Tuple:
    statement = sa.select(ledger_entries.c.at).where(ledger_entries.c.id == entry)
    async with api.engine.connect() as connection:
        at = (await connection.execute(statement)).scalar_one_or_none()
    if at is None:
        raise bad_request("`after` is not the id of an entry.")
    return sa.tuple_(sa.literal(at), sa.literal(entry))


def _equal(statement: sa.Select[Any], table: sa.Table, given: Query, *names: str) -> sa.Select[Any]:
    for name in names:
        value: str | None = getattr(given, name)
        if value is not None:
            statement = statement.where(table.c[name] == value)
            if name == "reference":
                statement = statement.where(table.c[name] != sa.literal("", literal_execute=True))
    return statement


async def _rows(api: HttpApi, statement: sa.Select[Any], limit: int) -> list[dict[str, Any]]:
    async with api.engine.connect() as connection:
        rows = (await connection.execute(statement.limit(limit))).mappings()
        return [{str(name): value for name, value in row.items()} for row in rows]
