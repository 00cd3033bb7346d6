"""`GET /api/v1/customers`: whose orders have the same email address in a store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import TypedDict

from services.staff.cursors import MAX_CURSOR, WrongCursor, read_cursor, write_cursor
from services.staff.customer_query import CustomerChoice, customers, place_of
from services.staff.order_list import MOST, PAGE, Chosen, Store, own_stores
from services.staff.unchanged import IF_NONE_MATCH, NOT_MODIFIED, kept_response
from shared.core import Problem
from shared.shell.http.access import OWN_STORES, RequestHandler, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json, StrictQuery
from shared.shell.http.requests import Number, Words, strict_query_in
from shared.shell.ports.http_api import HttpApi

CURSOR = "customers"
SHAPE = (str,)
"""Of a place: the latest order of the last customer. An address is personal, and does not belong in a URL."""


class CustomerQuery(StrictQuery):
    store: tuple[Store, ...] = Chosen
    """Of these stores."""
    q: Words = ""
    """What their email addresses begin with."""
    email: Words = ""
    """The whole address."""
    account: Words = ""
    """The storefront's id for the customer."""
    limit: Number = Field(default=PAGE, ge=1, le=MOST)
    """At most so many."""
    after: str = Field(default="", max_length=MAX_CURSOR)
    """The `next` of the previous page, of the same filters."""


class CustomerSum(TypedDict):
    """In minor units of the currency."""

    currency: str
    """ISO 4217."""
    paid: int
    """What counts as paid."""
    refunded: int
    """What was refunded, in minor units."""


class ListedCustomer(TypedDict):
    """A customer of a store. Numbers and sums are those of the latest 1,000 orders."""

    order: str
    """The id of the latest order. `GET /api/v1/orders?customer=<order>` lists all of them."""
    store: str
    """The store's id."""
    email: str
    """In lower case."""
    name: str | None
    """As in the latest order that has one."""
    accounts: list[str]
    """The storefront's ids for the customer."""
    orders: int
    """How many orders."""
    placed: int
    """How many of them were placed."""
    more: bool
    """There are more orders than were counted."""
    first_at: datetime
    """The date of the first of these orders."""
    last_at: datetime
    """The date of the latest order."""
    sums: list[CustomerSum]
    """By currency."""


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """A page of customers, by store and address."""

    customers: Annotated[list[Json], Holds(list[ListedCustomer])]
    """The customers, in the order that was asked for."""
    next: str | None
    """The `after` of the next page; null on the last one."""


LIST = Declaration(
    "Customers and what they bought",
    (DeclaredResponse(CustomerPage), NOT_MODIFIED),
    query=CustomerQuery,
    headers=(IF_NONE_MATCH,),
)


def add_customer_list(application: web.Application, api: HttpApi) -> None:
    add_route(application, "GET", "/api/v1/customers", _customers(api.engine), "order.read", OWN_STORES, LIST)


def _problems(given: CustomerQuery) -> Iterable[Problem]:
    if given.q and given.email:
        yield Problem(field="q", code="invalid_value", text="email is the whole address: give one of them")
    if given.after:
        try:
            read_cursor(CURSOR, given.after, SHAPE)
        except WrongCursor as wrong:
            yield Problem(field="after", code="invalid_value", text=str(wrong))


def _customers(engine: AsyncEngine) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        given = strict_query_in(request, CustomerQuery, _problems)
        chosen = CustomerChoice(given.q.strip().lower(), given.email.strip().lower(), given.account)
        async with engine.connect() as connection:
            stores, _ = await own_stores(connection, request)
            after = None
            if given.after:
                after = await place_of(connection, str(read_cursor(CURSOR, given.after, SHAPE)[0]), stores)
                stores = stores if after else []
            found = await customers(connection, stores, chosen, after, given.limit + 1)
        shown = found[: given.limit]
        more = write_cursor(CURSOR, (shown[-1]["order"],)) if len(found) > len(shown) else None
        return kept_response(request, CustomerPage(shown, more))

    return handle
