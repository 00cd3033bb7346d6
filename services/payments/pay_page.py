"""The pay page: `/pay/<signed token>`, where customers pay an order again, and read how it ended."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

import sqlalchemy as sa
from aiohttp import web

from services.payments.domain.pay_page import Situation, situation
from services.payments.domain.payment import Payment
from services.payments.gateways.pay_form import PayForm
from services.payments.pay_page_view import Shown, assets, no_order_page, order_page
from services.payments.storage import payments
from shared.contracts.pay_page import RetryPayment
from shared.pay_links import BadLink, PayClaim, PayLinks
from shared.shell.http.access import add_public
from shared.shell.http.declaration import Declaration, DeclaredResponse, Header, Query
from shared.shell.http.problems import ProblemResponse, not_found
from shared.shell.http.requests import Words, form_in, header_in, query_in
from shared.shell.ports.http_api import HttpApi
from shared.shell.postgres.tables import read_state

PAGE = "text/html"
FORM_BYTES = 10_000
STATUSES: Mapping[Situation, HTTPStatus] = {
    Situation.COOL_DOWN: HTTPStatus.TOO_MANY_REQUESTS,
    Situation.NO_TRY_LEFT: HTTPStatus.GONE,
    Situation.EXPIRED: HTTPStatus.GONE,
    Situation.CANCELLED: HTTPStatus.GONE,
    Situation.DECLINED: HTTPStatus.GONE,
    Situation.CARD_NO_TRY_LEFT: HTTPStatus.GONE,
}
"""Of the others: OK."""
LANGUAGES = Header("Accept-Language", "For a page that is about no order; one of an order is in the order's language.")


class PayQuery(Query):
    returned: Words | None = None
    """The customer comes back from the bank."""
    redirect_status: Words | None = None
    """Of Stripe, when the customer comes back: it is left out of the address."""


def _pages(*statuses: HTTPStatus) -> tuple[DeclaredResponse, ...]:
    return tuple(DeclaredResponse(None, status, PAGE) for status in statuses)


OTHER_PAGES = (
    *_pages(HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.TOO_MANY_REQUESTS),
    DeclaredResponse(None, HTTPStatus.SEE_OTHER, media="", description="The page, under its plain address."),
)
SHOW = Declaration(
    "The pay page of a signed link",
    (DeclaredResponse(None, media=PAGE), *OTHER_PAGES),
    query=PayQuery,
    headers=(LANGUAGES,),
    refused=(HTTPStatus.CONFLICT,),
)
PAY = Declaration(
    "Pay again, or have a card verified: the one that was chosen on the pay page",
    (*_pages(HTTPStatus.UNPROCESSABLE_ENTITY), *OTHER_PAGES),
    headers=(LANGUAGES,),
    refused=(HTTPStatus.CONFLICT,),
    form={
        "key": "Names the submission: the same one twice is one.",
        "attempt": "The latest payment attempt that the page has shown.",
        "verification": "The latest verification of a card that the page has shown, if a card is to be verified.",
        "payment_method": "The provider's id of a payment method. Never a card number.",
    },
)
ASSET = Declaration(
    "The pay page's script or styles", (DeclaredResponse(None, media="*/*"),), refused=(HTTPStatus.NOT_FOUND,)
)
ReadPayment = Callable[[str], Awaitable[Payment | None]]


def add_pay_page(application: web.Application, page: PayPages) -> None:
    add_public(application, "GET", "/pay/{token}", page.show, SHOW)
    add_public(application, "POST", "/pay/{token}", page.pay, PAY)
    add_public(application, "GET", "/pay/assets/{asset}", show_asset, ASSET)


def payment_reader(api: HttpApi) -> ReadPayment:
    statement = sa.select(sa.cast(payments.c.data, sa.Text)).where(payments.c.key == sa.bindparam("key"))

    async def read(order: str) -> Payment | None:
        async with api.engine.connect() as connection:
            data = (await connection.execute(statement, {"key": order})).scalar_one_or_none()
        return None if data is None else read_state(Payment, data)

    return read


class PayPages:
    """`links` None: there is no such page."""

    def __init__(
        self,
        api: HttpApi,
        links: PayLinks | None,
        forms: Sequence[PayForm],
        read: ReadPayment,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._links = links
        self._form = next(iter(forms), None)
        self._read = read
        self._clock = clock

    async def show(self, request: web.Request) -> web.StreamResponse:
        query = query_in(request, PayQuery)
        if query.redirect_status is not None:  # and an id and a secret of the provider's, which no address should have
            return _see_other("?returned=1")
        return await self._page(request, returned=query.returned is not None)

    async def pay(self, request: web.Request) -> web.StreamResponse:
        """In the end the customer sees the page as it is then."""
        given = await form_in(request, FORM_BYTES)
        claim = self._claim(request)
        if claim is None or self._links is None:
            return await self._page(request)
        if self._form is None or not self._form.takes(given["payment_method"]):
            return await self._page(request, wrong=True)
        if not (_is_number(given["attempt"]) and _is_number(given["verification"] or "0")):
            return await self._page(request)
        if not (given["key"].isascii() and given["key"].isprintable() and 16 <= len(given["key"]) <= 64):
            return await self._page(request)
        command = RetryPayment(
            attempt=int(given["attempt"]),
            provider=self._form.provider,
            payment_method=given["payment_method"],
            return_url=self._links.url_of(request.match_info["token"]),
            verification=int(given["verification"]) if given["verification"] else None,
        )
        try:
            await self._api.submit(
                command, claim.order, identity=f"pay\x00{claim.order}\x00{given['key']}", actor="customer"
            )
        except ProblemResponse as problem:
            if problem.status is not HTTPStatus.UNPROCESSABLE_ENTITY:  # the same form again, with another card
                raise
        return _see_other(request.match_info["token"])

    def _claim(self, request: web.Request) -> PayClaim | None:
        try:
            claim = self._links.read(request.match_info["token"]) if self._links else None
        except BadLink:
            return None
        return claim if claim and claim.expires > self._clock() else None

    async def _page(self, request: web.Request, *, returned: bool = False, wrong: bool = False) -> web.Response:
        shown = Shown(secrets.token_urlsafe(16), self._form, secrets.token_urlsafe(18), returned=returned, wrong=wrong)
        try:
            claim = self._links.read(request.match_info["token"]) if self._links else None
        except BadLink:
            claim = None
        expired = claim is not None and claim.expires <= self._clock()
        payment = await self._read(claim.order) if claim and not expired else None
        if payment is None or payment.page is None:
            page = no_order_page(header_in(request, LANGUAGES), shown, expired=expired)
            return _html(page, HTTPStatus.GONE if expired else HTTPStatus.NOT_FOUND, shown)
        told, at = payment.page.told, self._clock()
        now = situation(payment, at)
        status = STATUSES.get(now, HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK)
        response = _html(order_page(payment, told, at, shown), status, shown)
        if now is Situation.COOL_DOWN and told.retry_after:
            response.headers["Retry-After"] = str(max(1, int((told.retry_after - at).total_seconds()) + 1))
        return response


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6


async def show_asset(request: web.Request) -> web.StreamResponse:
    asset = next((one for one in assets().values() if one.name == request.match_info["asset"]), None)
    if asset is None:
        raise not_found("file")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=asset.content, content_type=asset.media, charset="utf-8", headers=headers)


def _see_other(location: str) -> web.Response:
    """The same page by GET, under an address that is relative: a proxy may have put a path before ours. It has nothing
    that was not made here: what someone wrote in place of a token can be the address of another site."""
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": location, **UNCACHED})


UNCACHED = {
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


def _html(page: str, status: HTTPStatus, shown: Shown) -> web.Response:
    headers = {**UNCACHED, "Content-Security-Policy": policy(shown), "Cross-Origin-Opener-Policy": "same-origin"}
    return web.Response(text=page, status=status, content_type=PAGE, charset="utf-8", headers=headers)


def policy(shown: Shown) -> str:
    """Nothing but our own files, and what the provider's script needs."""
    ours = f"'nonce-{shown.nonce}'"
    directives: dict[str, list[str]] = {
        "default-src": ["'none'"],
        "script-src": [ours],
        "style-src": [ours],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    for directive, more in (shown.form.sources if shown.form else {}).items():
        directives.setdefault(directive, []).extend(more)
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())
