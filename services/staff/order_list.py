"""`GET /api/v1/orders`: the orders of the caller's stores, filtered, searched, sorted, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.staff.cursors import MAX_CURSOR, WrongCursor, read_cursor, write_cursor
from services.staff.customer_query import place_of
from services.staff.domain.order_filter import FACETS, FLAGS, OrderFilter, search_text
from services.staff.order_columns import FIELDS, ListedOrder, listed_orders
from services.staff.order_conditions import Search
from services.staff.order_query import SORT_NAMES, OrderQuery, known_stores, page_of, search_of, shape_of
from services.staff.search_text import folded
from services.staff.unchanged import IF_NONE_MATCH, NOT_MODIFIED, kept_response
from shared.api_clients import STORE
from shared.contracts.values import Country, Currency, FulfilmentStatus, OrderStatus, PaymentStatus
from shared.core import Problem
from shared.shell.http.access import OWN_STORES, add_route, stores_of
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json, StrictQuery
from shared.shell.http.requests import Number, UtcMoment, Words, strict_query_in
from shared.shell.ports.http_api import HttpApi

PAGE = 50
MOST = 200
CHOICES = 50
"""The most values of one filter."""


def add_order_list(application: web.Application, api: HttpApi) -> None:
    add_route(application, "GET", "/api/v1/orders", _list(api.engine), "order.read", OWN_STORES, LIST)


def _field(name: str) -> str:
    if name not in FIELDS:
        raise ValueError("is no field of an order")
    return name


def _split(given: object) -> object:
    if isinstance(given, list):
        return [name for each in given for name in str(each).split(",") if name]
    return given


OrderField = Annotated[str, AfterValidator(_field), WithJsonSchema({"type": "string", "enum": list(FIELDS)})]
Store = Annotated[str, Field(pattern=f"^{STORE.pattern}$")]
Chosen = Field(default=(), max_length=CHOICES)


class OrderChoice(StrictQuery):
    """Which orders. A filter with several values finds orders that have one of them; several filters, those that all
    of them find."""

    store: tuple[Store, ...] = Chosen
    """Of these stores."""
    status: tuple[OrderStatus, ...] = Chosen
    """Its status."""
    payment_status: tuple[PaymentStatus, ...] = Chosen
    """Whether it is paid."""
    fulfilment_status: tuple[FulfilmentStatus, ...] = Chosen
    """Whether it is delivered."""
    placed_from: UtcMoment | None = None
    """Placed then or later."""
    placed_to: UtcMoment | None = None
    """Placed earlier than that."""
    provider: tuple[Words, ...] = Chosen
    """The payment provider of the latest attempt."""
    method: tuple[Words, ...] = Chosen
    """How the customer pays: `card`, `bank_transfer`, …"""
    source: tuple[Words, ...] = Chosen
    """Where the customer came from, in the storefront's words."""
    tag: tuple[Words, ...] = Chosen
    """One of the storefront's words for the checkout."""
    discount: tuple[Words, ...] = Chosen
    """A discount's code."""
    item: tuple[Words, ...] = Chosen
    """The SKU of one of its lines."""
    country: tuple[Country, ...] = Chosen
    """The customer's country: its ISO 3166-1 alpha-2 code."""
    currency: tuple[Currency, ...] = Chosen
    """ISO 4217."""
    offer: tuple[Words, ...] = Chosen
    """The offer that the checkout page named."""
    asked: tuple[Literal["cancel", "refund"], ...] = Chosen
    """What the customer asks for, and staff have not answered."""
    delivery: tuple[Literal["failed", "waiting"], ...] = Chosen
    """An action of its delivery has failed, or waits for staff."""
    stage: tuple[Literal["refused", "paid", "cancelled"], ...] = Chosen
    """The stage of its delivery."""
    kind: tuple[Words, ...] = Chosen
    """The kind of one of its deliveries' actions."""
    held: bool | None = None
    """Held for verification."""
    owed: bool | None = None
    """The customer is to get money and has not got it."""
    unresolved: bool | None = None
    """The outcome of a charge or refund is unknown."""
    given: bool | None = None
    """Staff gave it for nothing."""
    to_start: bool | None = None
    """Nothing is delivered until staff start it."""
    lost_emails: bool | None = None
    """An email of it was lost."""
    lost_webhooks: bool | None = None
    """A webhook delivery of it was lost."""
    customer: Words = ""
    """An order's id: those of its customer, who has the same email address in its store."""
    q: Words = ""
    """A whole number, email address or transaction's id; otherwise pieces of these, or of the customer's name, of three
    or more characters. Of shorter texts, what begins with it."""


