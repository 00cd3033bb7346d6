"""What `orderbus order --explain` says."""

from __future__ import annotations

from typing import Any

from deploy.cli.order_explanation import lines

AT = "2026-03-03T14:05:00+00:00"
ORDER = {"key": "o-1", "number": "ORD-1", "status": "pending_payment"}


def service(says: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"service": "x", "says": says, "operations": [], "timers": [], "parked": []} | more


def test_it_says_who_has_to_act_and_what_may_be_done() -> None:
    says = {
        "state": "pending_payment",
        "why": "Your card was declined.",
        "waits": [{"who": "customer", "what": "Pay.", "until": AT}],
        "following": ["cancelled", "processing"],
        "commands": [
            {"command": "order.cancel", "possible": True, "code": "", "why_not": ""},
            {"command": "order.accept", "possible": False, "code": "not_received", "why_not": "It waits for nothing."},
        ],
    }
    timers = [{"name": "PaymentOverdue", "type": "PaymentOverdue", "due": AT}]
    call = {"kind": "SendEmail", "destination": "smtp", "attempts": 2, "error": "No answer.", "next_try": AT}
    waiting = call | {"under_way": False, "paused": ""}
    parked = {"type": "order.paid", "reason": "failed", "error": "KeyError", "parked_at": AT}
    shown = lines(
        {
            "order": ORDER,
            "services": {
                "checkout": service(says, timers=timers),
                "payments": None,
                "notifications": service(operations=[waiting], parked=[parked]),
            },
        }
    )
    assert shown[0] == "ORD-1  pending_payment"
    assert shown[1] == "  because   Your card was declined."
    assert shown[2].startswith("  waits     customer: Pay. Until ")
    assert shown[3:6] == [
        "  next      cancelled, processing",
        "  you may   order.cancel",
        "  not now   order.accept: It waits for nothing.",
    ]
    assert shown[6].startswith("checkout: PaymentOverdue at ")
    assert shown[7] == "payments: says nothing, for its build is an older one."
    assert shown[8].startswith("notifications: SendEmail to smtp, next try ") and shown[8].endswith("No answer.")
    assert shown[9] == "notifications: order.paid is parked (failed): KeyError"


def test_of_an_order_for_which_nothing_waits_it_says_so() -> None:
    assert lines({"order": ORDER, "services": {"checkout": service()}})[-1] == "Nothing waits."


def test_each_service_says_what_it_waits_for() -> None:
    says = {
        "state": "pending",
        "why": "",
        "waits": [{"who": "staff", "what": "Refund 5.00 USD by hand, and settle it.", "until": None}],
        "following": [],
        "commands": [
            {"command": "payment.settle", "possible": True, "code": "", "why_not": ""},
            {"command": "payment.refund", "possible": False, "code": "not_paid", "why_not": "No."},
        ],
    }
    shown = lines({"order": ORDER, "services": {"checkout": service(), "payments": service(says)}})
    assert shown[1:] == [
        "payments: waits for staff: Refund 5.00 USD by hand, and settle it.",
        "payments: you may payment.settle",
    ]
