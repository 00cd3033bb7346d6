"""Access that another system grants and revokes by a call: what all such kinds share.

Staff may correct the action while a call of the former one is in progress. Its outcome is then about the former action
only: access that it granted is revoked there, and where that fails the item remembers it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Protocol, TypeVar

from services.fulfillment.domain.change import DeliveryChange, reason_of
from services.fulfillment.domain.delivery import WAITING, Delivery, Item, ItemStatus, deliveries
from services.fulfillment.domain.kind import Kind
from services.fulfillment.domain.waiting_calls import watch, watched
from shared.contracts.fulfillment import Action, ItemRevocationFailed
from shared.contracts.values import Instructions
from shared.core import Context, Decision, FailedOutcome, Operation, Outcome, UnresolvedOutcome
from shared.core.fast_dataclasses import replace

ConfigurationT = TypeVar("ConfigurationT", bound=Action)
HAS_ACCESS = (ItemStatus.IN_PROGRESS, ItemStatus.DELIVERED)
"""Or is about to have it: a late revocation must be undone."""
WANTED = (ItemStatus.IN_PROGRESS, ItemStatus.STOPPING)
"""The outcome of a call that grants decides."""
CANCELLABLE = (*HAS_ACCESS, *WAITING, ItemStatus.FAILED)
"""A cancellation is still to come, and revokes what is in doubt then."""


class AccessOperation(Protocol):
    """A call that grants or revokes access, and is about one execution of an order."""

    @property
    def order(self) -> str: ...

    @property
    def item(self) -> str: ...


class NoCall(Exception):
    """The order does not have what the call needs. Code, and text that says what to fix."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class AccessKind(Kind[ConfigurationT], Generic[ConfigurationT]):
    """A kind says what its calls are, and which actions give the same access."""

    settleable = True
    configuration: ClassVar[type[Any]]
    granting: ClassVar[type[Operation]]
    revoking: ClassVar[type[Operation]]
    not_revocable: ClassVar[str] = ""
    """Text for staff, where an action has no call that revokes."""

    # What a kind says

    def grant(self, change: DeliveryChange, item: Item, action: ConfigurationT) -> Operation:
        """The call that grants. Raises NoCall."""
        raise NotImplementedError

    def revocation(self, change: DeliveryChange, item: Item, action: ConfigurationT) -> Operation | None:
        """The call that revokes; None where the action has none. Raises NoCall."""
        raise NotImplementedError

    def action_of(self, operation: Any) -> ConfigurationT:
        """The action that a call is made for."""
        action: ConfigurationT = operation.action
        return action

    def is_same_call(self, one: ConfigurationT, other: ConfigurationT) -> bool:
        """A call for one is a call for the other."""
        return one == other

    def is_same_access(self, one: ConfigurationT, other: ConfigurationT) -> bool:
        """To revoke what one gave is to revoke what the other gave."""
        return self.is_same_call(one, other)

    def instructions(self, action: ConfigurationT) -> Instructions:
        """For the customer who has access."""
        raise NotImplementedError

    def former_place(self, action: ConfigurationT) -> str:
        """For staff: where a former action gave access."""
        raise NotImplementedError

    def kept_text(self, outcome: Outcome) -> str:
        """For staff: why a revocation that is done left the access as it was."""
        return ""

    # Former actions, whose access could not be revoked

    def left(self, item: Item) -> tuple[ConfigurationT, ...]:
        return tuple(action for action in item.former if isinstance(action, self.configuration))

    def with_left(self, item: Item, action: ConfigurationT) -> Item:
        kept = self.without_left(item, action)
        return replace(kept, former=(*kept.former, action))

    def without_left(self, item: Item, action: ConfigurationT) -> Item:
        """Nothing is left to revoke of that one."""
        former = tuple(
            other
            for other in item.former
            if not (isinstance(other, self.configuration) and self.is_same_access(other, action))
        )
        return replace(item, former=former)

    # A kind of action

    def begin(self, change: DeliveryChange, item: Item, action: ConfigurationT) -> None:
        """Nothing is granted that could not be revoked for want of the order's fields."""
        try:
            self.revocation(change, item, action)
            self._request(change, item, action)
        except NoCall as none:
            change.fail_item(change.item(item.id), none.code, none.text[:2000])

    def can_restart(self, item: Item, latest: Action | None) -> bool:
        """Also a call in progress, if the product has changed: it may be waiting for what was wrong."""
        corrected = item.status is ItemStatus.IN_PROGRESS and latest is not None and latest != item.action
        return super().can_restart(item, latest) or corrected

    def replace(self, change: DeliveryChange, item: Item, action: Action | None) -> None:
        """A grant in doubt is revoked where the item is delivered in another way from now on. That of a call in
        progress is revoked once its outcome is there: it may be carried out all the same."""
        former = self.configured(item)
        same = isinstance(action, self.configuration) and self.is_same_access(former, action)
        if same and item.status is ItemStatus.IN_PROGRESS:
            change.update_item(item, in_doubt=True)
        elif not same:
            if item.in_doubt:
                self._revoke_there(change, item, former)
            change.update_item(change.item(item.id), in_doubt=False)

    def revoke(self, change: DeliveryChange, item: Item) -> None:
        if item.status is ItemStatus.IN_PROGRESS:
            change.update_item(item, status=ItemStatus.STOPPING)
        elif item.status is ItemStatus.DELIVERED or item.in_doubt:
            self._revoke_access(change, item)
        else:
            super().revoke(change, item)

    def revoke_again(self, change: DeliveryChange, item: Item) -> None:
        self._revoke_access(change, item)

    def revoke_left(self, change: DeliveryChange, item: Item) -> None:
        for action in self.left(item):
            change.update_item(self.without_left(change.item(item.id), action))
            self._revoke_there(change, change.item(item.id), action)

    def settle_as_delivered(self, change: DeliveryChange, item: Item) -> None:
        if item.status is ItemStatus.STOPPING:
            self._revoke_access(change, item)
        else:
            self._deliver(change, item, self.configured(item))

    def is_current(self, item: Item, operation: object) -> bool:
        """Whether a call is still needed: the item was not cancelled, settled, or corrected meanwhile."""
        wanted = ItemStatus.IN_PROGRESS if isinstance(operation, self.granting) else ItemStatus.REVOKING
        return self._present(item, operation) is not None and item.status is wanted

    def is_replaced(self, item: Item, operation: object) -> bool:
        """Whether a call must not be made any more: the same is asked for by a later one, with another key."""
        return self._present(item, operation) is not None and _is_superseded(item, operation)

    def configured(self, item: Item) -> ConfigurationT:
        """Of an item of this kind."""
        if not isinstance(item.action, self.configuration):
            raise TypeError(f"item {item.id} is no {self.configuration.__name__}")
        action: ConfigurationT = item.action
        return action

    def _present(self, item: Item, operation: object) -> ConfigurationT | None:
        """The item's action, unless the call is one of a former action."""
        if isinstance(item.action, self.configuration):
            action = self.configured(item)
            if self.is_same_call(action, self.action_of(operation)):
                return action
        return None

    # Verbs

    def _request(self, change: DeliveryChange, item: Item, action: ConfigurationT) -> None:
        if self.left(item):
            change.update_item(self.without_left(item, action))
        self._call(change, item, self.grant(change, item, action))

    def _call(self, change: DeliveryChange, item: Item, call: Operation) -> None:
        """Of the present action."""
        if hasattr(call, "number"):
            item = change.update_item(change.item(item.id), calls=item.calls + 1)
            counted: Any = call
            call = replace(counted, number=item.calls)
        change.request(call)
        watch(change)

    def _deliver(self, change: DeliveryChange, item: Item, action: ConfigurationT) -> None:
        change.deliver_item(item, self.instructions(action))

    def _revoke_access(self, change: DeliveryChange, item: Item) -> None:
        try:
            revocation = self.revocation(change, item, self.configured(item))
        except NoCall as none:
            self._revocation_failed(change, item, none.code, none.text)
            return
        if revocation is not None:
            self._call(change, change.update_item(item, status=ItemStatus.REVOKING), revocation)
        elif item.status is not ItemStatus.REVOKED:
            change.mark_revoked(item, code="not_called", text=self.not_revocable)

    def _revoke_there(self, change: DeliveryChange, item: Item, former: ConfigurationT) -> None:
        """What a former action gave, unless the present one gives the same: then it is in doubt from now on."""
        present = self.configured(item) if isinstance(item.action, self.configuration) else None
        same = present is not None and present != former and self.is_same_access(present, former)
        if same and item.status in CANCELLABLE:
            change.update_item(item, in_doubt=True)
            return
        try:
            revocation = self.revocation(change, item, former)
        except NoCall as none:
            self._left_there(change, item, former, none.code, none.text)
            return
        if revocation is not None:
            change.request(revocation)
            watch(change)

    def _left_there(self, change: DeliveryChange, item: Item, former: ConfigurationT, code: str, text: str) -> None:
        text = f"At the former {self.former_place(former)}: {text}"[:2000]
        change.update_item(self.with_left(item, former).tried(change.context.attempts))
        change.publish(ItemRevocationFailed(item=item.about, code=code, text=text))

    def _revocation_failed(self, change: DeliveryChange, item: Item, code: str, text: str) -> None:
        item = item.tried(change.context.attempts)
        change.update_item(item, status=ItemStatus.REVOCATION_FAILED, code=code, text=text[:2000])
        change.publish(ItemRevocationFailed(item=item.about, code=code, text=text[:2000]))

    # Outcomes

    def granted(
        self, delivery: Delivery, operation: Operation, outcome: Outcome, context: Context
    ) -> Decision[Delivery]:
        """Also when the item has failed or was cancelled since: the customer has access now."""
        change = DeliveryChange(delivery, context)
        item = change.item(operation.about())
        action = self._present(item, operation)
        if action is None:
            self._revoke_there(change, item, self.action_of(operation))
        elif item.status in (ItemStatus.IN_PROGRESS, ItemStatus.FAILED):
            self._deliver(change, item, action)
        elif item.status is not ItemStatus.DELIVERED:
            self._revoke_access(change, item)
        return watched(change)

    def not_granted(
        self, delivery: Delivery, operation: Operation, outcome: FailedOutcome, context: Context
    ) -> Decision[Delivery]:
        """After several calls one of them may have been carried out although its answer never came."""
        change = DeliveryChange(delivery, context)
        item = change.item(operation.about())
        action, in_doubt = self._present(item, operation), bool(context.attempts)
        if action is None:
            if in_doubt:
                self._revoke_there(change, item, self.action_of(operation))
        elif _is_superseded(item, operation):
            if item.status in WANTED:
                change.update_item(item, in_doubt=True)
        elif item.status is ItemStatus.IN_PROGRESS:
            change.fail_item(item, *reason_of(outcome), in_doubt=in_doubt)
        elif item.status is ItemStatus.STOPPING and (in_doubt or item.in_doubt):
            self._revoke_access(change, item)
        elif item.status is ItemStatus.STOPPING:
            change.mark_revoked(item, code="", text="")
        return watched(change)

    def grant_unresolved(
        self, delivery: Delivery, operation: Operation, outcome: UnresolvedOutcome, context: Context
    ) -> Decision[Delivery]:
        """The customer may have access: also where staff had settled or cancelled the item meanwhile."""
        change = DeliveryChange(delivery, context)
        item = change.item(operation.about())
        action = self._present(item, operation)
        if action is None:
            self._revoke_there(change, item, self.action_of(operation))
        elif _is_superseded(item, operation) and item.status in WANTED:
            change.update_item(item, in_doubt=True)
        elif item.status is ItemStatus.IN_PROGRESS:
            change.fail_item(item, *reason_of(outcome), in_doubt=True)
        elif item.status is ItemStatus.FAILED:
            change.update_item(item, in_doubt=True)
        elif item.status is not ItemStatus.DELIVERED:
            self._revoke_access(change, item)
        return watched(change)

    def revoked(
        self, delivery: Delivery, operation: Operation, outcome: Outcome, context: Context
    ) -> Decision[Delivery]:
        """Also when staff had settled it as not revoked: the customer has no access now."""
        change = DeliveryChange(delivery, context)
        item = change.item(operation.about())
        action, kept = self._present(item, operation), self.kept_text(outcome)
        if action is None:
            change.update_item(self.without_left(item, self.action_of(operation)))
        elif item.status in HAS_ACCESS:
            self._request(change, item, action)
        elif item.status in (ItemStatus.REVOKING, ItemStatus.REVOCATION_FAILED):
            change.mark_revoked(item, code="kept" if kept else "", text=kept)
        return watched(change)

    def not_revoked(
        self,
        delivery: Delivery,
        operation: Operation,
        outcome: FailedOutcome | UnresolvedOutcome,
        context: Context,
    ) -> Decision[Delivery]:
        """Of a former action whatever the item's status is."""
        change = DeliveryChange(delivery, context)
        item = change.item(operation.about())
        action, (code, text) = self._present(item, operation), reason_of(outcome)
        if action is None:
            self._left_there(change, item, self.action_of(operation), code, text)
        elif item.status is ItemStatus.REVOKING and not _is_superseded(item, operation):
            self._revocation_failed(change, item, code, text)
        elif item.status in HAS_ACCESS and isinstance(outcome, UnresolvedOutcome):
            self._request(change, item, action)
        return watched(change)


def _number_of(operation: object) -> int:
    """0: its kind does not count them."""
    return getattr(operation, "number", 0)


def _is_superseded(item: Item, operation: object) -> bool:
    """A later call decides about the item."""
    return _number_of(operation) not in (0, item.calls)


def handle_outcomes(kind: AccessKind[Any]) -> None:
    """Register the kind's handlers."""
    granting: Any = kind.granting
    revoking: Any = kind.revoking
    deliveries.answers(granting.Done)(kind.granted)
    deliveries.answers(granting.Failed)(kind.not_granted)
    deliveries.answers(granting.Unresolved)(kind.grant_unresolved)
    deliveries.answers(revoking.Done)(kind.revoked)
    deliveries.answers(revoking.Failed, revoking.Unresolved)(kind.not_revoked)
