"""Courses: access is granted by the course platform, and revoked there when the order ends otherwise."""

from __future__ import annotations

from services.fulfillment.domain.operations import GrantAccess, RevokeAccess
from shared.contracts.checkout import OrderCancelled
from shared.contracts.fulfillment import (
    CourseAccess,
    ItemDelivered,
    ItemFailed,
    ItemRetried,
    ItemRevocationFailed,
    ItemRevoked,
    RetryDelivery,
)
from shared.contracts.values import Instructions
from shared.core import Attempt
from tests.unit.fulfillment.examples import COURSE, CUSTOMER, paid, refund

REVOKED = RevokeAccess.Done()


def test_a_course_is_granted_and_entered_where_the_product_says() -> None:
    shop = paid("course")
    assert shop.requested == [GrantAccess(COURSE.url, "o-1", "1", "Course", 1, CUSTOMER)]

    shop.answer(GrantAccess, GrantAccess.Done())

    instructions = Instructions(kind="course", link=COURSE.enter)
    assert shop.published == [ItemDelivered(item="1", instructions=instructions, under_way=0)]


def test_a_grant_that_fails_says_what_to_fix_and_is_retried_as_bought_or_with_the_latest_configuration() -> None:
    shop = paid("course")
    tried = Attempt(at=shop.at, error="courses.example answered 500.")
    text = "courses.example answered 403. Grant the permission."

    shop.answer(GrantAccess, GrantAccess.Failed("forbidden", text), after=[tried])
    assert shop.published == [ItemFailed(item="1", code="forbidden", text=text, attempts=(tried,), under_way=0)]
    assert shop.item().attempts == (tried,)

    shop.configure("course", CourseAccess(url="https://courses.example/new"))
    assert shop.hear(RetryDelivery()).published == [ItemRetried(item="1")]
    assert shop.operation(GrantAccess).url == COURSE.url, "as it was bought"
    shop.answer(GrantAccess, GrantAccess.Failed("forbidden", text))
    assert shop.hear(RetryDelivery(latest=True)).published == [ItemRetried(item="1", configuration=2)]
    assert shop.operation(GrantAccess).url == "https://courses.example/new"
    shop.answer(GrantAccess, GrantAccess.Done())
    assert [type(event) for event in shop.published] == [ItemDelivered]


def test_a_refunded_course_is_revoked_and_published_as_such_once_it_is() -> None:
    shop = paid("course").answer(GrantAccess, GrantAccess.Done())

    assert shop.hear(refund("1")).published == []
    assert shop.hear(OrderCancelled()).published == []
    assert shop.answer(RevokeAccess, REVOKED).published == [ItemRevoked(item="1")]


def test_a_grant_that_succeeds_after_the_cancellation_is_revoked_at_once() -> None:
    shop = paid("course")
    assert shop.hear(OrderCancelled()).published == []

    assert shop.answer(GrantAccess, GrantAccess.Done()).published == []
    assert shop.answer(RevokeAccess, REVOKED).published == [ItemRevoked(item="1")]


def test_a_grant_that_fails_after_the_cancellation_leaves_nothing_to_revoke() -> None:
    shop = paid("course").given(OrderCancelled())

    assert shop.answer(GrantAccess, GrantAccess.Failed("forbidden", "403")).published == [ItemRevoked(item="1")]
    assert shop.open == []


def test_a_grant_of_unknown_outcome_is_revoked_to_be_safe() -> None:
    shop = paid("course").answer(GrantAccess, GrantAccess.Unresolved("time-out"))
    assert shop.published == [ItemFailed(item="1", code="unresolved", text="time-out")]

    assert shop.hear(OrderCancelled()).published == []
    assert shop.answer(RevokeAccess, REVOKED).published == [ItemRevoked(item="1")]


def test_a_revocation_that_fails_is_published_and_can_be_retried_although_the_order_is_cancelled() -> None:
    shop = paid("course").answer(GrantAccess, GrantAccess.Done()).given(OrderCancelled())

    shop.answer(RevokeAccess, RevokeAccess.Failed("not_found", "404: check the URL"))
    assert shop.published == [ItemRevocationFailed(item="1", code="not_found", text="404: check the URL")]
    assert shop.hear(RetryDelivery(items=("1",))).published == []
    assert shop.answer(RevokeAccess, REVOKED).published == [ItemRevoked(item="1")]
