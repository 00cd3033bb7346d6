"""Emails and feed entries in the language of the order, and of the store's staff."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.domain.email_draft import TEMPLATES
from services.notifications.domain.operations import SendEmail
from services.notifications.domain.records import FeedEntry
from services.notifications.gateways.templates import ALL, EmailTemplates
from services.payments.domain.declines import CUSTOMER_TEXTS
from shared.contracts.approval import OrderAccepted, OrderApprovalRequested, OrderCardNeeded, OrderDeclined
from shared.contracts.checkout import (
    DeliveredItem,
    OrderCancelled,
    OrderCompleted,
    OrderDeliveryFailed,
    OrderDeliveryWaiting,
    OrderExpired,
    OrderFailed,
    OrderItemsDelivered,
    OrderPaymentActionRequired,
    OrderPaymentDeclined,
    OrderPaymentReminder,
    OrderRefunded,
    OrderRefundFailed,
    OrderStrayCharge,
    OrderSupplyLow,
)
from shared.contracts.delivery_work import OrderWaitsForStaff
from shared.contracts.values import Customer, Instructions, OrderStatus
from shared.core import Event
from shared.languages import language, languages
from tests.unit.notifications.examples import (
    ATLAS,
    CUSTOMER,
    DELIVERY,
    PAID,
    STAFF,
    STORE,
    OrderScenario,
    bodies,
    placed,
)

UNTIL = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
ODD = "100 % <b>&amp; {x} {{ y }} %(number)s %s"
"""What must be shown as it is, wherever it comes from."""
PAGE, DECLINE = "https://pay.example/1?a=1&b=2", next(iter(CUSTOMER_TEXTS.values()))


def instructions(kind: str, **more: object) -> Instructions:
    return Instructions.model_validate({"kind": kind, **more})


def delivered(**of: Instructions) -> OrderItemsDelivered:
    items = (DeliveredItem(item="1", product=ODD, quantity=2, instructions=each) for each in of.values())
    return OrderItemsDelivered(items=tuple(items))


def declined(**more: object) -> OrderPaymentDeclined:
    about = {"attempt": 1, "code": "card_declined", "text": DECLINE, "url": PAGE, "until": UNTIL}
    return OrderPaymentDeclined.model_validate(about | more)


def waits(*, again: bool) -> OrderWaitsForStaff:
    return OrderWaitsForStaff(item="1", what=ODD, text=ODD, since=UNTIL, again=again)


def refund_failed(*, returned: bool) -> OrderRefundFailed:
    return OrderRefundFailed(
        refund="r-1", amount=990, currency="EUR", refunded=0, code="x", text=ODD, returned=returned
    )


def refunded(refund: str, amount: int, so_far: int, **more: bool) -> OrderRefunded:
    return OrderRefunded.model_validate(
        {"refund": refund, "amount": amount, "currency": "EUR", "refunded": so_far, "whole": False, **more}
    )


EVENTS: tuple[Event, ...] = (
    declined(),
    declined(attempt=2, tries_left=3, retry_after=UNTIL),
    declined(attempt=3, tries_left=1),
    declined(attempt=4, tries_left=0),
    OrderPaymentReminder(reminder=1, amount=2700, currency="EUR", url=PAGE, until=UNTIL),
    OrderPaymentReminder(reminder=2, amount=2700, currency="EUR", url=PAGE, until=UNTIL, declined=True),
    OrderPaymentActionRequired(url=PAGE, until=UNTIL),
    PAID,
    delivered(
        download=instructions("download", link=PAGE, expires=UNTIL, note=ODD),
        codes=instructions("code", codes=(ODD, "C-2")),
        code=instructions("code", code=ODD),
        parcel=instructions("shipment", carrier=ODD, tracking=ODD, link=PAGE, note=ODD),
    ),
    OrderDeliveryFailed(item="1", product=ODD, code="x", text=ODD),
    OrderDeliveryWaiting(item="1", product=ODD, code="x", text=ODD),
    OrderSupplyLow(what=ODD, text=ODD),
    waits(again=False),
    waits(again=True),
    OrderFailed(reason=ODD),
    OrderCompleted(),
    refunded("r-1", 700, 700),
    refunded("r-2", 1000, 1700, recorded=True),
    refunded("r-3", 1000, 2700, whole=True),
    refund_failed(returned=False),
    refund_failed(returned=True),
    OrderStrayCharge(amount=50, currency="EUR", transaction=ODD),
)
APPROVAL: tuple[Event, ...] = (
    OrderCardNeeded(verification=1, url=PAGE, until=UNTIL, text=DECLINE),
    OrderCardNeeded(verification=2, url=PAGE, until=UNTIL, confirm=True),
    OrderApprovalRequested(amount=2700, currency="EUR"),
)
ENDS: tuple[tuple[Event, ...], ...] = (
    (OrderCancelled(reason=ODD),),
    (PAID, OrderCancelled(reason=ODD)),
    (OrderCancelled(code="sold_out", sold_out=("atlas",)),),
    (OrderExpired(was=OrderStatus.PENDING_PAYMENT),),
    (*APPROVAL, OrderAccepted(amount=2700, currency="EUR")),
    (*APPROVAL, OrderDeclined(note=ODD)),
)


@cache
def told(locale: str | None, staff: str = "en") -> tuple[list[SendEmail], list[FeedEntry]]:
    """Everything that an order's events can bring."""
    store = STORE.model_copy(update={"name": ODD, "languages": (staff, *(set(languages()) - {staff}))})
    order = placed(
        store=store,
        locale=locale,
        items=tuple(item.model_copy(update={"product": ODD}) for item in (ATLAS, DELIVERY)),
        customer=Customer(name=ODD, email="ada@example.com"),
        tax=430,
        prices_include_tax=True,
    )
    emails, entries = [], []
    for events in (EVENTS, *ENDS):
        scenario = OrderScenario().hear(order)
        for event in events:
            scenario.hear(event)
        emails += scenario.emails
        entries += [*scenario.feed(CUSTOMER), *scenario.feed(STAFF)]
    return emails, entries


