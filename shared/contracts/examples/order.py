"""The order that all examples are about, bought in a bookshop: two copies of an atlas, which are not taxed, a download,
and the charge for the parcel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.contracts.pay_page import PayLine, PayPage
from shared.contracts.values import Address, Card, Customer, Discount, Instructions, OrderItem, StoreCard, TaxLine
from shared.core import Attempt

ORDER = "01980c5e-7a10-7c3e-9f41-5b2f0a6d1e77"
NUMBER = "ORD-7KQ2M9XW4T"
STORE = "northwind"
OPENED = datetime(2026, 3, 3, 14, 5, tzinfo=UTC)
PLACED = OPENED + timedelta(minutes=3)
PAID = PLACED + timedelta(seconds=2)
GRACE_ENDS = PLACED + timedelta(days=7)
COMMAND = "01980c61-22d4-7b10-8c55-0e4b7d9a3f21"
REFUND = "01980c7a-90b1-7d02-a1c4-6f0e2b8d5a19"
MAIL = "<01980c61-3f00-7a42-b0de-1c9a7e5f4d30@northwind.example>"
WEBHOOK = "msg_01980c61400073b2a2b01f9c8d7e6a51"
ORDER_URL = "https://northwind.example/orders/{order}"
PAY_URL = f"https://northwind.example/orders/{ORDER}"
BANK_URL = "https://hooks.stripe.com/redirect/authenticate/src_1QzX"

CUSTOMER = Customer(name="Ada Lovelace", email="ada@example.com", id="c-1815", signed_in=True, phone="+44 20 7946 0000")
ADDRESS = Address(
    name="Ada Lovelace", line1="12 St James's Square", city="London", country="GB", postal_code="SW1Y 4LB"
)
CARD = Card(brand="visa", last4="4242", exp_month=12, exp_year=2031)
DISCOUNT = Discount(code="SPRING", amount=500)
TAX = TaxLine(rate="20", country="GB", amount=480)
STORE_CARD = StoreCard(
    id=STORE,
    name="Northwind Books",
    sender="orders@northwind.example",
    staff_email="staff@northwind.example",
    support_email="help@northwind.example",
    order_url=ORDER_URL,
)
ATLAS = {
    "item": "1",
    "sku": "atlas",
    "product": "Field Atlas",
    "quantity": 2,
    "unit_price": 1500,
    "line_total": 3000,
    "purchased": 2694,
    "discount": 306,
    "tax": 0,
    "tax_rate": "0",
    "tax_country": "GB",
    "shippable": True,
    "thumbnail": "https://northwind.example/atlas.jpg",
}
MAPS = {
    "item": "2",
    "sku": "maps",
    "product": "Printable maps",
    "quantity": 1,
    "unit_price": 1900,
    "line_total": 1900,
    "purchased": 2086,
    "discount": 194,
    "tax": 380,
    "tax_rate": "20",
    "tax_country": "GB",
    "kind": "order_bump",
    "custom_fields": {"dedication": "For Charles"},
}
TRACKED = {
    "item": "3",
    "sku": "tracked-48",
    "product": "Royal Mail Tracked 48",
    "quantity": 1,
    "unit_price": 500,
    "line_total": 500,
    "purchased": 600,
    "discount": 0,
    "tax": 100,
    "tax_rate": "20",
    "tax_country": "GB",
    "kind": "delivery",
}
ITEMS = tuple(OrderItem.model_validate(line) for line in (ATLAS, MAPS, TRACKED))
PAY_PAGE = PayPage(
    number=NUMBER,
    store=STORE_CARD.name,
    support=STORE_CARD.support_email,
    order_url=PAY_URL,
    lines=tuple(PayLine(product=one.product, quantity=one.quantity, amount=one.line_total) for one in ITEMS),
    subtotal=5400,
    discount=500,
    tax=480,
    amount=5380,
    until=GRACE_ENDS,
    attempts=3,
    tries_left=2,
    providers=("stripe",),
    retry_after=PLACED + timedelta(minutes=7),
    locale="en-GB",
    time_zone="Europe/London",
)
LINK = Instructions(
    kind="download",
    link="https://downloads.northwind.example/d/eyJvIjoi",
    expires=PAID + timedelta(days=7),
    note="Print at 100 %.",
)
PARCEL = Instructions(kind="shipment", carrier="Royal Mail", tracking="RM123456785GB")
FAILED_ATTEMPT = Attempt(at=PAID + timedelta(seconds=5), error="HTTP 500 from https://courses.example/grants")
