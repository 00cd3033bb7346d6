"""Courses: access granted and revoked by the course platform.

Staff may correct a course's URL while a call to the former one is in progress. Its outcome is then about that URL only:
access that it granted is revoked there, and where that fails the item remembers the URL.
"""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange, reason_of
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, deliveries
from services.fulfillment.domain.kind import Kind
from services.fulfillment.domain.operations import GrantAccess, RevokeAccess, course_destination
from shared.contracts.fulfillment import Action, CourseAccess, ItemRevocationFailed
from shared.contracts.values import Instructions
from shared.core import Context, Decision, UnresolvedOutcome

HAS_ACCESS = (ItemStatus.IN_PROGRESS, ItemStatus.DELIVERED)
"""Or is about to have it: a late revocation must be undone."""


class CourseKind(Kind[CourseAccess]):
    ended_by = (GrantAccess, RevokeAccess)
    settleable = True

    def begin(self, change: DeliveryChange, item: Item, action: CourseAccess) -> None:
        request_access(change, item, action)

    def can_restart(self, item: Item, latest: Action | None) -> bool:
        """Also a call in progress, if the product has changed: it may be waiting at a wrong URL."""
        corrected = item.status is ItemStatus.IN_PROGRESS and latest is not None and latest != item.action
        return super().can_restart(item, latest) or corrected

    def replace(self, change: DeliveryChange, item: Item, action: Action | None) -> None:
        """A grant in doubt is revoked where the item is delivered in another way from now on. That of a call in
        progress is revoked once its outcome is there: it may be carried out at the wrong URL all the same."""
        former, url = course_of(item), action.url if isinstance(action, CourseAccess) else None
        if item.status is ItemStatus.IN_PROGRESS:
            change.update_item(item, in_doubt=True)
        elif item.in_doubt and former.url != url:
            revoke_at(change, item, former.url)

    def revoke(self, change: DeliveryChange, item: Item) -> None:
        if item.status is ItemStatus.IN_PROGRESS:
            change.update_item(item, status=ItemStatus.STOPPING)
        elif item.status is ItemStatus.DELIVERED or item.in_doubt:
            revoke_access(change, item, course_of(item))
        else:
            super().revoke(change, item)

    def revoke_again(self, change: DeliveryChange, item: Item) -> None:
        revoke_access(change, item, course_of(item))

    def revoke_left(self, change: DeliveryChange, item: Item) -> None:
        for url in item.unrevoked:
            revoke_at(change, item, url)
        change.update_item(item, unrevoked=())

    def settle_as_delivered(self, change: DeliveryChange, item: Item) -> None:
        if item.status is ItemStatus.STOPPING:
            revoke_access(change, item, course_of(item))
        else:
            deliver_course(change, item, course_of(item))


COURSE = CourseKind()


def course_of(item: Item) -> CourseAccess:
    """Of an item of this kind."""
    if not isinstance(item.action, CourseAccess):
        raise TypeError(f"item {item.id} is no course")
    return item.action


def request_access(change: DeliveryChange, item: Item, course: CourseAccess) -> None:
    if item.unrevoked:
        change.update_item(item.revoked_at(course.url))
    who = change.state.customer
    change.request(GrantAccess(course.url, change.context.key, item.id, item.product, item.quantity, who))


def revoke_access(change: DeliveryChange, item: Item, course: CourseAccess) -> None:
    change.update_item(item, status=ItemStatus.REVOKING)
    revoke_at(change, item, course.url)


def revoke_at(change: DeliveryChange, item: Item, url: str) -> None:
    """Perhaps a former URL of the item."""
    who = change.state.customer
    change.request(RevokeAccess(url, change.context.key, item.id, item.product, item.quantity, who))


def deliver_course(change: DeliveryChange, item: Item, course: CourseAccess) -> None:
    change.deliver_item(item, Instructions(kind="course", link=course.enter))


