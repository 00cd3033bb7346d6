"""What one message changes about a delivery, with the verbs that all kinds of items share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.fulfillment.domain.delivery import WAITING, Delivery, Item, ItemStatus, Reminder, Stage, StockHold
from services.fulfillment.domain.person import without_person
from services.fulfillment.domain.pool import CodePool
from services.fulfillment.domain.staff_waits import (
    FIRST_REMINDER,
    StillWaiting,
    is_held,
    is_paused,
    is_told_otherwise,
    next_reminder,
    told,
    waits_for_staff,
)
from services.fulfillment.domain.status_record import is_told, status_record
from services.fulfillment.domain.stock import Stock, movement
from shared.contracts.delivery_work import DeliveryResent, ResentItem
from shared.contracts.fulfillment import (
    ItemDelivered,
    ItemFailed,
    ItemProgressed,
    ItemRetried,
    ItemRevocationFailed,
    ItemRevoked,
    ItemWaiting,
    PartStatus,
    StockReleased,
)
from shared.contracts.stock import StockLow
from shared.contracts.values import Instructions
from shared.core import Change, Context, Decision, Event, FailedOutcome, UnresolvedOutcome
from shared.core.fast_dataclasses import replace
from shared.core.portions import in_messages

Progress = ItemDelivered | ItemProgressed | ItemWaiting | ItemFailed | ItemRevoked | ItemRevocationFailed
"""Facts that say how many items are still in progress."""


class DeliveryChange(Change[Delivery]):
    """Its verbs about an item return the changed item."""

    def __init__(self, delivery: Delivery, context: Context) -> None:
        super().__init__(delivery, context)
        self._updated: dict[str, Item] = {}
        self._released: dict[str, int] = {}
        self._resent: list[ResentItem] = []
        self._by_about: dict[str, list[str]] | None = None
        """Ids of executions, by what they are for."""
        self._known = {item.id: item for item in delivery.items}

    @property
    def items(self) -> list[Item]:
        """With the changes so far; new ones last."""
        return [*(self._known | self._updated).values()]

    def item(self, id: str) -> Item:
        item = self._updated.get(id) or self._known.get(id)
        if item is None:
            raise LookupError(f"the order has no item {id!r}")
        return item

    def update_item(self, item: Item, **fields: Any) -> Item:
        updated = self._updated[item.id] = replace(item, **fields)
        return updated

    def put_item(self, item: Item) -> Item:
        """A new one, or another state of one that is known."""
        self._updated[item.id], self._by_about = item, None
        return item

    def others(self, item: Item) -> list[Item]:
        """The other executions for the same thing."""
        if len(self._known | self._updated) == 1:
            return []
        if self._by_about is None:
            self._by_about = {}
            for each in self.items:
                self._by_about.setdefault(each.about, []).append(each.id)
        return [self.item(id) for id in self._by_about.get(item.about, ()) if id != item.id]

    # Its delivery

    def deliver_item(self, item: Item, instructions: Instructions, *, quiet: bool = False) -> None:
        """`quiet`: the customer is not told."""
        attempts = tuple(self.context.attempts)
        item = self.leave_queue(item).tried(attempts)
        self.update_item(
            item,
            status=ItemStatus.DELIVERED,
            instructions=instructions,
            code_requested=False,
            codes_seen=item.codes_seen or instructions.kind == "code",
            outside=None,
            code="",
            text="",
        )
        status, text = self._status_of(item)
        given = _given(item, instructions) | {"attempts": attempts, "quiet": quiet}
        if status == "delivered":
            self.publish(ItemDelivered(**given))
        else:
            self.publish(ItemProgressed(**given, status=status, text=text))

    def deliver_part(self, item: Item, instructions: Instructions) -> None:
        """Of an item that goes on waiting for the rest."""
        status, text = self._status_of(item)
        self.publish(ItemProgressed(**_given(item, instructions), status=status, text=text))

    def resend_item(self, item: Item, given: Sequence[Instructions] | None = None) -> None:
        """To the customer, once more, with what staff gave in addition. Without `given`: its instructions."""
        own = given if given is not None else ([item.instructions] if item.instructions else [])
        all_of_it = (*own, *item.attached)
        self._resent += [ResentItem(item=item.about, instructions=one, name=name_of(item)) for one in all_of_it]

    def await_item(
        self, item: Item, status: ItemStatus, code: str, text: str, *, alert: bool = False, **fields: Any
    ) -> Item:
        """For something that staff do. `alert`: that they do not expect."""
        if item.status is ItemStatus.IN_PROGRESS:  # otherwise this is known already
            self.publish(ItemWaiting(item=item.about, code=code, text=text, alert=alert, name=name_of(item)))
        return self.update_item(item, status=status, code=code, text=text, **fields)

    def fail_item(self, item: Item, code: str, text: str, *, in_doubt: bool = False) -> None:
        attempts = tuple(self.context.attempts)
        item = self.leave_queue(item).tried(attempts)
        self.update_item(
            item,
            status=ItemStatus.FAILED,
            code_requested=False,
            code=code,
            text=text,
            in_doubt=item.in_doubt or in_doubt,
        )
        self.publish(ItemFailed(item=item.about, code=code, text=text, attempts=attempts, name=name_of(item)))

    def mark_revoked(self, item: Item, **fields: Any) -> None:
        self.update_item(item, **{"status": ItemStatus.REVOKED, "code": "", "text": ""} | fields)
        if all(other.status is ItemStatus.REVOKED for other in self.others(item)):
            self.publish(ItemRevoked(item=item.about))
        elif self.state.stage is Stage.PAID:
            status, text = self._status_of(item)
            if status == "delivered" or any(it.status is ItemStatus.REVOCATION_FAILED for it in self.others(item)):
                self.publish(ItemProgressed(item=item.about, status=status, text=text, under_way=0))

    def tell_retried(self, versions: Mapping[str, int | None]) -> None:
        """Before what the restarted executions tell. `versions`: as in `ItemRetried`, by what they are for."""
        facts: list[Event] = []
        for about, version in versions.items():
            first = self.item(about)
            status, text = self._status_of(first)
            retried = ItemRetried(item=about, configuration=version, status=status, text=text, name=name_of(first))
            facts.append(retried)
        self.events[:0] = facts

    def _status_of(self, item: Item) -> tuple[PartStatus, str]:
        """Of what an execution is for, and why it waits or has failed: with all of its executions."""
        executions = [self.item(item.id), *self.others(item)]
        undone = [it for it in executions if it.status not in (ItemStatus.DELIVERED, ItemStatus.REVOKED)]
        if not undone:
            return "delivered", ""
        failed = next((it for it in undone if it.status is ItemStatus.FAILED), None)
        waits = next((it for it in undone if it.status in (*WAITING, ItemStatus.REVOCATION_FAILED)), None)
        if failed:
            return "failed", failed.text
        return ("waiting", waits.text) if waits else ("pending", "")

    def _tell_what_was_ended(self) -> None:
        """Less is under way than before, and nothing else says so: the customer may be waiting for the rest."""
        if self.state.stage is not Stage.PAID or any(isinstance(event, Progress) for event in self.events):
            return
        ended = [
            item
            for item in self._updated.values()
            if (before := self.state.find(item.id)) and before.status is ItemStatus.IN_PROGRESS
            if item.status is not ItemStatus.IN_PROGRESS
        ]
        if ended:
            status, text = self._status_of(ended[-1])
            self.publish(ItemProgressed(item=ended[-1].about, status=status, text=text, under_way=0))

    def _tell_what_failed_no_more(self) -> None:
        """Of several actions of an item the one that had failed was revoked: the others may wait, or be done."""
        failed = {item.about for item in self.state.items if item.status is ItemStatus.FAILED}
        if not failed:
            return
        told = {event.item for event in self.events if isinstance(event, Progress | ItemRetried)}
        changed = {item.about: item for item in self._updated.values() if item.about in failed - told}
        for about, item in changed.items():
            status, text = self._status_of(item)
            if self.state.stage is Stage.PAID and status in ("waiting", "delivered"):
                self.publish(ItemProgressed(item=about, status=status, text=text, under_way=0))

    def _with_status(self, event: Event) -> Event:
        if not isinstance(event, ItemRevocationFailed) or self.state.stage is not Stage.PAID:
            return event
        return event.model_copy(update={"status": self._status_of(self.item(event.item))[0]})

    # Its units

    def reserve_stock(self, item: Item) -> Item:
        return self._move(item, self._stock(item).reserve(item.quantity), StockHold.RESERVED, "")

    def take_stock(self, item: Item) -> Item:
        if item.stock is not StockHold.RESERVED:
            return item
        return self._move(item, self._stock(item).take(item.quantity), StockHold.TAKEN, "taken")

    def release_stock(self, item: Item, *, restock: bool = True) -> Item:
        """The units are released once; then the item holds none. Without `restock`, units that were taken are written
        off."""
        if not item.holds_stock:
            return item
        units = item.units_held
        if item.stock is StockHold.TAKEN:
            return self._return_taken(item, units, put_back=restock)
        self._released[item.sku] = self._released.get(item.sku, 0) + units
        return self._move(item, self._stock(item).release(units), StockHold.RELEASED, "")

    def return_units(self, item: Item, units: int, *, resaleable: bool) -> Item:
        """Units that the customer returned. Those that a refund has put back already are not put back again; those that
        it wrote off are here after all."""
        held = min(units, item.units_held)
        found = min(units - held, item.written_off) if resaleable else 0
        if held:
            item = self._return_taken(item, held, put_back=resaleable)
        if not found:
            return item
        stock = self._stock(item).find(found)
        item = self.update_item(item, put_back=item.put_back + found, written_off=item.written_off - found)
        self._released[item.sku] = self._released.get(item.sku, 0) + found
        return self._move(item, stock, item.stock, "put_back")

    def units_to_replace(self, item: Item) -> int:
        """Those that were sent before staff revoked it, and are sent again: all executions of an item share its
        stock."""
        if self.item(item.about).stock is StockHold.NONE:
            return 0
        replaced = max(one.taken_again for one in (item, *self.others(item)))
        return max(0, item.left + item.sent - replaced)

    def replace_units(self, item: Item) -> Item:
        """Take them from stock, which has them."""
        units, first = self.units_to_replace(item), self.item(item.about)
        if units:
            self._move(first, self._stock(item).lose(units), first.stock, "taken", f"{units} sent again")
        return self.update_item(self.item(item.id), taken_again=item.left + item.sent)

    def free_units(self, item: Item) -> int:
        return self._stock(item).free

    def _return_taken(self, item: Item, units: int, *, put_back: bool) -> Item:
        """Units that were taken: in stock again, or written off."""
        stock, hold = self._stock(item), StockHold.TAKEN if units < item.units_held else StockHold.RELEASED
        if not put_back:
            item = self.update_item(item, written_off=item.written_off + units)
            return self._move(item, stock.write_off(units), hold, "written_off", f"{units} sold and not put back")
        item = self.update_item(item, put_back=item.put_back + units)
        self._released[item.sku] = self._released.get(item.sku, 0) + units
        return self._move(item, stock.restock(units), hold, "put_back")

    def _stock(self, item: Item) -> Stock:
        return self.other(Stock, self.state.row_key(item.sku)) or Stock()

    def _move(self, item: Item, stock: Stock, hold: StockHold, why: str, reason: str = "") -> Item:
        """`why`: as in the SKU's history, empty where that has no part in it."""
        key, before, context = self.state.row_key(item.sku), self._stock(item), self.context
        stock = stock.watched(context.at)
        self.put(Stock, key, stock)
        if stock.low_since and not before.low_since:
            low = stock.low_stock or 0
            self.publish(StockLow(sku=item.sku, product=item.product, free=stock.free, low_stock=low))
        if why:
            self.record(movement(context, key, before, stock, why, reason=reason, order=context.key))
        return self.update_item(item, stock=hold)

    # Queues of orders that wait for codes

    def join_queue(self, item: Item, key: str) -> Item:
        """Have the pool wake the order when codes are added, if its queue has room."""
        pool = self.other(CodePool, key) or CodePool()
        if not pool.has_room_for(self.context.key):
            return self.update_item(item, queue="")
        self.put(CodePool, key, pool.with_order(self.context.key))
        return self.update_item(item, queue=key)

    def leave_queue(self, item: Item) -> Item:
        """The order itself leaves it when no other item waits there."""
        if not item.queue:
            return item
        if not any(other.queue == item.queue and other.id != item.id for other in self.items):
            pool = self.other(CodePool, item.queue) or CodePool()
            self.put(CodePool, item.queue, pool.without_order(self.context.key))
        return self.update_item(item, queue="")

    # What waits for staff

    def _watch_what_waits_for_staff(self) -> None:
        """They hear at once of what begins to wait, and are reminded while it does. Where nothing waits, and nothing
        did, this does nothing."""
        at, begun, untold = self.context.at, False, False
        for item in [*self._updated.values()]:
            waits = waits_for_staff(item)
            if waits is not (item.waits_since is not None):
                self.update_item(item, waits_since=at if waits else None)
                begun, untold = begun or waits, untold or (waits and not is_told_otherwise(item))
        held = self.state.held and is_held(self.state, self.items)
        if held is not (self.state.held_since is not None):
            self.set(held_since=at if held else None)
            begun, untold = held or begun, held or untold
        reminder = self.state.reminder
        if begun:
            known = any(item.waits_since and not is_told_otherwise(item) for item in self.state.items)
            if untold and not known and not self._tells_pauses_again(held):
                self._tell_at_once()
            due = next_reminder(at, 0, self.context.message_id.int)
            if reminder is None or reminder.due > due:
                self.set(reminder=Reminder(due))
                self.timer(due, StillWaiting())
        elif reminder and not self.state.held_since and not any(item.waits_since for item in self.items):
            self.set(reminder=None)
            self.cancel_timer(StillWaiting)

    def _tells_pauses_again(self, held: bool) -> bool:
        """Calls that are paused, resumed and paused again are news once a day."""
        last = self.state.pause_told
        if held or last is None or self.context.at - last >= FIRST_REMINDER:
            return False
        return all(is_paused(item) or is_told_otherwise(item) for item in self.items if item.waits_since)

    def _tell_at_once(self) -> None:
        if fact := told(self.state, self.items, self.context.at, again=False):
            self.publish(fact)
            if any(is_paused(item) for item in self.items):
                self.set(pause_told=self.context.at)

    def decision(self) -> Decision[Delivery]:
        if self._updated:
            self._tell_what_was_ended()
            self._tell_what_failed_no_more()
        for items in in_messages(self._resent):
            self.publish(DeliveryResent(items=items))
        self._watch_what_waits_for_staff()
        if self._updated:
            self.set(items=tuple(self.items))
        if self._released:
            self.events.insert(0, StockReleased(skus=self._released))
        if self.events:
            self.events = [self._with_status(event) for event in self.events]
            self.events = counted(self.events, self.state.in_progress())
        if self.changed and self.state.erased_at:
            self.state = without_person(self.state)
        if self.changed and is_told(self.state):
            self.set(revision=self.context.revised(self.state.revision), updated_at=self.context.at)
            self.publish(status_record(self.state))
        return super().decision()


def _given(item: Item, instructions: Instructions) -> dict[str, Any]:
    """What each fact says of what the customer got."""
    execution = item.id if item.number > 1 else None
    return {
        "item": item.about,
        "instructions": instructions,
        "under_way": 0,
        "execution": execution,
        "name": name_of(item),
    }


def name_of(item: Item) -> str | None:
    """Of what the offer, or every order, brings: checkout does not know it."""
    return item.product if item.is_extra else None


def counted(events: list[Event], in_progress: int) -> list[Event]:
    """Say in each fact how many items are to come after it, so that the last one says 0."""
    numbered: list[Event] = []
    for event in reversed(events):
        if isinstance(event, Progress):
            right = event.under_way == in_progress
            numbered.append(event if right else event.model_copy(update={"under_way": in_progress}))
            in_progress += 1
        else:
            numbered.append(event)
    return numbered[::-1]


def reason_of(outcome: FailedOutcome | UnresolvedOutcome) -> tuple[str, str]:
    """Code and text, within what a message may carry."""
    code = outcome.code if isinstance(outcome, FailedOutcome) else "unresolved"
    return code[:200], outcome.text[:2000]
