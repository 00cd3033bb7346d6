"""What an order's emails and webhook deliveries wait for, and what staff may do about them."""

from __future__ import annotations

from services.notifications.domain.explanation import commands, explanation
from services.notifications.domain.notification_log import notification_logs
from services.notifications.domain.operations import PostWebhook, SendEmail
from shared.core.dry_run import needed_rows
from shared.core.explanation import Explanation
from tests.unit.notifications.examples import OrderScenario, paid_order, webhook
from tests.unit.notifications.test_email import NO_ANSWER, lost


def explained(order: OrderScenario) -> Explanation:
    needed = needed_rows(notification_logs, order.state, commands(order.state), "o-1")
    return explanation(order.state, "o-1", order.at, {ref: order.row(ref.kind, ref.key) for ref in needed})


def possible(order: OrderScenario) -> set[str]:
    return {one.command for one in explained(order).commands if one.possible}


def test_what_is_being_sent_waits_for_no_staff() -> None:
    order = paid_order(webhook())
    found = explained(order)
    assert found.state == "pending"
    assert {wait.who for wait in found.waits} == {"notifications", "outside"}
    assert possible(order) == set()


def test_what_is_settled_waits_for_nothing() -> None:
    order = paid_order()
    for email in order.emails:
        order.answer(email, SendEmail.Done())
    assert (explained(order).state, list(explained(order).waits)) == ("settled", [])


def test_a_lost_email_waits_for_staff() -> None:
    order = lost()
    staff = [wait.what for wait in explained(order).waits if wait.who == "staff"]
    assert len(staff) == 1 and staff[0].startswith("Resend the email ") and "HTTP" in staff[0]
    assert possible(order) == {"mail.resend", "mail.settle"}


def test_an_email_whose_outcome_is_unknown_is_settled_by_staff() -> None:
    order = lost("unknown")
    staff = [wait.what for wait in explained(order).waits if wait.who == "staff"]
    assert len(staff) == 1 and staff[0].startswith("Look up whether the email ")


def test_an_email_in_doubt_says_when_it_is_tried_again() -> None:
    order = paid_order()
    order.answer(order.emails[0], NO_ANSWER, after=["451"])
    (until,) = {wait.until for wait in explained(order).waits if wait.until}
    assert until > order.at


def test_an_exhausted_delivery_can_be_replayed() -> None:
    order = paid_order(webhook())
    for _, call in [each for each in order.open if isinstance(each[1], PostWebhook)]:
        order.answer(call, PostWebhook.Failed("gave_up", "HTTP 500"))
    staff = [wait.what for wait in explained(order).waits if wait.who == "staff"]
    assert staff and all(what.startswith("Replay ") for what in staff)
    assert possible(order) == {"webhook.replay"}
