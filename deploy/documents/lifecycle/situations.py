"""The columns: orders in every status, and in the variants of a status that matter, each reached on the real core.

To add one: a function that drives an order there, and its line in `SITUATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from services.checkout.domain import CORES
from services.checkout.domain.order import Order, PaymentOverdue, moved, orders
from shared.contracts.approval import AcceptOrder, DeclineOrder
from shared.contracts.card_verification import (
    PaymentVerificationActionRequired,
    PaymentVerificationDeclined,
    PaymentVerified,
)
from shared.contracts.checkout import CancelOrder, CompleteOrder
from shared.contracts.examples.order import BANK_URL, CARD, LINK, OPENED
from shared.contracts.fulfillment import ItemDelivered, ItemFailed, StockReserved
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentUnresolved,
)
from shared.contracts.store_settings import ChangeStore, StoreSettings
from shared.contracts.storefront import (
    CheckoutAsked,
    CheckoutOpened,
    CheckoutPaymentRetried,
    CheckoutSubmitted,
    PaymentChoice,
    SubmittedItem,
)
from shared.contracts.stores import ConfigureStore, DefineSku
from shared.contracts.values import Customer, OrderStatus, PaymentStatus
from shared.core import Ref, Scenario, Step
from shared.core.fast_dataclasses import replace

ATLAS, MAPS = 1000, 2500
"""What the two items of the order cost: everything of it is 35.00 USD."""
STORE = ConfigureStore(
    name="Northwind Books",
    sender="orders@northwind.example",
    staff_email="staff@northwind.example",
    support_email="help@northwind.example",
    order_url="https://northwind.example/orders/{order}",
    currencies=("USD",),
    payment_providers=("stripe", "manual"),
)
NOT_VERIFIED = PaymentVerificationDeclined(verification=1, code="do_not_honor", text="Your card was declined.")
APPROVAL = {"approval": "staff", "capture": "approval", "verification": "amount"}
REMINDERS = {"payment": {"reminders": (timedelta(days=1), timedelta(days=3))}}
OPENED_CHECKOUT = CheckoutOpened(store="northwind", currency="USD", country="GB")


class Life(Scenario[Order]):
    """One order."""

    def __init__(
        self,
        rows: Mapping[Ref[Any], object] | None = None,
        at: datetime = OPENED,
        check: Callable[[Step], None] | None = None,
    ) -> None:
        super().__init__(orders, *(core for core in CORES if core is not orders), rows=rows, at=at, check=check)

    def become(self, state: Order) -> Life:
        """Where no handler leads to yet."""
        return self.put(Order, self.key, state)


def shop(**settings: Any) -> Life:
    """No order yet, in a store with these settings."""
    life = Life().hear(STORE, "northwind")
    life.hear(ChangeStore(settings=StoreSettings.model_validate(REMINDERS | settings)), "northwind")
    life.hear(DefineSku(product="Field Atlas", prices={"USD": ATLAS}), "northwind/atlas")
    life.hear(DefineSku(product="Printable maps", prices={"USD": MAPS}), "northwind/maps")
    return life.hear(DefineSku(product="Leaflet", prices={"USD": 0}), "northwind/leaflet")


def submitted(*items: tuple[str, int], choice: PaymentChoice | None = None) -> CheckoutSubmitted:
    bought = items or (("atlas", ATLAS), ("maps", MAPS))
    whole = sum(price for _, price in bought)
    return CheckoutSubmitted(
        store="northwind",
        customer=Customer(name="Ada Lovelace", email="ada@example.com"),
        items=tuple(SubmittedItem(sku=sku, quantity=1, unit_price=price) for sku, price in bought),
        currency="USD",
        subtotal=whole,
        tax=0,
        total=whole,
        purchased=whole,
        payment=choice or PaymentChoice(payment_method="pm_card_visa"),
    )


def captured(amount: int, attempt: int = 1) -> PaymentCaptured:
    return PaymentCaptured(
        attempt=attempt,
        amount=amount,
        currency="USD",
        provider="stripe",
        transaction=f"pi_{attempt}",
        card=CARD,
        captured_at=OPENED,
    )


def refunded(amount: int, so_far: int, captured: int = ATLAS + MAPS) -> PaymentRefunded:
    """`so_far`: with this one."""
    return PaymentRefunded(refund=f"r-{so_far}", amount=amount, currency="USD", captured=captured, refunded=so_far)


def declined(attempt: int = 1) -> PaymentDeclined:
    return PaymentDeclined(attempt=attempt, code="do_not_honor", text="Your card was declined.", reason="card_declined")


def delivered(item: str, under_way: int = 0) -> ItemDelivered:
    return ItemDelivered(item=item, instructions=LINK, under_way=under_way)


# Unpaid


def placed(*items: tuple[str, int], choice: PaymentChoice | None = None, **settings: Any) -> Life:
    return shop(**settings).given(OPENED_CHECKOUT, submitted(*items, choice=choice))


def unverified(**more: Any) -> Life:
    """In a store where staff accept orders, and the card is verified before."""
    return placed(orders=APPROVAL, **more).hear(StockReserved())


def received() -> Life:
    return unverified().hear(PaymentVerified(verification=1, card=CARD))


def accepted() -> Life:
    return received().hear(AcceptOrder())


def waits(**settings: Any) -> Life:
    return placed(**settings).hear(StockReserved())


def overdue(life: Life) -> Life:
    """Its time to pay ends."""
    assert life.state.deadline is not None
    life.at = life.state.deadline
    return life.hear(PaymentOverdue())


def declined_three_times() -> Life:
    """The customer must wait before the next try."""
    again = CheckoutPaymentRetried(payment=PaymentChoice(payment_method="pm_card_visa"))
    return waits().given(declined(), again, declined(2), again, declined(3))


def cannot_be_paid() -> Life:
    """No try is left."""
    return waits(payment={"tries": 1, "reminders": (timedelta(days=1),)}).hear(declined())


def by_hand() -> Life:
    return placed(choice=PaymentChoice(provider="manual", method="bank_transfer")).hear(StockReserved())


# Paid


def paid(**settings: Any) -> Life:
    """One of its two items is delivered."""
    life = waits(**settings).hear(captured(ATLAS + MAPS))
    return life if settings.get("fulfilment") else life.hear(delivered("2", under_way=1))


def failed() -> Life:
    return paid().hear(ItemFailed(item="1", code="forbidden", text="The platform answered 403."))


def completed() -> Life:
    return paid().hear(delivered("1"))


def told(life: Life, payment_status: PaymentStatus) -> Life:
    """No handler leads there yet."""
    return life.become(replace(life.state, payment_status=payment_status))


def into(life: Life, *statuses: OrderStatus) -> Life:
    """No handler leads there yet."""
    for status in statuses:
        life.become(moved(life.state, status, life.at))
    return life


S, P = OrderStatus, PaymentStatus


@dataclass(frozen=True, slots=True)
class Situation:
    name: str
    status: OrderStatus | None
    """None: there is no order."""
    reach: Callable[[], Life]
    variant: bool = False
    """Not the status as it is most often."""
    later: bool = False
    """No handler leads there yet."""


def _of(status: OrderStatus | None, reach: Callable[[], Life], *, later: bool = False) -> Situation:
    return Situation(status.value if status else "no order", status, reach, later=later)


def _as(status: OrderStatus, name: str, reach: Callable[[], Life], *, later: bool = False) -> Situation:
    return Situation(name, status, reach, variant=True, later=later)


SITUATIONS: tuple[Situation, ...] = (
    _of(None, shop),
    _of(S.CREATED, lambda: shop().given(OPENED_CHECKOUT)),
    _of(S.RECEIVED, received),
    _of(S.ACCEPTED, accepted),
    _of(S.PENDING_PAYMENT, waits),
    _of(S.PROCESSING, paid),
    _of(S.COMPLETED, completed),
    _of(S.FAILED, failed),
    _of(S.DECLINED, lambda: received().hear(DeclineOrder())),
    _of(S.CANCELLED, lambda: waits().hear(CancelOrder())),
    _of(S.EXPIRED, lambda: overdue(waits().hear(declined()))),
    _of(S.REFUNDED, lambda: completed().hear(refunded(3500, 3500))),
    _of(S.RETURNED, lambda: into(completed(), S.RETURNED), later=True),
    # Variants, of which the page has tables of their own.
    _as(S.CREATED, "where staff accept orders", lambda: shop(orders=APPROVAL).given(OPENED_CHECKOUT)),
    _as(S.RECEIVED, "card being verified", unverified),
    _as(S.RECEIVED, "card not verified", lambda: unverified().hear(NOT_VERIFIED)),
    _as(
        S.RECEIVED,
        "card to be confirmed",
        lambda: unverified().hear(PaymentVerificationActionRequired(verification=1, url=BANK_URL)),
    ),
    _as(S.ACCEPTED, "unresolved", lambda: accepted().hear(PaymentUnresolved(attempt=1, text="No answer."))),
    _as(S.PENDING_PAYMENT, "accepted, then declined", lambda: accepted().hear(declined())),
    _as(S.PENDING_PAYMENT, "stock not reserved", placed),
    _as(S.PENDING_PAYMENT, "free, stock not reserved", lambda: placed(("leaflet", 0))),
    _as(S.PENDING_PAYMENT, "to be confirmed", lambda: waits().hear(PaymentActionRequired(attempt=1, url=BANK_URL))),
    _as(S.PENDING_PAYMENT, "unresolved", lambda: waits().hear(PaymentUnresolved(attempt=1, text="No answer."))),
    _as(S.PENDING_PAYMENT, "declined", lambda: waits().hear(declined())),
    _as(S.PENDING_PAYMENT, "declined three times", declined_three_times),
    _as(S.PENDING_PAYMENT, "by hand", by_hand),
    _as(S.PENDING_PAYMENT, "time is over, asked", lambda: overdue(waits())),
    _as(S.PENDING_PAYMENT, "staff complete it", lambda: waits().hear(CompleteOrder(given=True))),
    _as(S.PENDING_PAYMENT, "underpaid", lambda: waits().hear(captured(3000))),
    _as(S.PENDING_PAYMENT, "overpaid", lambda: waits().hear(captured(4000))),
    _as(S.PROCESSING, "held", lambda: paid(fulfilment={"hold_total_above": {"USD": 1}})),
    _as(S.PROCESSING, "to be started", lambda: paid(fulfilment={"start_by_hand": True})),
    _as(
        S.PROCESSING,
        "to be completed by hand",
        lambda: paid(fulfilment={"complete_by_hand": True}).given(delivered("2", 1), delivered("1")),
    ),
    _as(S.PROCESSING, "customer asks to cancel", lambda: paid().hear(CheckoutAsked(wants="cancel"))),
    _as(S.PROCESSING, "customer asks for a refund", lambda: paid().hear(CheckoutAsked(wants="refund"))),
    _as(S.PROCESSING, "partly refunded", lambda: paid().hear(refunded(500, 500))),
    _as(S.PROCESSING, "payment disputed", lambda: told(paid(), P.DISPUTED), later=True),
    _as(S.PROCESSING, "charged back", lambda: told(paid(), P.CHARGED_BACK), later=True),
    _as(S.COMPLETED, "by staff, items open", lambda: paid().hear(CompleteOrder())),
    _as(S.COMPLETED, "an action failed", lambda: failed().hear(CompleteOrder())),
    _as(S.COMPLETED, "given", lambda: waits().given(declined(), CompleteOrder(given=True))),
    _as(S.COMPLETED, "restored", lambda: completed().given(refunded(500, 500), CompleteOrder(restore_refunded=True))),
    _as(S.COMPLETED, "partly refunded", lambda: completed().hear(refunded(500, 500))),
    _as(S.COMPLETED, "payment disputed", lambda: told(completed(), P.DISPUTED), later=True),
    _as(S.COMPLETED, "charged back", lambda: told(completed(), P.CHARGED_BACK), later=True),
    _as(S.FAILED, "its payment", cannot_be_paid),
    _as(S.FAILED, "its payment, underpaid", lambda: cannot_be_paid().hear(captured(3000))),
    _as(S.FAILED, "partly refunded", lambda: failed().hear(refunded(500, 500))),
    _as(S.CANCELLED, "paid, not refunded yet", lambda: paid().hear(CancelOrder())),
    _as(S.CANCELLED, "captured later", lambda: waits().given(CancelOrder(), captured(3500))),
    _as(S.CANCELLED, "wholly refunded", lambda: paid().given(CancelOrder(), refunded(3500, 3500))),
    _as(S.EXPIRED, "captured later", lambda: overdue(waits().hear(declined())).hear(captured(3500))),
    _as(
        S.REFUNDED,
        "sent back by the bank",
        lambda: completed().given(
            refunded(3500, 3500),
            PaymentRefundFailed(refund="r-3500", amount=3500, code="card_gone", text="No such card.", returned=True),
        ),
    ),
)


@cache
def reached(situation: Situation) -> Life:
    """Reached once: a walk begins from a copy."""
    life = situation.reach()
    status = None if situation.status is None else life.state.status
    assert status is situation.status, f"{situation.name}: the order is {status}"
    return life