@cache
def templates() -> EmailTemplates:
    return EmailTemplates()


def test_every_template_is_among_the_examples() -> None:
    assert {email.template for email in told("de")[0]} == set(ALL) == {t for names in TEMPLATES.values() for t in names}


ENGLISH = re.compile(r"\b(the|your|you|order|payment|has|been|with|refund|this|staff|please|delivery|hello)\b", re.I)


def words_of(text: str) -> str:
    """Without what comes from elsewhere: names, addresses, the template's technical name."""
    text = re.sub(r"https?://\S+|\S+@\S+|<style>.*?</style>|<[^<>]*>", " ", text.replace(ODD, " "), flags=re.DOTALL)
    return re.sub(r"ORD-\w+|\borderbus\w*|E-Mail\b", " ", text)


@pytest.mark.parametrize("name", languages())
def test_all_that_is_written_is_in_the_language(name: str) -> None:
    """To the customer in the order's, to staff in the store's first."""
    emails, entries = told(name, staff=name)
    for email in emails:
        text, html = bodies(templates().render(email))
        assert email.language == name
        assert f'<html lang="{name}" dir="ltr">' in html
        for shown in (email.subject, text, html):
            assert "None" not in shown and "Undefined" not in shown
            assert name == "en" or not ENGLISH.search(words_of(shown)), shown
    for entry in entries:
        assert name == "en" or not ENGLISH.search(words_of(f"{entry.title} {entry.text}")), entry


@pytest.mark.parametrize("name", languages())
def test_values_are_shown_as_they_are_and_escaped_in_html(name: str) -> None:
    for email in told(name, staff=name)[0]:
        mail = templates().render(email)
        text, html = bodies(mail)
        for shown in (text, html):
            rest = shown.replace(ODD, "")
            assert not re.search(r"%[(s%]|\{\{|\}\}|100 %", rest.split("</style>")[-1]), rest
            assert email.data["number"] in shown
        raw = mail.replace(b"=\r\n", b"")
        assert b"<b>&amp; {x}" not in raw.split(b"text/html")[1]
        for value in ("amount", "until", "url", "reason", "product", "what", "transaction", "since"):
            given = email.data.get(value)
            if given and value in READ.get(email.template, ()):
                assert given in text and given in html, (email.template, value)


READ = {
    "order_confirmation": ("amount",),
    "new_order": ("amount",),
    "payment_reminder": ("amount", "until", "url"),
    "confirm_payment": ("amount", "until", "url"),
    "new_request": ("amount",),
    "card_needed": ("reason", "until", "url"),
    "request_accepted": ("amount",),
    "request_received": ("amount",),
    "refund": ("amount",),
    "refund_returned": ("amount",),
    "refund_failure": ("amount", "reason"),
    "stray_charge": ("amount", "transaction"),
    "delivery_failure": ("product", "reason"),
    "delivery_waiting": ("product", "reason"),
    "supply_low": ("what", "reason"),
    "waits_for_staff": ("what", "since", "reason"),
    "order_failed": ("reason",),
}
"""What each template must show of its data."""


