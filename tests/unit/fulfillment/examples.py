"""Example messages, and a shop that sells one product of each kind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.fulfillment.domain import CORES
from services.fulfillment.domain.delivery import Delivery, Item, deliveries
from services.fulfillment.domain.invariants import broken
from services.fulfillment.domain.keys import row_key
from services.fulfillment.domain.operations import POOL_EMPTY, TakeCode
from services.fulfillment.domain.pool import CodePool
from services.fulfillment.domain.stock import Stock
from shared.contracts.checkout import OrderPaid, OrderPlaced, OrderRefunded
from shared.contracts.delivery_work import DeliveryWaitsForStaff
from shared.contracts.fulfillment import (
    Action,
    ConfigureProduct,
    CourseAccess,
    DeliveryStatusRecord,
    Download,
    ReceiveStock,
    RedemptionCode,
    Shipment,
)
from shared.contracts.values import Customer, OrderItem, StoreCard
from shared.core import Event, Scenario, Step

STORE = StoreCard(
    id="acme",
    name="Acme",
    sender="shop@acme.example",
    staff_email="staff@acme.example",
    support_email="help@acme.example",
    order_url="https://acme.example/orders/{order}",
)
CUSTOMER = Customer(name="Ada", email="ada@example.org", id="c-1")
PAID = OrderPaid(amount=0, currency="USD")
COURSE = CourseAccess(url="https://courses.example/access", enter="https://courses.example/enter")
CORRECTED = COURSE.model_copy(update={"url": "https://courses.example/corrected"})
PRODUCTS: dict[str, Action] = {
    "ebook": Download(file="book.pdf", expires_after=timedelta(days=2)),
    "key": RedemptionCode(pool="keys"),
    "course": COURSE,
    "poster": Shipment(),
}
LINK = "https://shop.example/downloads/t"
EMPTY = TakeCode.Failed(POOL_EMPTY, "Pool keys has too few free codes.")


def line(item: str, sku: str, quantity: int = 1, *, shippable: bool = False) -> OrderItem:
    return OrderItem(
        item=item,
        sku=sku,
        product=sku.title(),
        quantity=quantity,
        unit_price=0,
        line_total=0,
        purchased=0,
        shippable=shippable,
    )


def delivery_charge(item: str, method: str = "poster") -> OrderItem:
    """Its method may be called like a SKU."""
    return line(item, method).model_copy(update={"kind": "delivery"})


def placed(*items: OrderItem) -> OrderPlaced:
    return OrderPlaced(
        number="ORD-ABCDEFGHJK",
        store=STORE,
        customer=CUSTOMER,
        items=items,
        currency="USD",
        subtotal=0,
        discount=0,
        tax=0,
        total=0,
        purchased=0,
    )


def refund(*items: str, whole: bool = False, **choices: Any) -> OrderRefunded:
    return OrderRefunded(refund="re_1", amount=1, currency="USD", refunded=1, whole=whole, items=items, **choices)


class Shop(Scenario[Delivery]):
    """The conversation about one order, `o-1`, unless another key is given."""

    def __init__(self, **stock: int) -> None:
        """`stock`: units of SKUs that are counted."""
        super().__init__(deliveries, *(core for core in CORES if core is not deliveries), check=no_rule_is_broken)
        for sku, action in PRODUCTS.items():
            self.configure(sku, action, stock=stock.get(sku))

    def configure(self, sku: str, action: Action, *, stock: int | None = None) -> None:
        self.hear(ConfigureProduct(action=action, track_stock=stock is not None), row_key("acme", sku))
        if stock:
            self.hear(ReceiveStock(quantity=stock), row_key("acme", sku))

    def item(self, id: str = "1") -> Item:
        return next(item for item in self.state.items if item.id == id)

    def stock(self, sku: str) -> Stock:
        return self.row(Stock, row_key("acme", sku)) or Stock()

    def waiting(self, pool: str = "keys") -> tuple[str, ...]:
        """The orders in a pool's queue."""
        return (self.row(CodePool, row_key("acme", pool)) or CodePool()).waiting

    @property
    def published(self) -> list[Event]:
        """Without status records, and what only tells staff that something waits for them."""
        quiet = DeliveryStatusRecord | DeliveryWaitsForStaff
        return [event for event in super().published if not isinstance(event, quiet)]

    def told(self) -> list[DeliveryStatusRecord]:
        """All status records so far."""
        return self.all.of(DeliveryStatusRecord)

    def in_progress(self) -> list[int]:
        """How much is still in progress, as each fact of the last call says."""
        return [event.under_way for event in self.published if hasattr(event, "under_way")]


def paid(*skus: str) -> Shop:
    """A paid order of these SKUs, numbered from 1."""
    return Shop().given(placed(*(line(str(number), sku) for number, sku in enumerate(skus, 1))), PAID)


def no_rule_is_broken(step: Step) -> None:
    if isinstance(step.decision.state, Delivery):
        assert [*broken(step.decision.state)] == []