@deliveries.answers(GrantAccess.Done)
def granted(delivery: Delivery, grant: GrantAccess, outcome: GrantAccess.Done, context: Context) -> Decision[Delivery]:
    """Also when the item has failed or was cancelled since: the customer has access now."""
    change = DeliveryChange(delivery, context)
    item = change.item(grant.item)
    course = item.course_at(grant.url)
    if course is None:
        revoke_at(change, item, grant.url)
    elif item.status in (ItemStatus.IN_PROGRESS, ItemStatus.FAILED):
        deliver_course(change, item, course)
    elif item.status is not ItemStatus.DELIVERED:
        revoke_access(change, item, course)
    return change.decision()


@deliveries.answers(GrantAccess.Failed)
def not_granted(
    delivery: Delivery, grant: GrantAccess, outcome: GrantAccess.Failed, context: Context
) -> Decision[Delivery]:
    """After several calls one of them may have been carried out although its answer never came."""
    change = DeliveryChange(delivery, context)
    item = change.item(grant.item)
    course, in_doubt = item.course_at(grant.url), bool(context.attempts)
    if course is None:
        if in_doubt:
            revoke_at(change, item, grant.url)
    elif item.status is ItemStatus.IN_PROGRESS:
        change.fail_item(item, *reason_of(outcome), in_doubt=in_doubt)
    elif item.status is ItemStatus.STOPPING and (in_doubt or item.in_doubt):
        revoke_access(change, item, course)
    elif item.status is ItemStatus.STOPPING:
        change.mark_revoked(item)
    return change.decision()


@deliveries.answers(GrantAccess.Unresolved)
def grant_unresolved(
    delivery: Delivery, grant: GrantAccess, outcome: GrantAccess.Unresolved, context: Context
) -> Decision[Delivery]:
    """The customer may have access: also where staff had settled or cancelled the item meanwhile."""
    change = DeliveryChange(delivery, context)
    item = change.item(grant.item)
    course = item.course_at(grant.url)
    if course is None:
        revoke_at(change, item, grant.url)
    elif item.status is ItemStatus.IN_PROGRESS:
        change.fail_item(item, *reason_of(outcome), in_doubt=True)
    elif item.status is ItemStatus.FAILED:
        change.update_item(item, in_doubt=True)
    elif item.status is not ItemStatus.DELIVERED:
        revoke_access(change, item, course)
    return change.decision()


@deliveries.answers(RevokeAccess.Done)
def revoked(
    delivery: Delivery, revocation: RevokeAccess, outcome: RevokeAccess.Done, context: Context
) -> Decision[Delivery]:
    """Also when staff had settled it as not revoked: the customer has no access now."""
    change = DeliveryChange(delivery, context)
    item = change.item(revocation.item)
    course = item.course_at(revocation.url)
    if course is None:
        change.update_item(item.revoked_at(revocation.url))
    elif item.status in HAS_ACCESS:
        request_access(change, item, course)
    elif item.status in (ItemStatus.REVOKING, ItemStatus.REVOCATION_FAILED):
        change.mark_revoked(item, code="", text="")
    return change.decision()


@deliveries.answers(RevokeAccess.Failed, RevokeAccess.Unresolved)
def not_revoked(
    delivery: Delivery,
    revocation: RevokeAccess,
    outcome: RevokeAccess.Failed | RevokeAccess.Unresolved,
    context: Context,
) -> Decision[Delivery]:
    """At a former URL whatever the item's status is."""
    change = DeliveryChange(delivery, context)
    item = change.item(revocation.item)
    course, (code, text) = item.course_at(revocation.url), reason_of(outcome)
    if course is None:
        text = f"At the former URL {course_destination(revocation.url)}: {text}"[:2000]
        change.update_item(item.unrevoked_at(revocation.url).tried(context.attempts))
        change.publish(ItemRevocationFailed(item=item.about, code=code, text=text))
    elif item.status is ItemStatus.REVOKING:
        item = item.tried(context.attempts)
        change.update_item(item, status=ItemStatus.REVOCATION_FAILED, code=code, text=text)
        change.publish(ItemRevocationFailed(item=item.about, code=code, text=text))
    elif item.status in HAS_ACCESS and isinstance(outcome, UnresolvedOutcome):
        request_access(change, item, course)
    return change.decision()
