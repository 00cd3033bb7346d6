"""Staff correct the URL of a course while calls to the former one are in progress, or have failed there."""

from __future__ import annotations

from typing import Any

import pytest

from services.fulfillment.domain.delivery import Delivery, ItemStatus
from services.fulfillment.domain.operations import GrantAccess, RevokeAccess
from services.fulfillment.storage import storage
from shared.contracts.checkout import OrderCancelled
from shared.contracts.fulfillment import (
    CourseAccess,
    ItemDelivered,
    ItemRetried,
    ItemRevocationFailed,
    ItemRevoked,
    ItemSettled,
    RetryDelivery,
)
from tests.unit.fulfillment.examples import CORRECTED, COURSE, Shop, paid
from tests.unit.fulfillment.test_settlement import published, settle, unresolved

GAVE_UP = RevokeAccess.Failed("gave_up", "500: given up")
NOT_NEEDED = GrantAccess.Failed("not_needed", "The call is no longer needed.")


def corrected(shop: Shop, course: CourseAccess = CORRECTED) -> Shop:
    shop.configure("course", course)
    return shop.hear(RetryDelivery(latest=True))


def in_progress_at_both() -> Shop:
    """The grant at the former URL is in progress, and so is that at the corrected one."""
    return corrected(paid("course"))


def unrevoked(outcome: RevokeAccess.Failed | RevokeAccess.Unresolved = GAVE_UP) -> Shop:
    """Delivered at the corrected URL; the grant of unknown outcome at the former one could not be revoked."""
    shop = corrected(unresolved()).answer(GrantAccess, GrantAccess.Done()).answer(RevokeAccess, outcome)
    (failed,) = shop.last.of(ItemRevocationFailed)
    assert (failed.item, failed.text) == ("1", "At the former URL courses.example/access: 500: given up")
    assert (shop.item().status, shop.item().unrevoked) == (ItemStatus.DELIVERED, (COURSE.url,))
    return shop


def grant_at(shop: Shop, course: CourseAccess) -> GrantAccess:
    return shop.operation(GrantAccess, url=course.url)


def test_a_call_that_waits_at_a_wrong_url_continues_at_the_corrected_one() -> None:
    shop = paid("course")
    assert shop.refuses(RetryDelivery(latest=True)).code == "nothing_to_retry", "nothing was corrected yet"
    shop.configure("course", CORRECTED)
    assert shop.refuses(RetryDelivery()).code == "nothing_to_retry", "it keeps what was bought"

    assert corrected(shop).published == [ItemRetried(item="1", configuration=2)]

    assert shop.answer(grant_at(shop, COURSE), NOT_NEEDED).published == []
    assert shop.item().status is ItemStatus.IN_PROGRESS
    assert published(shop.answer(grant_at(shop, CORRECTED), GrantAccess.Done())) == [ItemDelivered]


def test_a_late_success_at_the_former_url_is_revoked_and_the_corrected_one_counts() -> None:
    shop = in_progress_at_both()

    assert shop.answer(grant_at(shop, COURSE), GrantAccess.Done()).published == []
    assert shop.operation(RevokeAccess).url == COURSE.url
    assert published(shop.answer(GrantAccess, GrantAccess.Done())) == [ItemDelivered]
    assert shop.answer(RevokeAccess, RevokeAccess.Done()).published == []
    assert shop.item().status is ItemStatus.DELIVERED


@pytest.mark.parametrize("tried", [True, False])
def test_a_call_at_the_former_url_that_is_not_needed_is_revoked_if_it_was_ever_tried(tried: bool) -> None:
    shop = in_progress_at_both()

    shop.answer(grant_at(shop, COURSE), NOT_NEEDED, after=["time-out"] if tried else [])

    assert shop.published == []
    assert [operation.url for operation in shop.last.of(RevokeAccess)] == ([COURSE.url] if tried else [])


def test_a_call_that_was_cancelled_while_it_waited_ends_without_access() -> None:
    shop = paid("course").given(OrderCancelled())

    assert shop.answer(GrantAccess, NOT_NEEDED).published == [ItemRevoked(item="1")]


def test_a_grant_of_unknown_outcome_is_revoked_when_the_item_is_delivered_in_another_way() -> None:
    shop = corrected(unresolved(), COURSE)
    assert shop.last.of(RevokeAccess) == [], "the same call again does no harm"

    shop = corrected(unresolved())

    assert shop.published == [ItemRetried(item="1", configuration=2)]
    assert (shop.operation(RevokeAccess).url, shop.operation(GrantAccess).url) == (COURSE.url, CORRECTED.url)
    assert shop.answer(RevokeAccess, RevokeAccess.Done()).published == []
    assert published(shop.answer(GrantAccess, GrantAccess.Done())) == [ItemDelivered]