def test_staff_are_written_to_in_the_stores_first_language() -> None:
    emails, entries = told("tr", staff="fi")
    assert {(email.audience, email.language) for email in emails} == {("customer", "tr"), ("staff", "fi")}
    titles = [entry.title for entry in entries if entry.key == STAFF]
    assert "Uusi tilaus ORD-ABCDEFGH12" in titles
    assert "ORD-ABCDEFGH12 numaralı siparişiniz ödendi" in [entry.title for entry in entries]


def test_a_language_that_the_store_does_not_have_is_its_first() -> None:
    store = STORE.model_copy(update={"languages": ("de-AT", "en")})
    order = OrderScenario().hear(placed(store=store, locale="tr")).hear(PAID)
    confirmation, alert = order.emails
    assert confirmation.subject == "Ihre Bestellung ORD-ABCDEFGH12"
    assert confirmation.data["amount"] == "€\u00a027,00"
    assert alert.subject == "Neue Bestellung ORD-ABCDEFGH12: €\u00a027,00"


def test_a_store_without_languages_has_all_and_its_staff_read_english() -> None:
    confirmation, alert = OrderScenario().hear(placed(locale="fi-FI")).hear(PAID).emails
    assert (confirmation.subject, alert.subject) == ("Tilauksesi ORD-ABCDEFGH12", "New order ORD-ABCDEFGH12: €27.00")


def test_the_stores_words_for_statuses_win() -> None:
    own = STORE.model_copy(update={"status_words": {"processing": "Enrolling", "completed": "Enrolled"}})
    order = OrderScenario().hear(placed(store=own, locale="de")).hear(PAID).hear(OrderCompleted())
    plain = OrderScenario().hear(placed(locale="de")).hear(PAID).hear(OrderCompleted())

    assert "Status: Enrolling." in bodies(templates().render(order.emails[0]))[0]
    assert "Status: Bezahlt." in bodies(templates().render(plain.emails[0]))[0]
    assert [entry.title for entry in order.feed(CUSTOMER)][1:] == [
        "Bestellung ORD-ABCDEFGH12: Enrolling",
        "Bestellung ORD-ABCDEFGH12: Enrolled",
    ]
    assert [entry.title for entry in plain.feed(CUSTOMER)][-1] == "Ihre Bestellung ORD-ABCDEFGH12 ist abgeschlossen"


def test_a_declined_customer_reads_why_in_their_language() -> None:
    order = OrderScenario().hear(placed(locale="fi")).hear(declined(tries_left=1))
    assert order.emails[0].data["reason"] == "Korttisi hylättiin. Käytä toista korttia tai kysy pankistasi."
    assert order.feed(CUSTOMER)[-1].text.endswith("Voit yrittää vielä kerran.")
    unknown = OrderScenario().hear(placed(locale="fi")).hear(declined(text="100 % new"))
    assert unknown.emails[0].data["reason"] == "100 % new"


def test_a_customer_reads_of_a_problem_in_the_stores_words_and_by_email_once() -> None:
    order, secret = (
        OrderScenario().hear(placed()).hear(PAID),
        "HTTP 403 from https://lms.example: key sk_live_1 has no access",
    )
    order.hear(OrderDeliveryFailed(item="1", product="Field Atlas", code="http_403", text=secret))
    order.hear(OrderFailed(reason=secret))
    order.hear(OrderFailed(reason=secret))

    emails = [email for email in order.emails if email.audience == "customer"]
    assert [email.template for email in emails] == ["order_confirmation", "order_problem"]
    texts = [*bodies(templates().render(emails[-1])), *(entry.text for entry in order.feed(CUSTOMER))]
    assert "Our staff are working on it" in texts[0]
    assert not any("403" in text or "sk_live" in text for text in texts)


def test_every_reason_of_a_decline_is_translated() -> None:
    for name in languages()[1:]:
        assert not [text for text in CUSTOMER_TEXTS.values() if language(name).known(text) == text]


def test_an_email_that_an_older_build_requested_is_in_english() -> None:
    email = told("de")[0][0]
    older = replace(email, language="en", data={n: v for n, v in email.data.items() if n != "status"})
    assert "You have not been charged." in bodies(templates().render(older))[0]


@given(st.none() | st.from_regex(r"\A[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}\Z"))
def test_any_locale_is_written_to(locale: str | None) -> None:
    order = OrderScenario().hear(placed(locale=locale)).hear(declined()).hear(PAID)
    for email in order.emails:
        assert templates().render(email)
