"""HTTP actions: a call that delivers, and one that revokes."""

from __future__ import annotations

from datetime import timedelta

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Item
from services.fulfillment.domain.fields import FIELD_MISSING, fields_of, missing_text
from services.fulfillment.domain.kinds.access import AccessKind, NoCall, handle_outcomes
from services.fulfillment.domain.operations import course_destination
from shared.contracts.http_action import HttpAction, HttpCall
from shared.contracts.http_request import HttpRequest, UnusableField, filled
from shared.contracts.templates import MissingFields
from shared.contracts.values import Instructions
from shared.core import Operation, Outcome


class HttpOperation(Operation, safe_to_repeat=True):
    """A call of an HTTP action. The receiver knows a repetition by its Idempotency-Key."""

    store: str
    order: str
    item: str
    action: HttpAction
    request: HttpRequest
    number: int = 0
    """Of the item's calls. An earlier one is not made any more: it has another key, by which it would be carried out
    twice. 0: that of a former action, or of an earlier build."""

    @property
    def call(self) -> HttpCall:
        """As it is configured."""
        return self.action

    def destination(self) -> str:
        """Host and path as configured, and the store's secrets: what a wrong address, a secret that is not set, or a
        missing permission is about. It holds up no other store."""
        by = f" by {', '.join(self.call.secrets)}" if self.call.secrets else ""
        return f"{course_destination(self.call.url)} of {self.store}{by}"

    def about(self) -> str:
        return self.item


class CallHttpAction(HttpOperation, longest_retry=1800.0, give_up_after=timedelta(hours=24)):
    class Done(Outcome):
        pass


class RevokeHttpAction(HttpOperation, longest_retry=3600.0, give_up_after=timedelta(days=3)):
    @property
    def call(self) -> HttpCall:
        return self.action.revoke or self.action

    class Done(Outcome):
        pass


class HttpActionKind(AccessKind[HttpAction]):
    ended_by = (CallHttpAction, RevokeHttpAction)
    configuration = HttpAction
    granting = CallHttpAction
    revoking = RevokeHttpAction
    not_revocable = "Nothing was called to revoke it: its action has no call for that. Revoke it there if it matters."

    def grant(self, change: DeliveryChange, item: Item, action: HttpAction) -> CallHttpAction:
        return CallHttpAction(change.state.store, change.context.key, item.id, action, _request(change, item, action))

    def revocation(self, change: DeliveryChange, item: Item, action: HttpAction) -> RevokeHttpAction | None:
        if action.revoke is None:
            return None
        request = _request(change, item, action.revoke)
        return RevokeHttpAction(change.state.store, change.context.key, item.id, action, request)

    def is_same_call(self, one: HttpAction, other: HttpAction) -> bool:
        """What is only shown may differ."""
        return one.model_copy(update=SHOWN) == other.model_copy(update=SHOWN)

    def is_same_access(self, one: HttpAction, other: HttpAction) -> bool:
        """The same call revokes both; without one, the same call grants both."""
        if one.revoke and other.revoke:
            return _target(one.revoke) == _target(other.revoke)
        return _target(one) == _target(other)

    def instructions(self, action: HttpAction) -> Instructions:
        return Instructions(kind="course" if action.enter else "manual", link=action.enter, note=action.note)

    def former_place(self, action: HttpAction) -> str:
        return f"URL {course_destination((action.revoke or action).url)}"


SHOWN = {"enter": None, "note": None, "show_answers": False}
HTTP_ACTION = HttpActionKind()
handle_outcomes(HTTP_ACTION)


def _target(call: HttpCall) -> tuple[object, ...]:
    return call.method, call.url, call.body


def _request(change: DeliveryChange, item: Item, call: HttpCall) -> HttpRequest:
    """Raises NoCall."""
    try:
        return filled(call, fields_of(change.state, change.context.key, item))
    except MissingFields as missing:
        raise NoCall(FIELD_MISSING, missing_text(missing)) from None
    except UnusableField as unusable:
        raise NoCall("unusable_field", str(unusable)) from None
