"""Courses: access granted and revoked by the course platform. What a call is about is its URL."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Item
from services.fulfillment.domain.kinds.access import AccessKind, handle_outcomes
from services.fulfillment.domain.operations import CourseOperation, GrantAccess, RevokeAccess, course_destination
from shared.contracts.fulfillment import CourseAccess
from shared.contracts.values import Instructions


class CourseKind(AccessKind[CourseAccess]):
    ended_by = (GrantAccess, RevokeAccess)
    configuration = CourseAccess
    granting = GrantAccess
    revoking = RevokeAccess

    def grant(self, change: DeliveryChange, item: Item, action: CourseAccess) -> GrantAccess:
        who = change.state.customer
        return GrantAccess(action.url, change.context.key, item.id, item.product, item.quantity, who)

    def revocation(self, change: DeliveryChange, item: Item, action: CourseAccess) -> RevokeAccess:
        who = change.state.customer
        return RevokeAccess(action.url, change.context.key, item.id, item.product, item.quantity, who)

    def action_of(self, operation: CourseOperation) -> CourseAccess:
        return CourseAccess.model_construct(url=operation.url)

    def is_same_call(self, one: CourseAccess, other: CourseAccess) -> bool:
        return one.url == other.url

    def instructions(self, action: CourseAccess) -> Instructions:
        return Instructions(kind="course", link=action.enter)

    def former_place(self, action: CourseAccess) -> str:
        return f"URL {course_destination(action.url)}"

    def left(self, item: Item) -> tuple[CourseAccess, ...]:
        return tuple(CourseAccess.model_construct(url=url) for url in item.unrevoked)

    def with_left(self, item: Item, action: CourseAccess) -> Item:
        return item.unrevoked_at(action.url)

    def without_left(self, item: Item, action: CourseAccess) -> Item:
        return item.revoked_at(action.url)


COURSE = CourseKind()
handle_outcomes(COURSE)
