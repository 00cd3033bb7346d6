"""Examples of the messages in `shared/contracts/storefront.py`."""

from __future__ import annotations

from shared.contracts import storefront
from shared.contracts.examples.order import ADDRESS, CUSTOMER, DISCOUNT, PLACED, STORE, TAX
from shared.contracts.values import BillingField
from shared.core import Message

EXAMPLES: tuple[Message, ...] = (
    storefront.CheckoutOpened(
        store=STORE,
        currency="GBP",
        country="GB",
        locale="en-GB",
        email="ada@example.com",
        origin=storefront.Source(
            link="https://northwind.example/c/spring", source="newsletter", tags=("spring",), client_ip="203.0.113.7"
        ),
        items=(storefront.CartLine(sku="atlas", quantity=2),),
    ),
    storefront.CheckoutSubmitted(
        store=STORE,
        customer=CUSTOMER,
        items=(
            storefront.SubmittedItem(
                sku="atlas", quantity=2, unit_price=1500, discount=306, tax_rate="0", tax_country="GB"
            ),
            storefront.SubmittedItem(
                sku="maps",
                quantity=1,
                unit_price=1900,
                discount=194,
                tax=380,
                tax_rate="20",
                tax_country="GB",
                kind="order_bump",
                custom_fields={"dedication": "For Charles"},
            ),
        ),
        deliveries=(
            storefront.DeliveryCharge(
                name="Royal Mail Tracked 48", amount=500, method="tracked-48", tax=100, tax_rate="20", tax_country="GB"
            ),
        ),
        currency="GBP",
        subtotal=5400,
        tax=480,
        total=5880,
        purchased=5380,
        payment=storefront.PaymentChoice(payment_method="pm_card_visa"),
        discounts=(DISCOUNT,),
        taxes=(TAX,),
        billing=ADDRESS,
        shipping=ADDRESS,
        country="GB",
        locale="en-GB",
        offer="spring-bundle",
        terms_accepted_at=PLACED,
        terms="2026-01",
        company="Analytical Engines Ltd",
        vat_number="GB123456789",
        billing_fields=(BillingField(label="Cost centre", value="7100"),),
        purchaser_role="instructor",
    ),
    storefront.CheckoutPaymentRetried(payment=storefront.PaymentChoice(token="tok_visa")),  # noqa: S106  # Stripe's test token
    storefront.CheckoutAsked(wants="cancel", text="I ordered it twice."),
    storefront.CheckoutAbandoned(reason="changed my mind"),
)
