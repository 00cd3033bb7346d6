"""One realistic example of every message: for the documents, the golden files and the tests.

They tell of one order: two copies of an atlas and a download, bought in a bookshop.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.contracts import checkout, fulfillment, notifications, payments, storefront
from shared.contracts.values import (
    Address,
    Card,
    Customer,
    DeliveryStatus,
    Discount,
    FulfilmentStatus,
    Instructions,
    OrderItem,
    OrderStatus,
    PaymentStatus,
    StoreCard,
    TaxLine,
)
from shared.core import Attempt, Message, Problem

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

_CUSTOMER = Customer(
    name="Ada Lovelace", email="ada@example.com", id="c-1815", signed_in=True, phone="+44 20 7946 0000"
)
_ADDRESS = Address(
    name="Ada Lovelace", line1="12 St James's Square", city="London", country="GB", postal_code="SW1Y 4LB"
)
_CARD = Card(brand="visa", last4="4242", exp_month=12, exp_year=2031)
_DISCOUNT = Discount(code="SPRING", amount=500)
_TAX = TaxLine(rate="20", country="GB", amount=980)
_STORE = StoreCard(
    id=STORE,
    name="Northwind Books",
    sender="orders@northwind.example",
    staff_email="staff@northwind.example",
    support_email="help@northwind.example",
    order_url=ORDER_URL,
)
_ATLAS = {
    "item": "1",
    "sku": "atlas",
    "product": "Field Atlas",
    "quantity": 2,
    "unit_price": 1500,
    "line_total": 3000,
    "purchased": 3294,
    "shippable": True,
    "thumbnail": "https://northwind.example/atlas.jpg",
}
_MAPS = {
    "item": "2",
    "sku": "maps",
    "product": "Printable maps",
    "quantity": 1,
    "unit_price": 1900,
    "line_total": 1900,
    "purchased": 2086,
    "kind": "order_bump",
    "custom_fields": {"dedication": "For Charles"},
}
_ITEMS = (OrderItem.model_validate(_ATLAS), OrderItem.model_validate(_MAPS))
_LINK = Instructions(
    kind="download",
    link="https://downloads.northwind.example/d/eyJvIjoi",
    expires=PAID + timedelta(days=7),
    note="Print at 100 %.",
)
_PARCEL = Instructions(kind="shipment", carrier="Royal Mail", tracking="RM123456785GB")
_REFUSED_BECAUSE = Problem(field="shipping", code="missing", text="An address is needed: an item is shippable.")
_TRIED = Attempt(at=PAID + timedelta(seconds=5), error="HTTP 500 from https://courses.example/grants")

_STOREFRONT: tuple[Message, ...] = (
    storefront.CheckoutOpened(
        store=STORE,
        currency="GBP",
        country="GB",
        locale="en-GB",
        email="ada@example.com",
        origin=storefront.Source(
            link="https://northwind.example/c/spring", source="newsletter", tags=("spring",), client_ip="203.0.113.7"
        ),
    ),
    storefront.CheckoutSubmitted(
        store=STORE,
        customer=_CUSTOMER,
        items=(
            storefront.SubmittedItem(sku="atlas", quantity=2, unit_price=1500),
            storefront.SubmittedItem(
                sku="maps",
                quantity=1,
                unit_price=1900,
                kind="order_bump",
                custom_fields={"dedication": "For Charles"},
            ),
        ),
        currency="GBP",
        subtotal=4900,
        tax=980,
        total=5880,
        purchased=5380,
        payment=storefront.PaymentChoice(payment_method="pm_card_visa"),
        discounts=(_DISCOUNT,),
        taxes=(_TAX,),
        billing=_ADDRESS,
        shipping=_ADDRESS,
        country="GB",
        locale="en-GB",
        offer="spring-bundle",
        terms_accepted_at=PLACED,
    ),
    storefront.CheckoutPaymentRetried(payment=storefront.PaymentChoice(token="tok_visa")),  # noqa: S106  # Stripe's test token
    storefront.CheckoutAbandoned(reason="changed my mind"),
)

_CHECKOUT: tuple[Message, ...] = (
    checkout.ConfigureStore(
        name="Northwind Books",
        sender="orders@northwind.example",
        staff_email="staff@northwind.example",
        support_email="help@northwind.example",
        order_url=ORDER_URL,
        currencies=("GBP", "JPY", "KWD"),
        grace=timedelta(days=7),
        abandon_after=timedelta(hours=12),
        require_sign_in=True,
        statement_descriptor="NORTHWIND",
    ),
    checkout.DefineSku(
        product="Field Atlas",
        prices={"GBP": 1500, "JPY": 2900, "KWD": 5750},
        shippable=True,
        thumbnail="https://northwind.example/atlas.jpg",
    ),
    checkout.CancelOrder(reason="ordered twice"),
    checkout.CompleteOrder(note="handed over in the shop"),
    checkout.OrderCreated(number=NUMBER, store=STORE, currency="GBP"),
    checkout.OrderPlaced(
        number=NUMBER,
        store=_STORE,
        customer=_CUSTOMER,
        items=_ITEMS,
        currency="GBP",
        subtotal=4900,
        discount=500,
        tax=980,
        total=5880,
        purchased=5380,
        discounts=(_DISCOUNT,),
        taxes=(_TAX,),
        billing=_ADDRESS,
        shipping=_ADDRESS,
        country="GB",
        locale="en-GB",
    ),
    checkout.CheckoutRefused(
        command="checkout.submitted",
        command_id=COMMAND,
        code="invalid",
        text="The checkout is not right: 1 problem.",
        problems=(_REFUSED_BECAUSE,),
    ),
    checkout.OrderPaymentRequested(
        attempt=1,
        number=NUMBER,
        store=STORE,
        amount=5380,
        currency="GBP",
        items=_ITEMS,
        customer_email="ada@example.com",
        return_url=PAY_URL,
        payment_method="pm_card_visa",
        statement_descriptor="NORTHWIND",
        requested_at=PLACED,
        until=GRACE_ENDS,
    ),
    checkout.OrderPaymentActionRequired(url=BANK_URL, until=GRACE_ENDS),
    checkout.OrderPaymentDeclined(
        attempt=1,
        code="insufficient_funds",
        text="Your card has insufficient funds.",
        url=PAY_URL,
        until=GRACE_ENDS,
    ),
    checkout.OrderPaid(amount=5380, currency="GBP", card=_CARD),
    checkout.OrderItemsDelivered(
        items=(
            checkout.DeliveredItem(item="2", product="Printable maps", quantity=1, instructions=_LINK),
            checkout.DeliveredItem(item="1", product="Field Atlas", quantity=2, instructions=_PARCEL),
        )
    ),
    checkout.OrderDeliveryFailed(
        item="2",
        product="Printable maps",
        code="forbidden",
        text="The course platform answered 403: check the credentials of the action.",
    ),
    checkout.OrderDeliveryResumed(item="2"),
    checkout.OrderCompleted(by_hand=True),
    checkout.OrderCancelled(reason="", code="sold_out", sold_out=("atlas",)),
    checkout.OrderExpired(was=OrderStatus.PENDING_PAYMENT),
    checkout.OrderFailed(reason="Printable maps could not be delivered."),
    checkout.OrderRefunded(
        refund=REFUND,
        amount=2086,
        currency="GBP",
        refunded=2086,
        whole=False,
        items=("2",),
        reason="requested_by_customer",
    ),
    checkout.OrderRefundFailed(
        refund=REFUND,
        amount=2086,
        currency="GBP",
        refunded=0,
        code="expired_or_canceled_card",
        text="The bank sent the refund back: the card was closed.",
    ),
    checkout.OrderStatusRecord(
        number=NUMBER,
        store=STORE,
        status=OrderStatus.PROCESSING,
        payment_status=PaymentStatus.PARTIALLY_REFUNDED,
        fulfilment_status=FulfilmentStatus.PARTIALLY_FULFILLED,
        revision=9,
        currency="GBP",
        created_at=OPENED,
        updated_at=PAID + timedelta(hours=1),
        customer=_CUSTOMER,
        subtotal=4900,
        discount=500,
        tax=980,
        total=5880,
        purchased=5380,
        refunded=2086,
        items=(
            checkout.StatusItem.model_validate(_ATLAS | {"delivery": DeliveryStatus.WAITING}),
            checkout.StatusItem.model_validate(_MAPS | {"delivery": DeliveryStatus.REVOKED, "refunded": 2086}),
        ),
        message="Waits for a parcel.",
        placed_at=PLACED,
        paid_at=PAID,
        country="GB",
        source="newsletter",
        tags=("spring",),
    ),
)

_PAYMENTS: tuple[Message, ...] = (
    payments.RefundPayment(
        items=(payments.RefundLine(item="1", amount=1500), payments.RefundLine(item="2")),
        reason="not_as_described",
        note="one atlas arrived torn",
    ),
    payments.SettlePayment(
        attempt=1,
        outcome="captured",
        reference="pi_3QzX9L2eZvKYlo2C1b7Qw8Rt",
        amount=5380,
        reason="Found in Stripe's dashboard by the order's number.",
    ),
    payments.PaymentActionRequired(attempt=1, url=BANK_URL),
    payments.PaymentCaptured(
        attempt=1,
        amount=5380,
        currency="GBP",
        provider="stripe",
        transaction="pi_3QzX9L2eZvKYlo2C1b7Qw8Rt",
        card=_CARD,
        captured_at=PAID,
    ),
    payments.PaymentDeclined(
        attempt=1,
        code="insufficient_funds",
        text="Your card has insufficient funds.",
        card=_CARD,
        reason="insufficient_funds",
        detail="Your card has insufficient funds.",
    ),
    payments.PaymentUnresolved(attempt=1, text="no answer within 30 s"),
    payments.PaymentSettled(
        attempt=1,
        outcome="captured",
        reference="pi_3QzX9L2eZvKYlo2C1b7Qw8Rt",
        reason="Found in Stripe's dashboard by the order's number.",
    ),
    payments.PaymentSettlementContradicted(
        attempt=1, text="Settled as not_charged by staff:anna, but the provider captured 53.80 GBP."
    ),
    payments.PaymentCancelled(attempt=1),
    payments.PaymentRefunded(
        refund=REFUND,
        amount=2086,
        currency="GBP",
        captured=5380,
        refunded=2086,
        items=(payments.RefundedLine(item="2", amount=2086, whole=True),),
        reason="requested_by_customer",
        transaction="re_3QzX9L2eZvKYlo2C1mN4pQ5s",
    ),
    payments.PaymentRefundFailed(
        refund=REFUND, amount=2086, code="expired_or_canceled_card", text="The card is no longer valid."
    ),
    payments.PaymentSurplusRefunded(
        refund=REFUND, attempt=2, amount=5380, currency="GBP", transaction="re_3QzXBr2eZvKYlo2C0aB1cD2e"
    ),
    payments.PaymentsRefused(
        command="payment.refund",
        command_id=COMMAND,
        code="too_much",
        text="At most 32.94 GBP can still be refunded.",
        problems=(Problem(field="amount", code="too_much", text="5380 is more than 3294."),),
    ),
)

_FULFILLMENT: tuple[Message, ...] = (
    fulfillment.ConfigureProduct(
        action=fulfillment.CourseAccess(url="https://courses.example/grants", enter="https://courses.example/enter"),
        track_stock=True,
    ),
    fulfillment.ReceiveStock(quantity=40),
    fulfillment.AddCodes(codes=("NORTH-1A2B", "NORTH-3C4D")),
    fulfillment.ShipOrder(carrier="Royal Mail", tracking="RM123456785GB", items=("1",)),
    fulfillment.DeliveryCodesArrived(pool="gift-cards"),
    fulfillment.RetryDelivery(items=("2",)),
    fulfillment.SettleDelivery(item="2", outcome="delivered", reason="Ada is in the course's list of members."),
    fulfillment.StockReserved(),
    fulfillment.StockRefused(skus=("atlas",)),
    fulfillment.StockReleased(skus={"atlas": 2}),
    fulfillment.ItemDelivered(item="2", instructions=_LINK, under_way=0, attempts=(_TRIED,)),
    fulfillment.ItemWaiting(item="1", code="shipment", text="Waits for a parcel.", under_way=1),
    fulfillment.ItemFailed(
        item="2",
        code="forbidden",
        text="The course platform answered 403: check the credentials of the action.",
        attempts=(_TRIED,),
    ),
    fulfillment.ItemRetried(item="2"),
    fulfillment.ItemRevoked(item="2"),
    fulfillment.ItemRevocationFailed(item="2", code="unreachable", text="The course platform does not answer."),
    fulfillment.ItemSettled(item="2", outcome="delivered", reason="Ada is in the course's list of members."),
    fulfillment.FulfillmentRefused(
        command="order.ship",
        command_id=COMMAND,
        code="nothing_to_ship",
        text="No item of the order waits for a parcel.",
    ),
)

_NOTIFICATIONS: tuple[Message, ...] = (
    notifications.RegisterWebhook(
        endpoint="crm",
        url="https://crm.example/in",
        events=("order.received", "order.refunded"),
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # noqa: S106  # from the Standard Webhooks specification
    ),
    notifications.RemoveWebhook(endpoint="crm"),
    notifications.PauseWebhook(endpoint="crm", reason="answered 410 Gone"),
    notifications.ResumeWebhook(endpoint="crm"),
    notifications.ReplayWebhooks(endpoint="crm"),
    notifications.ReplayLostWebhooks(since=PAID, endpoint="crm"),
    notifications.ResendMails(messages=(MAIL,)),
    notifications.ResendLostMails(since=PAID),
    notifications.SettleMail(message=MAIL, outcome="not_sent", reason="It is not in the mail server's log."),
    notifications.EmailSent(message=MAIL, template="order_confirmation", audience="customer"),
    notifications.EmailFailed(
        message=MAIL, template="shipment", audience="customer", code="550", text="mailbox unavailable"
    ),
    notifications.EmailResent(message=MAIL, template="shipment", audience="customer"),
    notifications.EmailSettled(
        message=MAIL,
        template="shipment",
        audience="customer",
        outcome="not_sent",
        reason="It is not in the mail server's log.",
    ),
    notifications.WebhookDelivered(message=WEBHOOK, endpoint="crm", event="order.received", attempts=1),
    notifications.WebhookExhausted(
        message=WEBHOOK, endpoint="crm", event="order.refunded", attempts=10, text="HTTP 503"
    ),
    notifications.WebhooksReplayed(messages=(WEBHOOK,)),
    notifications.NotificationsRefused(
        command="webhook.remove", command_id=COMMAND, code="unknown_endpoint", text="There is no endpoint crm."
    ),
)

EXAMPLES: dict[type[Message], Message] = {
    type(example): example for example in (*_STOREFRONT, *_CHECKOUT, *_PAYMENTS, *_FULFILLMENT, *_NOTIFICATIONS)
}
"""The example of each message class. A test asks for one of every published message."""
