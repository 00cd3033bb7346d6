"""A kind of action: one way in which items are delivered. Each is a file of `kinds/` and a line in its table."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import WAITING, Item, ItemStatus
from services.fulfillment.domain.operations import GiveCodes
from shared.contracts.fulfillment import Action
from shared.contracts.values import Instructions
from shared.core import Operation

ConfigurationT = TypeVar("ConfigurationT")


class Kind(Generic[ConfigurationT]):
    """What is particular about it. Its methods change an item whose action is of this kind."""

    ended_by: ClassVar[tuple[type[Operation], ...]] = ()
    """The calls that end an item's progress."""
    settleable: ClassVar[bool] = False
    """Another system delivers it: outcomes may stay unknown, and staff can say how they were."""
    sends_units: ClassVar[bool] = False
    """Staff send its units: those that were not sent cannot come back."""

    def begin(self, change: DeliveryChange, item: Item, action: ConfigurationT) -> None:
        """Deliver an item that is `in_progress` from now on."""
        raise NotImplementedError

    def can_restart(self, item: Item, latest: Action | None) -> bool:
        """Whether staff can have it delivered again: as it was bought, or, if given, as `latest` says."""
        changed = latest is not None and latest != item.action
        return item.status is ItemStatus.FAILED or (item.status in WAITING and changed)

    def replace(self, change: DeliveryChange, item: Item, action: Action | None) -> None:
        """Before it is delivered again, as `action` says: undo what could be left elsewhere."""

    def deliver_by_hand(self, change: DeliveryChange, item: Item, given: Instructions, *, quiet: bool) -> None:
        """Staff did it. `quiet`: the customer is not told."""
        change.deliver_item(item, given, quiet=quiet)
        if given.kind == "code":
            give_codes(change, item, change.state.row_key(""), given, quiet=quiet)

    def revoke(self, change: DeliveryChange, item: Item) -> None:
        """Of an item that was started, and is not revoked yet: end what is in progress, revoke what was given."""
        change.mark_revoked(change.leave_queue(item), code_requested=False)

    def resend(self, change: DeliveryChange, item: Item) -> None:
        """Send the customer again what was delivered. The item stays delivered, whatever the outcome."""
        change.resend_item(item)

    def revoke_again(self, change: DeliveryChange, item: Item) -> None:
        """After a revocation failed."""

    def can_revoke_again(self, item: Item) -> bool:
        """Of an item whose revocation failed: not while it may have been revoked by what must not be done twice."""
        return True

    def revoke_left(self, change: DeliveryChange, item: Item) -> None:
        """What `replace` could not undo, of an item that may be of another kind by now."""

    def settle_as_delivered(self, change: DeliveryChange, item: Item) -> None:
        """Staff say that it was delivered. Only if it is `settleable`."""
        raise NotImplementedError


def give_codes(change: DeliveryChange, item: Item, pool: str, given: Instructions, *, quiet: bool = False) -> None:
    """Have codes that staff typed recorded as those of the item. `pool`: key, `<store>/` where there is none."""
    codes = given.codes or ((given.code,) if given.code else ())
    seen = item.has_seen_codes
    give = GiveCodes(pool, change.context.key, item.id, codes, keep=seen, note=given.note, quiet=quiet)
    change.request(give)
    change.update_item(change.item(item.id), returning=item.returning + 1)
