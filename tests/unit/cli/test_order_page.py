"""What `orderbus order` says of money."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from deploy.cli.order_page import lines, show_order

AT = "2026-03-03T14:05:00Z"


def attempt(number: int, **more: Any) -> dict[str, Any]:
    plain = {"attempt": number, "status": "captured", "amount": 5000, "reference": f"pi_{number}", "text": "", "at": AT}
    return plain | more


def refund(**more: Any) -> dict[str, Any]:
    plain = {"status": "done", "amount": 100, "reason": "duplicate", "note": "", "reference": "", "text": "", "at": AT}
    return plain | more


def page(display_status: str | None = None, order: Mapping[str, Any] | None = None, **payment: Any) -> str:
    plain_order = {
        "display_status": display_status,
        **{"key": "o-1", "number": "ORD-1", "store": "maple", "status": "completed", "currency": "EUR", "items": []},
        **{"payment_status": "paid", "fulfilment_status": "delivered", "created_at": AT, "timeline": []},
    }
    plain: dict[str, Any] = {"currency": "EUR", "attempts": [attempt(1)], "refunds": []}
    return "\n".join(lines(plain_order | dict(order or {}) | {"payment": plain | payment}))


def test_nothing_is_said_of_what_is_not_owed() -> None:
    assert "owed" not in page()


def test_what_is_owed_has_a_line_of_its_own() -> None:
    part = {"attempt": 1, "amount": 5000, "state": "owed", "for_staff": True, "since": AT}
    assert "50.00 EUR of attempt 1, waits for staff" in page(obligations=[part])
    assert "requested of the provider" in page(obligations=[part | {"state": "sent", "for_staff": False}])

    by_hand = part | {"state": "by_hand"}
    assert "`orderbus settle refund ORD-1 refunded --reason TEXT`" in page(obligations=[by_hand])


def test_a_recorded_refund_says_how_the_customer_got_the_money() -> None:
    assert "recorded: By bank transfer.  SEPA-17" in page(
        refunds=[refund(recorded=True, note="By bank transfer.", reference="SEPA-17")]
    )


def test_a_refund_says_what_it_leaves_as_it_is() -> None:
    shown = page(refunds=[refund(remove_access=[], restock=["2"])])
    assert "(leaves access)  (puts back item 2 only)" in shown
    assert "access" not in page(refunds=[refund(remove_access=None, restock=None)])


def test_an_attempt_says_what_the_provider_keeps() -> None:
    assert "pi_1    fee 1.28 USD" in page(attempts=[attempt(1, fee={"amount": 128, "currency": "USD"})])
    assert "fee" not in page(attempts=[attempt(1, fee=None)])


def test_a_refund_in_the_dashboard_is_called_that() -> None:
    assert "made at the provider, not by orderbus  re_d" in page(
        refunds=[refund(reason="made_at_provider", reference="re_d")]
    )


def test_one_that_is_tried_again_says_why_it_was_refused() -> None:
    again = refund(status="pending", tries=3, text="Disputed.")
    assert "tried 3 times, last refused: Disputed." in page(refunds=[again])


def test_a_second_charge_and_one_that_is_not_ours() -> None:
    stray = {"reference": "pi_x", "amount": 50, "currency": "USD", "at": AT}
    shown = page(attempts=[attempt(1), attempt(1_000_000, extra_of=1)], stray_charges=[stray])
    assert "pi_1000000  charged again for attempt 1: all of it is refunded" in shown
    assert "0.50 USD  pi_x  not made by orderbus" in shown


def test_a_partly_refunded_order_that_is_shown_as_refunded_says_both() -> None:
    assert page(display_status="refunded").startswith("ORD-1  completed, shown as refunded  (payment")
    assert page().startswith("ORD-1  completed  (payment")


def test_several_actions_of_an_item_and_what_comes_with_the_order_have_lines_of_their_own() -> None:
    line = {
        "item": "1",
        "product": "Atlas",
        "quantity": 2,
        "line_total": 2000,
        "delivery": "waiting",
        "trouble": "Parcel.",
    }
    plain = {"product": "Atlas", "status": "delivered", "action": {"kind": "download"}, "waiting": None}
    executions = [
        plain | {"id": "1", "instructions": {"link": "https://shop.example/t"}},
        plain | {"id": "1/2", "action": {"kind": "shipment"}, "status": "waiting_parcel", "text": "Parcel."},
        plain | {"id": "offer", "product": "Gold members", "action": {"kind": "code"}, "instructions": {"code": "A-1"}},
    ]
    order = {
        **{
            "key": "o-1",
            "number": "ORD-1",
            "store": "maple",
            "status": "processing",
            "currency": "EUR",
            "items": [line],
        },
        **{"payment_status": "paid", "fulfilment_status": "in_progress", "created_at": AT, "timeline": []},
    }

    shown = lines(order | {"deliveries": {"items": executions}})

    first = next(index for index, line in enumerate(shown) if line.startswith("  1  2 × Atlas"))
    assert [" ".join(line.split()) for line in shown[first : first + 5]] == [
        "1 2 × Atlas 20.00 EUR waiting Parcel.",
        "1 download delivered https://shop.example/t",
        "1/2 shipment waiting_parcel Parcel.",
        "With the order",
        "offer code: Gold members delivered A-1",
    ]


def test_parcels_attachments_and_returns_are_shown_with_their_item() -> None:
    line = {"item": "1", "product": "Atlas", "quantity": 2, "line_total": 2000, "delivery": "delivered"}
    parcel = {"id": "1", "quantity": 1, "carrier": "DHL", "tracking": "T1", "sent_at": AT}
    execution = {
        **{"id": "1", "product": "Atlas", "status": "delivered", "action": {"kind": "shipment"}, "waiting": None},
        "parcels": [parcel | {"delivered_at": AT}, parcel | {"id": "2", "former": True}],
        "attached": [{"kind": "manual", "note": "A map."}],
        "files": [{"file": ".orders/o-1/a1", "name": "Ada.pdf", "note": ""}],
        "returned": 1,
    }
    order = {
        **{"key": "o-1", "number": "ORD-1", "store": "maple", "status": "completed", "currency": "EUR"},
        **{"payment_status": "paid", "fulfilment_status": "fulfilled", "created_at": AT, "timeline": []},
        **{"items": [line], "deliveries": {"held": True, "items": [execution]}},
    }

    shown = "\n".join(lines(order))

    assert "held      nothing is delivered until it is released" in shown
    assert "parcel 1: 1 × DHL · T1, sent 2026-03-03 14:05" in shown
    assert ", arrived 2026-03-03 14:05" in shown
    assert ", before it was granted again" in shown
    assert "attached: A map." in shown
    assert "attached: Ada.pdf · .orders/o-1/a1" in shown
    assert "returned: 1" in shown


@pytest.mark.parametrize(
    ("status", "refunded", "said"),
    [
        ("pending", 0, "to pay 57.12 EUR"),
        ("failed", 0, "to pay 57.12 EUR"),
        ("paid", 0, "paid 57.12 EUR"),
        ("partially_refunded", 100, "paid 57.12 EUR, refunded 1.00 EUR"),
    ],
)
def test_what_is_to_pay_is_not_called_paid(status: str, refunded: int, said: str) -> None:
    customer = {"name": "Ada Lovelace", "email": "ada@customers.example"}
    shown = page(
        order={"customer": customer, "total": 5712, "tax": 912, "purchased": 5712, "refunded": refunded}
        | {"payment_status": status}
    )
    assert shown.splitlines()[3].endswith(f"(tax 9.12 EUR), {said}")


CUSTOMER = {"name": "Karen Jones-Featherstone", "email": "karen.jones.2-ecf346@customers.example"}
MAIL = {"template": "order_confirmation", "audience": "customer", "state": "failed", "at": AT, "attempts": 12}
HOOK = {"event": "order.updated", "endpoint": "we_f1ab241b581edc6d6d3f", "state": "delivered", "at": AT, "attempts": 1}
LONG = {
    **{"key": "01a22040-dc40-7fc6-8207-23dc63ecf346", "number": "ORD-E26TD363VX", "store": "lighthouse"},
    **{"status": "pending_payment", "payment_status": "partially_refunded", "fulfilment_status": "unfulfilled"},
    **{"currency": "EUR", "customer": CUSTOMER, "total": 123456789, "tax": 1234567, "purchased": 123456789},
    **{"refunded": 123456, "created_at": AT, "message": "The card was declined: not enough money is on the account."},
    "items": [
        {
            **{"item": "1", "product": "Celestial navigation, the course with examination", "quantity": 12},
            **{"line_total": 123456789, "delivery": "waiting", "trouble": "The provider answers 401 since 14:05."},
        }
    ],
    "payment": {
        "currency": "EUR",
        "attempts": [attempt(1, card={"brand": "mastercard", "last4": "4242"}, text="Declined: expired card.")],
        "refunds": [refund(reference="re_3e06c9a554a00072935d8", note="By bank transfer to the customer.")],
    },
    "notifications": {
        "mails": [MAIL | {"message": "m-1", "text": "Refused by the server: 550 mailbox is not there."}],
        "webhooks": [HOOK | {"message": f"w-{n}", "text": ""} for n in range(8)],
        "feeds": {"customer": "lighthouse~customer~c-2-ecf346"},
    },
    "timeline": [
        {"at": AT, "actor": "fulfillment", "what": "delivery.waits_for_staff", "text": "A parcel waits to be sent " * 4}
    ],
}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_gets_all_of_it_in_lines_that_fit(width: int, terminal: Callable[[int], io.StringIO]) -> None:
    out = terminal(width)
    show_order(LONG)
    shown = out.getvalue()
    assert [line for line in shown.splitlines() if len(line) > width and len(line.split()) > 1] == []
    assert shown.split() == "\n".join(lines(LONG, width)).split()
    assert {"1234567.89", "pending_payment", "partially_refunded,", "401"} <= {*shown.split()}


def test_what_is_piped_is_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    show_order(LONG)
    assert capsys.readouterr().out.splitlines() == lines(LONG)