class OrderListQuery(OrderChoice):
    sort: Annotated[str, Field(json_schema_extra={"enum": list(SORT_NAMES)})] = "date"
    """`date`: when it was placed; until then, when its checkout was opened. By `payment_status`: in the order of its
    values, the newest first within each."""
    order: Literal["asc", "desc"] = "desc"
    """Ascending or descending."""
    fields: Annotated[tuple[OrderField, ...], BeforeValidator(_split)] = ()
    """Which fields of each order, also separated by commas. Missing: all."""
    limit: Number = Field(default=PAGE, ge=1, le=MOST)
    """At most so many orders."""
    after: str = Field(default="", max_length=MAX_CURSOR)
    """The `next` of the previous page, of the same filters and order."""

    @property
    def cursor_kind(self) -> str:
        return f"orders {self.sort} {self.order}"


@dataclass(frozen=True, slots=True)
class OrderPage:
    """A page of orders."""

    orders: Annotated[list[Json], Holds(list[ListedOrder])]
    """With the fields that were asked for."""
    next: str | None
    """The `after` of the next page; null on the last one."""


LIST = Declaration(
    "Orders, filtered, searched and sorted",
    (DeclaredResponse(OrderPage), NOT_MODIFIED),
    query=OrderListQuery,
    headers=(IF_NONE_MATCH,),
)


def filter_of(query: OrderChoice) -> OrderFilter:
    chosen = {name: getattr(query, name) for name in FACETS}
    return OrderFilter.of(chosen, {name: getattr(query, name) for name in FLAGS}, query.placed_from, query.placed_to)


def problems_of_choice(query: OrderChoice) -> Iterable[Problem]:
    if query.customer and query.q.strip():
        yield Problem(field="q", code="invalid_value", text="cannot be combined with customer")
    if query.placed_from and query.placed_to and query.placed_from >= query.placed_to:
        yield Problem(field="placed_to", code="invalid_value", text="must be later than placed_from")


def problems_of_list(query: OrderListQuery) -> Iterable[Problem]:
    yield from problems_of_choice(query)
    if query.sort not in SORT_NAMES:
        yield Problem(field="sort", code="not_one_of", text=f"must be one of {', '.join(SORT_NAMES)}")
    elif query.after:
        try:
            read_cursor(query.cursor_kind, query.after, shape_of(query.sort))
        except WrongCursor as wrong:
            yield Problem(field="after", code="invalid_value", text=str(wrong))


async def own_stores(connection: AsyncConnection, request: web.Request) -> tuple[Sequence[str], bool]:
    """Those that have orders, of those that the request is about; whether there are no others."""
    known, wanted = set(await known_stores(connection)), stores_of(request)
    stores = sorted(known if wanted is None else known & wanted)
    return stores, len(stores) == len(known)


async def query_of(
    connection: AsyncConnection,
    request: web.Request,
    query: OrderChoice,
    sort: str = "date",
    *,
    descending: bool = True,
) -> OrderQuery:
    """What is asked for, of the caller's stores."""
    stores, all_of_them = await own_stores(connection, request)
    return await query_within(connection, stores, query, sort, all_of_them=all_of_them, descending=descending)


async def query_within(
    connection: AsyncConnection,
    stores: Sequence[str],
    query: OrderChoice,
    sort: str = "date",
    *,
    all_of_them: bool,
    descending: bool = True,
) -> OrderQuery:
    """What is asked for, of these stores."""
    if query.customer:
        store, email = await place_of(connection, query.customer, stores) or ("", "")
        search: Search | None = Search.of_customer(email)
        return OrderQuery([store] if store else [], False, filter_of(query), search, sort, descending)
    text = search_text(query.q, folded(query.q))
    search = await search_of(connection, stores, text) if query.q.strip() else None
    return OrderQuery(stores, all_of_them, filter_of(query), search, sort, descending)


def _list(engine: AsyncEngine) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        given = strict_query_in(request, OrderListQuery, problems_of_list)
        after = read_cursor(given.cursor_kind, given.after, shape_of(given.sort)) if given.after else None
        async with engine.connect() as connection:
            query = await query_of(connection, request, given, given.sort, descending=given.order == "desc")
            places = await page_of(connection, query, after, given.limit + 1)
            shown = places[: given.limit]
            keys = [str(place[-1]) for place in shown]
            rows = await listed_orders(connection, keys, given.fields or FIELDS)
        more = write_cursor(given.cursor_kind, shown[-1]) if len(places) > len(shown) else None
        return kept_response(request, OrderPage(rows, more))

    return handle
