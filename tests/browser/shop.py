"""Orders whose pay pages are served: checkout's and payments' own cores, with what lies between them and the provider
played here. The rest (Kafka, PostgreSQL, Stripe's sandbox) is in `tests/e2e/test_pay_page.py`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import aiohttp
from aiohttp import web

from services.checkout.domain.store import Store
from services.payments.domain.declines import DeclineReason
from services.payments.domain.operations import (
    CancelCharge,
    ChargeCard,
    ChargeReported,
    ChargeResult,
    ChargeStatus,
    RefundCharge,
)
from services.payments.domain.payment import Payment
from services.payments.domain.verification import (
    ForgetCard,
    ReleaseVerification,
    VerificationReported,
    VerificationResult,
    VerifyCard,
)
from services.payments.gateways.pay_form import PayForm
from services.payments.pay_page import PayPages, add_pay_page
from shared.contracts.fulfillment import StockReserved
from shared.contracts.pay_page import RetryPayment
from shared.contracts.payments import EVENTS
from shared.contracts.storefront import PaymentChoice
from shared.core import Command, Ref, Refused, Report
from shared.core.fast_dataclasses import replace
from shared.core.scenario import START
from shared.pay_links import PayLinks
from shared.shell.http.access import add_public
from shared.shell.http.declaration import Declaration
from shared.shell.http.principals import Principals
from shared.shell.http.web import protection
from shared.shell.ports.http_api import Accepted
from tests.unit.checkout.examples import OPENED, OrderScenario, submission
from tests.unit.checkout.examples import store as configured
from tests.unit.payments.examples import PaymentScenario

NO_FUNDS = "pm_card_visa_chargeDeclinedInsufficientFunds"
KEYS = ("a-key-of-these-tests-of-32-characters",)
PAYS = {"pm_card_visa", "pm_card_mastercard", "pm_stubvisa01"}
REQUESTS: dict[str, Any] = {"approval": "staff", "capture": "approval", "verification": "amount"}
CONFIRMS = {"pm_card_threeDSecure2Required", "pm_stubbank01"}
DECLINES = {
    "pm_card_visa_chargeDeclined": "card_declined",
    NO_FUNDS: "insufficient_funds",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
    "pm_stubdeclined01": "card_declined",
}


class PayShop:
    """One order, and its payment. `holds`: the provider does not answer."""

    def __init__(self, key: str, order: OrderScenario, bank_url: str) -> None:
        self.order, self.bank_url, self.holds = order, bank_url, False
        self.payment = PaymentScenario()
        self.order.key = self.payment.key = key
        self.charges: list[ChargeCard] = []
        self.verifications: list[VerifyCard] = []
        self._told = self._read = 0

    @property
    def at(self) -> datetime:
        return max(self.order.at, self.payment.at)

    def hear(self, *messages: object) -> None:
        """About the order."""
        for message in messages:
            self.order.hear(message)
            self.pump()

    def retry(self, message: object) -> Refused | None:
        """What the page sends."""
        refused = self.payment.offer(message)
        self.pump()
        return refused

    def again(self, card: str = "pm_card_visa") -> None:
        """The customer pays again, on the page."""
        attempt, back = self.order.state.attempts, "https://pay.example/pay/x"
        command = RetryPayment(attempt=attempt, provider="stripe", payment_method=card, return_url=back)
        assert self.retry(command) is None

    def give(self, card: str = "pm_card_visa") -> None:
        """The customer gives another card to verify, on the page."""
        number, back = self.order.state.verifications, "https://pay.example/pay/x"
        command = RetryPayment(attempt=0, provider="stripe", payment_method=card, return_url=back, verification=number)
        assert self.retry(command) is None

    def pass_time(self, duration: timedelta) -> None:
        self.order.let_time_pass(duration)
        self.payment.let_time_pass(duration)
        self.pump()

    def pump(self) -> None:
        """Until there is nothing more to tell."""
        while self._deliver() or self._provider_answers():
            pass
        self.order.at = self.payment.at = self.at

    def confirm(self, attempt: int, *, passed: bool) -> None:
        charge = next(one for one in self.charges if one.attempt == attempt)
        fields: dict[str, Any] = {"requested": charge.amount, "currency": charge.currency, "store": charge.store}
        if not passed:
            fields |= {"code": "authentication", "text": "No.", "reason": DeclineReason.NOT_CONFIRMED}
        status: ChargeStatus = "succeeded" if passed else "failed"
        amount = charge.amount if passed else 0
        result = ChargeResult(f"pi_{attempt}", status, amount, key=charge.key, **fields)
        self.payment.hear(ChargeReported(attempt, result))
        self.pump()

    def confirm_card(self, verification: int, *, passed: bool) -> None:
        if passed:
            result = self._verified(verification)
        else:
            reason = DeclineReason.NOT_CONFIRMED
            result = VerificationResult(f"pi_v{verification}", "failed", code="authentication", reason=reason)
        self.payment.hear(VerificationReported(verification, result))
        self.pump()

    @property
    def captures(self) -> list[int]:
        """The amounts that were taken."""
        return [one.captured for one in self.payment.state.attempts if one.captured]

    def _deliver(self) -> bool:
        handled = self.payment.core.handlers
        told = [event for event in self.order.all.published[self._told :] if type(event) in handled]
        self._told = len(self.order.all.published)
        for event in told:
            self.payment.hear(event)
        facts = [event for event in self.payment.all.published[self._read :] if event.topic is EVENTS]
        self._read = len(self.payment.all.published)
        for fact in facts:
            if type(fact) in self.order.core.handlers:
                self.order.hear(fact)
        return bool(told or facts)

    def _provider_answers(self) -> bool:
        """One call."""
        _, operation = next(iter(self.payment.open), (None, None))
        if self.holds or operation is None:
            return False
        match operation:
            case ChargeCard():
                self._charge(operation)
            case VerifyCard():
                self._verify(operation)
            case ReleaseVerification():
                released = VerificationResult(operation.reference, "cancelled")
                self.payment.answer(operation, ReleaseVerification.Done(released))
            case ForgetCard():
                self.payment.answer(operation, ForgetCard.Done())
            case CancelCharge():
                self.payment.cancel_charge()
            case RefundCharge():
                self.payment.make_refund(operation)
            case _:
                return False
        return True

    def _verified(self, number: int) -> VerificationResult:
        made = next(one for one in self.verifications if one.verification == number)
        return VerificationResult(
            f"pi_v{number}", "verified", made.amount, customer="cus_1", payment_method=made.payment_method
        )

    def _verify(self, verify: VerifyCard) -> None:
        self.verifications.append(verify)
        if verify.payment_method in CONFIRMS:
            url = f"{self.bank_url}/{self.order.key}/card-{verify.verification}"
            result = VerificationResult(f"pi_v{verify.verification}", "requires_action", url=url)
            self.payment.answer(verify, VerifyCard.Done(result))
        elif verify.payment_method in PAYS:
            self.payment.answer(verify, VerifyCard.Done(self._verified(verify.verification)))
        else:
            reason = DeclineReason(DECLINES[verify.payment_method])
            self.payment.answer(verify, VerifyCard.Failed("declined", "The provider's words.", reason=reason))

    def _charge(self, charge: ChargeCard) -> None:
        self.charges.append(charge)
        if charge.payment_method in CONFIRMS:
            url = f"{self.bank_url}/{self.order.key}/{charge.attempt}"
            self.payment.answer_charge("requires_action", url=url)
        elif charge.payment_method in PAYS:
            self.payment.pay()
        else:
            reason = DeclineReason(DECLINES[charge.payment_method])
            self.payment.answer(charge, ChargeCard.Failed("declined", "The provider's words.", reason=reason))


class PayServer:
    """Serves the pages of its orders, the bank's page, and the provider's stub script."""

    def __init__(self, form: PayForm | None, script: str = "") -> None:
        self.url, self.form, self.script = "", form, script
        self.orders: dict[str, PayShop] = {}
        self.submitted: dict[UUID | str, Accepted | Refused] = {}
        self.late = timedelta(0)
        """How much later it is than the latest order knows."""

    @property
    def links(self) -> PayLinks:
        return PayLinks(self.url, KEYS)

    def open(self, card: str = NO_FUNDS, *skus: str, store: Mapping[str, Any] | None = None, **fields: Any) -> PayShop:
        """An order that was submitted with this card."""
        key, self.late = f"o-{len(self.orders) + 1}", timedelta(0)
        order = OrderScenario()
        if store:
            rules = {name: value for name, value in store.items() if name in REQUESTS}
            order.hear(configured(**{name: value for name, value in store.items() if name not in rules}), "northwind")
            shop_row = Ref(Store, "northwind")
            order.rows[shop_row] = replace(order.rows[shop_row], **rules)
        order.key = key
        fields = {"payment": PaymentChoice(payment_method=card)} | fields
        shop = PayShop(key, order.given(OPENED, submission(*skus, **fields)), f"{self.url}/bank")
        self.orders[key] = shop
        shop.hear(StockReserved())
        return shop

    def request(self, card: str = NO_FUNDS, store: Mapping[str, Any] | None = None, **fields: Any) -> PayShop:
        """An order that waits for approval, of a store that verifies the card."""
        return self.open(card, store=REQUESTS | dict(store or {}), **fields)

    def link(self, shop: PayShop) -> str:
        return self.links.url(shop.order.key, shop.at + timedelta(days=7))

    def now(self) -> datetime:
        """Of the order that was opened last."""
        return (next(reversed(self.orders.values())).at if self.orders else START) + self.late

    def application(self) -> web.Application:
        """`links` are made of the URL, which is known once it listens."""
        application = web.Application(middlewares=[protection(Principals.of_token("a-token-of-these-tests"))])
        forms = [self.form] if self.form else []
        add_pay_page(application, PayPages(_Api(self), _Links(self), forms, self.read, self.now))
        for method, path, handler in (
            ("GET", "/bank/{order}/{attempt}", self.bank),
            ("POST", "/bank/{order}/{attempt}", self.bank_answers),
            ("GET", "/stub.js", self.stub),
        ):
            add_public(application, method, path, handler, Declaration("Of the tests"))
        return application

    async def read(self, order: str) -> Payment | None:
        shop = self.orders.get(order)
        return shop.payment.state if shop else None

    async def bank(self, request: web.Request) -> web.StreamResponse:
        text = """<!doctype html><html lang="en"><title>Bank</title><h1>Your bank</h1><form method="post">
            <button name="passed" value="yes">Confirm</button><button name="passed" value="">Refuse</button></form>"""
        return web.Response(text=text, content_type="text/html")

    async def bank_answers(self, request: web.Request) -> web.StreamResponse:
        shop, what = self.orders[request.match_info["order"]], request.match_info["attempt"]
        passed, number = "yes" in (await request.read()).decode(), int(what.removeprefix("card-"))
        if what.startswith("card-"):
            shop.confirm_card(number, passed=passed)
            back = next(one for one in shop.verifications if one.verification == number).return_url
        else:
            shop.confirm(number, passed=passed)
            back = next(one for one in shop.charges if one.attempt == number).return_url
        query = "payment_intent=pi_1&payment_intent_client_secret=pi_1_secret_2&redirect_status=succeeded"
        return web.Response(status=303, headers={"Location": f"{back}?{query}"})

    async def stub(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self.script, content_type="text/javascript")


class _Api:
    """What the page may use of the running shell."""

    engine: Any = None

    def __init__(self, server: PayServer) -> None:
        self._server = server

    async def submit(
        self, message: Command | Report, key: str, *, identity: UUID | str, **_: Any
    ) -> Accepted | Refused:
        submitted = self._server.submitted
        if identity not in submitted:
            refused = self._server.orders[key].retry(message)
            submitted[identity] = refused or Accepted(str(identity))
        return submitted[identity]


class _Links(PayLinks):
    """Those of the server, once it has a URL."""

    def __init__(self, server: PayServer) -> None:
        super().__init__("", KEYS)
        self._server = server

    def url_of(self, token: str) -> str:
        return f"{self._server.url}/pay/{token}"


async def sent_at_once(link: str, tabs: int) -> list[int]:
    """The statuses of two forms with a good card, of one opened page or of two, that are sent at the same time."""
    async with aiohttp.ClientSession() as http:

        async def form() -> dict[str, str]:
            async with http.get(link) as response:
                hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', await response.text())
            return {**dict(hidden), "payment_method": "pm_card_visa"}

        async def send(fields: dict[str, str]) -> int:
            async with http.post(link, data=fields, allow_redirects=False) as response:
                return response.status

        forms = [await form()] * 2 if tabs == 1 else [await form(), await form()]
        return await asyncio.gather(*map(send, forms))