@pytest.mark.parametrize("outcome", [GAVE_UP, RevokeAccess.Unresolved("500: given up")])
def test_what_could_not_be_revoked_at_a_former_url_is_published_and_retried(outcome: Any) -> None:
    shop = unrevoked(outcome)

    assert shop.hear(RetryDelivery()).published == []
    assert shop.operation(RevokeAccess).url == COURSE.url and not shop.item().unrevoked
    assert shop.refuses(RetryDelivery()).code == "nothing_to_retry"
    assert published(shop.answer(RevokeAccess, outcome)) == [ItemRevocationFailed]

    shop.hear(RetryDelivery(items=("1",)))
    assert shop.answer(RevokeAccess, RevokeAccess.Done()).published == []
    assert (shop.item().status, shop.item().unrevoked) == (ItemStatus.DELIVERED, ())


def test_what_could_not_be_revoked_at_a_former_url_is_settled_and_the_item_stays_delivered() -> None:
    shop = unrevoked()
    assert shop.refuses(settle("not_revoked")).code == "nothing_to_settle"

    assert published(shop.hear(settle("revoked"))) == [ItemSettled]

    assert (shop.item().status, shop.item().unrevoked) == (ItemStatus.DELIVERED, ())
    assert shop.refuses(settle("revoked")).code == "nothing_to_settle"


def test_a_late_success_at_a_former_url_leaves_nothing_to_revoke() -> None:
    shop = corrected(unresolved())
    revocation = shop.operation(RevokeAccess)
    shop.open.append(("o-1", revocation))

    shop.answer(revocation, GAVE_UP)
    assert shop.item().unrevoked == (COURSE.url,)
    assert shop.answer(revocation, RevokeAccess.Done()).published == []
    assert shop.item().unrevoked == ()


def test_a_former_url_that_counts_again_is_not_revoked() -> None:
    """Corrected, and corrected back."""
    shop = corrected(unresolved()).answer(RevokeAccess, GAVE_UP)
    shop.answer(GrantAccess, GrantAccess.Failed("rejected", "422"))

    assert corrected(shop, COURSE).published == [ItemRetried(item="1", configuration=3)]

    assert shop.operation(GrantAccess).url == COURSE.url
    assert COURSE.url not in [operation.url for _, operation in shop.open if isinstance(operation, RevokeAccess)]
    assert shop.item().unrevoked == ()


@pytest.mark.parametrize("delivered", [True, False])
def test_a_late_revocation_at_a_url_that_counts_again_grants_access_again(delivered: bool) -> None:
    shop = corrected(unresolved())
    late = shop.operation(RevokeAccess)
    shop.answer(GrantAccess, GrantAccess.Failed("rejected", "422"))
    first = corrected(shop, COURSE).operation(GrantAccess)
    if delivered:
        shop.answer(first, GrantAccess.Done())

    assert shop.answer(late, RevokeAccess.Done()).published == []

    (again,) = shop.last.of(GrantAccess)
    assert again.url == COURSE.url
    assert published(shop.answer(again, GrantAccess.Done())) == ([] if delivered else [ItemDelivered])
    assert shop.item().status is ItemStatus.DELIVERED


def test_what_is_left_at_a_former_url_outlives_the_order() -> None:
    shop = unrevoked().given(OrderCancelled())
    assert shop.answer(RevokeAccess, RevokeAccess.Done()).published == [ItemRevoked(item="1")]

    assert shop.hear(RetryDelivery()).published == []

    assert shop.operation(RevokeAccess).url == COURSE.url
    assert shop.answer(RevokeAccess, RevokeAccess.Done()).published == []
    assert (shop.item().status, shop.item().unrevoked) == (ItemStatus.REVOKED, ())


def waiting_for_staff(shop: Shop) -> Any:
    """The count that `orderbus attention` lists."""
    (deliveries,) = (table for table in storage.states if table.kind is Delivery)
    return deliveries.columns(shop.state)["not_revoked"]


def test_access_that_was_left_at_a_former_url_waits_for_staff_until_it_is_revoked() -> None:
    assert waiting_for_staff(unrevoked().hear(settle("revoked"))) == 0
    shop = unrevoked()
    assert waiting_for_staff(shop) == 1
    assert waiting_for_staff(shop.hear(RetryDelivery(items=("1",)))) == 0
    assert waiting_for_staff(shop.answer(RevokeAccess, GAVE_UP)) == 1


def test_access_that_was_left_at_a_former_url_waits_for_staff_after_a_refund_too() -> None:
    shop = unrevoked().hear(OrderCancelled())
    assert waiting_for_staff(shop) == 1
    shop.answer(RevokeAccess, GAVE_UP)
    assert waiting_for_staff(shop) == 1, "one execution, though it has two URLs"
    assert waiting_for_staff(shop.hear(settle("revoked"))) == 0
