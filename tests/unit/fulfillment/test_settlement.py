"""Staff settle courses whose grant or revocation waits, has failed or has an unknown outcome."""

from __future__ import annotations

from typing import Any

import pytest

from services.fulfillment.domain.delivery import ItemStatus
from services.fulfillment.domain.operations import GrantAccess, RevokeAccess
from shared.contracts.checkout import OrderCancelled
from shared.contracts.fulfillment import (
    ItemDelivered,
    ItemFailed,
    ItemRevocationFailed,
    ItemRevoked,
    ItemSettled,
    SettleDelivery,
    ShipOrder,
)
from shared.contracts.values import Instructions
from tests.unit.fulfillment.examples import COURSE, PAID, Shop, line, paid, placed

REASON = "Ada is in the list of members."


def settle(outcome: Any, item: str = "1") -> SettleDelivery:
    return SettleDelivery(item=item, outcome=outcome, reason=REASON)


def unresolved() -> Shop:
    return paid("course").answer(GrantAccess, GrantAccess.Unresolved("time-out"))


def revoking() -> Shop:
    return paid("course").answer(GrantAccess, GrantAccess.Done()).given(OrderCancelled())


def published(shop: Shop) -> list[type]:
    return [type(event) for event in shop.published]


def test_an_unresolved_grant_is_settled_as_delivered() -> None:
    shop = unresolved().hear(settle("delivered"))

    instructions = Instructions(kind="course", link=COURSE.enter)  # the reason is for staff only
    assert shop.published == [
        ItemSettled(item="1", outcome="delivered", reason=REASON),
        ItemDelivered(item="1", instructions=instructions, under_way=0),
    ]


def test_an_unresolved_grant_is_settled_as_not_delivered_and_then_nothing_is_left_to_revoke() -> None:
    shop = unresolved()
    assert shop.item().in_doubt

    assert published(shop.hear(settle("not_delivered"))) == [ItemSettled]

    assert shop.item().status is ItemStatus.FAILED and not shop.item().in_doubt
    assert shop.refuses(settle("not_delivered")).code == "nothing_to_settle"
    assert shop.hear(OrderCancelled()).published == [ItemRevoked(item="1")]
    assert shop.open == []


def test_a_grant_in_progress_is_settled_and_its_late_success_counts() -> None:
    shop = paid("course").hear(settle("not_delivered"))
    assert published(shop) == [ItemSettled, ItemFailed]
    assert shop.last.of(ItemFailed)[0].code == "settled"

    assert published(shop.answer(GrantAccess, GrantAccess.Done())) == [ItemDelivered]


def test_a_grant_settled_as_not_delivered_and_cancelled_is_revoked_when_it_succeeds_late() -> None:
    shop = paid("course").given(settle("not_delivered"), OrderCancelled())
    shop.answer(RevokeAccess, RevokeAccess.Done())
    assert shop.item().status is ItemStatus.REVOKED

    assert shop.answer(GrantAccess, GrantAccess.Done()).published == []
    assert shop.item().status is ItemStatus.REVOKING, "the customer has access now"
    assert shop.answer(RevokeAccess, RevokeAccess.Done()).published == [ItemRevoked(item="1")]


def test_a_cancelled_grant_that_was_settled_is_revoked_when_its_outcome_is_unknown() -> None:
    shop = paid("course").given(OrderCancelled(), settle("not_delivered"))
    assert shop.item().status is ItemStatus.REVOKED

    shop.answer(GrantAccess, GrantAccess.Unresolved("time-out"))
    assert shop.item().status is ItemStatus.REVOKING, "the customer may have access"


def test_an_unresolved_revocation_is_settled() -> None:
    shop = revoking().answer(RevokeAccess, RevokeAccess.Unresolved("time-out"))

    assert published(shop.hear(settle("revoked"))) == [ItemSettled, ItemRevoked]
    assert shop.item().status is ItemStatus.REVOKED


def test_a_revocation_in_progress_is_settled_and_its_late_success_counts() -> None:
    shop = revoking().hear(settle("not_revoked"))
    assert published(shop) == [ItemSettled, ItemRevocationFailed]

    assert shop.answer(RevokeAccess, RevokeAccess.Done()).published == [ItemRevoked(item="1")]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("not_delivered", ItemStatus.REVOKED),
        ("revoked", ItemStatus.REVOKED),
        ("delivered", ItemStatus.REVOKING),
    ],
)
def test_a_grant_cancelled_while_in_progress_is_settled(outcome: str, status: ItemStatus) -> None:
    shop = paid("course").given(OrderCancelled())
    assert shop.item().status is ItemStatus.STOPPING

    assert shop.hear(settle(outcome)).item().status is status


def test_what_is_known_and_what_no_other_system_delivers_is_not_settled() -> None:
    shop = paid("course").answer(GrantAccess, GrantAccess.Done())

    assert shop.refuses(settle("delivered")).code == "nothing_to_settle"
    assert shop.refuses(settle("revoked")).code == "nothing_to_settle"
    assert shop.refuses(settle("delivered", "9")).code == "unknown_item"
    assert shop.refuses(settle("delivered"), "o-9").code == "unknown_order"
    shop.hear(placed(line("1", "mug", shippable=True)), "o-2").hear(PAID, "o-2")
    assert shop.refuses(settle("delivered"), "o-2").code == "nothing_to_settle"
    assert published(shop.hear(ShipOrder(carrier="DHL", tracking="T"), "o-2")) == [ItemDelivered]
