"""What the checkout page told, opened or submitted, is in the order and its status record."""

from __future__ import annotations

from services.checkout.domain.order import SubmissionOverdue
from shared.contracts.storefront import CartLine, CheckoutAbandoned, CheckoutOpened, Source
from shared.contracts.values import Address, BillingField, Discount, OrderStatus, TaxLine
from tests.unit.checkout.examples import HOME, START, OrderScenario, placed_order, submission

OPENED = CheckoutOpened(
    store="northwind",
    currency="USD",
    country="DE",
    email="ada@example.com",
    items=(CartLine(sku="course", quantity=2), CartLine(sku="game", quantity=1, kind="order_bump")),
)
LINK = "https://northwind.example/c/spring"


def test_an_opened_checkout_keeps_what_it_told_until_it_is_submitted() -> None:
    order = OrderScenario(OPENED)
    opened = order.record().opened
    assert opened and opened.email == "ada@example.com" and opened.items == OPENED.items
    assert order.record().country == "DE"
    assert order.hear(submission("course")).record().opened is None


def test_an_abandoned_checkout_keeps_it() -> None:
    for end in (SubmissionOverdue(), CheckoutAbandoned()):
        order = OrderScenario(OPENED).hear(end)
        assert order.record().opened and order.record().placed_at is None


def test_a_page_that_told_nothing() -> None:
    assert OrderScenario(CheckoutOpened(store="northwind", currency="USD")).record().opened is None


def test_everything_submitted_is_in_the_status_record() -> None:
    fields = (BillingField(label="Cost centre", value="7100"), BillingField(label="Dedication", value="For\nCharles"))
    order = placed_order(
        "course",
        tax=190,
        discount=119,
        discounts=(Discount(code="SPRING", amount=119, percent="10"),),
        billing=HOME,
        shipping=HOME,
        company="Analytical Engines Ltd",
        vat_number="GB123456789",
        billing_fields=fields,
        offer="spring",
        locale="en-GB",
        origin=Source(link=LINK, source="newsletter", tags=("spring",), analytics_consent=True, client_ip="192.0.2.7"),
        purchaser_role="instructor",
        terms="2026-01",
        terms_accepted_at=START,
    )
    record = order.record()
    assert record.discounts == (Discount(code="SPRING", amount=119, percent="10"),)
    assert record.taxes == (TaxLine(rate="19", country="DE", amount=190),)
    assert (record.billing, record.shipping, record.offer, record.locale) == (HOME, HOME, "spring", "en-GB")
    assert (record.company, record.vat_number, record.billing_fields) == (
        "Analytical Engines Ltd",
        "GB123456789",
        fields,
    )
    assert record.client_ip == "192.0.2.7"
    assert (record.link, record.source, record.tags, record.analytics_consent) == (
        LINK,
        "newsletter",
        ("spring",),
        True,
    )
    assert (record.purchaser_role, record.terms, record.terms_accepted_at) == ("instructor", "2026-01", START)
    assert (record.deadline, record.placed_at) == (order.state.deadline, order.at)


def test_the_country_is_that_of_the_billing_address() -> None:
    paris = Address(name="Ada", line1="Rue 1", city="Paris", country="FR")
    assert placed_order("course", billing=paris).record().country == "FR"
    assert placed_order("course", billing=paris, country="DE").record().country == "DE"
    assert placed_order("course").record().country == "DE"
    assert placed_order("course").record().status is OrderStatus.PENDING_PAYMENT
