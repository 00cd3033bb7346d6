"""What customer and staff hear of an order that staff approve before it is charged."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

from services.notifications.gateways.templates import EmailTemplates
from shared.contracts.approval import OrderAccepted, OrderApprovalRequested, OrderCardNeeded, OrderDeclined
from tests.unit.notifications.examples import CUSTOMER, STAFF, OrderScenario, placed

UNTIL = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
URL = "https://northwind.example/orders/o-1"
RECEIVED, ACCEPTED = OrderApprovalRequested(amount=2700, currency="EUR"), OrderAccepted(amount=2700, currency="EUR")


def request(*events: object) -> OrderScenario:
    return OrderScenario().given(placed(to_approve=True), *events)


def told(order: OrderScenario) -> list[tuple[str, str]]:
    return [(email.template, email.audience) for email in order.emails]


def text_of(order: OrderScenario) -> str:
    """Of the latest email to the customer."""
    email = [email for email in order.emails if email.audience == "customer"][-1]
    body = message_from_bytes(EmailTemplates().render(email), policy=default).get_body(("plain",))
    assert body
    return " ".join(str(body.get_content()).split())


def test_nothing_is_said_of_a_payment_when_a_request_is_placed() -> None:
    order = request()
    assert (order.emails, order.feed(CUSTOMER)) == ([], [])


def test_a_request_is_told_to_customer_and_staff_once_it_can_be_accepted() -> None:
    order = request(RECEIVED, RECEIVED)
    assert told(order) == [("request_received", "customer"), ("new_request", "staff")]
    assert "You have not been charged" in text_of(order)
    assert [entry.title for entry in order.feed(STAFF)] == ["To accept or decline: order ORD-ABCDEFGH12"]
    assert [entry.title for entry in order.feed(CUSTOMER)] == ["We have your request ORD-ABCDEFGH12"]


def test_a_customer_gives_another_card_or_confirms_it() -> None:
    declined = OrderCardNeeded(verification=1, url=URL, until=UNTIL, text="Your card has expired.")
    order = request(declined)
    assert told(order) == [("card_needed", "customer")]
    assert "could not be verified. Your card has expired." in text_of(order)
    assert URL in text_of(order)
    confirm = OrderCardNeeded(verification=2, url="https://bank.example/3ds", until=UNTIL, confirm=True)
    order.given(confirm)
    assert "Your bank asks you to confirm the card" in text_of(order)
    assert order.feed(CUSTOMER)[-1].link == "https://bank.example/3ds"


def test_an_accepted_request_says_what_is_due() -> None:
    order = request(RECEIVED, ACCEPTED)
    assert told(order)[2:] == [("request_accepted", "customer")]
    assert "The amount of €27.00 is due now." in text_of(order)


def test_a_declined_request_says_that_nothing_was_charged_with_the_stores_note() -> None:
    order = request(RECEIVED, OrderDeclined(note="We are fully booked until June."))
    assert told(order)[2:] == [("request_declined", "customer")]
    assert "You have not been charged." in text_of(order)
    assert "We are fully booked until June." in text_of(order)
