"""What staff do about deliveries: mark them as delivered, send them again, revoke, grant again, attach content."""

from __future__ import annotations

from collections.abc import Iterator

from services.fulfillment.domain.attached_files import attach_file, is_of_another, send_file
from services.fulfillment.domain.cancellation import revoke_item
from services.fulfillment.domain.change import DeliveryChange, name_of
from services.fulfillment.domain.delivery import (
    CANCELLED,
    WAITING,
    Delivery,
    Item,
    ItemStatus,
    Parcel,
    Stage,
    deliveries,
)
from services.fulfillment.domain.kinds import kind_of
from services.fulfillment.domain.locks import queues, stock_and_queues
from services.fulfillment.domain.selection import (
    few,
    item_problem,
    refused_for,
    returning_problem,
    select_items,
)
from services.fulfillment.domain.start import start_item
from shared.contracts.delivery_work import (
    AttachDelivery,
    DeliveryNoted,
    DeliveryResent,
    GrantAgainDelivery,
    MarkDeliveredDelivery,
    ResendDelivery,
    ResentItem,
    RevokeDelivery,
    StaffAction,
)
from shared.contracts.values import Instructions
from shared.core import Context, Decision, Problem, Refused
from shared.core.fast_dataclasses import replace

NOTHING_OPEN = Refused("nothing_open", "Nothing of the order is left to deliver by hand.")
NOTHING_DELIVERED = Refused("nothing_delivered", "Nothing of the order is delivered.")
NOTHING_TO_REVOKE = Refused("nothing_to_revoke", "Nothing of the order can be revoked.")
NOTHING_REVOKED = Refused("nothing_revoked", "Staff have revoked nothing of the order.")
MOST_ATTACHED = 20


def wrong_stage(delivery: Delivery) -> Refused | None:
    if delivery.stage is Stage.PAID:
        return delivery.why_not_begun
    if delivery.stage is Stage.PLACED:
        return Refused("not_paid", "The order is not paid yet.")
    return Refused("order_cancelled", "The order is cancelled.")


def _note(change: DeliveryChange, action: StaffAction, items: list[Item], reason: str) -> None:
    change.publish(DeliveryNoted(action=action, items=few(item.about for item in items), text=reason))


# Delivered by hand


@deliveries.on(MarkDeliveredDelivery, locks=queues)
def marked(delivery: Delivery, command: MarkDeliveredDelivery, context: Context) -> Decision[Delivery] | Refused:
    wrong = wrong_stage(delivery)
    items = wrong or select_items(delivery, command.items, command.executions, _marking_problem, NOTHING_OPEN)
    if isinstance(items, Refused):
        return items
    if problems := [*_code_problems(command)]:
        return refused_for(problems)
    if command.codes and len(items) > 1:
        ids = ", ".join(few(item.id for item in items)) or f"{len(items)} executions"
        return Refused("several_executions", f"Say which execution the codes are for, of {ids}.")
    change, given = DeliveryChange(delivery, context), _given_by_hand(command)
    _note(change, "marked_delivered", items, command.reason)
    for number, item in enumerate(items):
        # The customer reads the note once.
        own = given if number == 0 else given.model_copy(update={"note": None})
        kind_of(item).deliver_by_hand(change, item, own, quiet=not command.notify)
    return change.decision()


def _code_problems(command: MarkDeliveredDelivery) -> Iterator[Problem]:
    codes = _codes(command)
    if not all(codes):
        yield Problem(field="codes", code="empty_code", text="A code must not be empty or blank.")
    if len(set(codes)) < len(codes):
        yield Problem(field="codes", code="repeated_code", text="A code is named twice.")


def _codes(command: MarkDeliveredDelivery) -> tuple[str, ...]:
    return tuple(code.strip() for code in command.codes)


def _given_by_hand(command: MarkDeliveredDelivery) -> Instructions:
    codes, note = _codes(command), command.note or None
    if not codes:
        return Instructions(kind="manual", note=note)
    joined = ", ".join(codes)
    shown = joined if len(joined) <= 200 else f"{len(codes)} codes"
    return Instructions(kind="code", code=shown, codes=codes if len(codes) > 1 else (), note=note)


def _marking_problem(item: Item) -> Problem | None:
    """A call that is under way could deliver it once more, unless its kind knows that staff settle it."""
    if item.status in CANCELLED:
        return item_problem(item.id, "item_revoked", f"Item {item.id} was refunded or revoked.")
    if item.status is ItemStatus.DELIVERED:
        return item_problem(item.id, "already_delivered", f"Item {item.id} is already delivered.")
    if (item.status is ItemStatus.FAILED or item.status in WAITING) and not item.code_requested:
        return returning_problem(item)
    if item.status is ItemStatus.IN_PROGRESS and kind_of(item).settleable:
        return None
    return item_problem(item.id, "in_progress", f"Item {item.id} is being delivered right now. Try again shortly.")


# Sent again


@deliveries.on(ResendDelivery)
def resent(delivery: Delivery, command: ResendDelivery, context: Context) -> Decision[Delivery] | Refused:
    wrong = wrong_stage(delivery)
    items = wrong or select_items(delivery, command.items, command.executions, _resending_problem, NOTHING_DELIVERED)
    if isinstance(items, Refused):
        return items
    change = DeliveryChange(delivery, context)
    _note(change, "resent", items, command.reason)
    for item in items:
        kind_of(item).resend(change, item)
        for file in item.files:
            send_file(change, item, file)
    return change.decision()


def _resending_problem(item: Item) -> Problem | None:
    if item.status is ItemStatus.DELIVERED:
        return None
    return item_problem(item.id, "not_delivered", f"Item {item.id} is {item.status}: there is nothing to send again.")


@deliveries.on(AttachDelivery)
def attached(delivery: Delivery, command: AttachDelivery, context: Context) -> Decision[Delivery] | Refused:
    item = delivery.find(command.item)
    wrong = attaching_refusal(delivery, command, context.key)
    if wrong or item is None:
        return wrong or Refused("unknown_item", f"The order has no item {command.item}.")
    change = DeliveryChange(delivery, context)
    if command.file:
        _note(change, "attached", [item], command.reason)
        item = attach_file(change, item, command)
        if command.notify:
            send_file(change, item, item.files[-1])
        return change.decision()
    given = Instructions(kind="manual", link=command.link, note=command.note or None)
    _note(change, "attached", [item], command.reason)
    change.update_item(item, attached=(*item.attached, given))
    if command.notify:
        sent = ResentItem(item=item.about, instructions=given, name=name_of(item))
        change.publish(DeliveryResent(items=(sent,)))
    return change.decision()


def attaching_refusal(delivery: Delivery, command: AttachDelivery, order: str) -> Refused | None:
    item = delivery.find(command.item)
    if wrong := wrong_stage(delivery):
        return wrong
    if item is None:
        return Refused("unknown_item", f"The order has no item {command.item}.")
    if item.status in CANCELLED:
        return Refused("item_revoked", f"Item {item.id} was refunded or revoked.")
    if len(item.attached) + len(item.files) >= MOST_ATTACHED:
        return Refused("too_many", f"An item has at most {MOST_ATTACHED} attachments.")
    return _content_refusal(command, order)


def _content_refusal(command: AttachDelivery, order: str) -> Refused | None:
    if command.file and command.link:
        return Refused("link_and_file", "Give a link or a file: each is attached by a command of its own.")
    if command.file and is_of_another(command.file, order):
        return Refused("wrong_file", "This file belongs to another order, or is not a file name.")
    if not (command.file or command.link or command.note.strip()):
        return Refused("nothing_to_attach", "Give a link, a file, a note, or a note with either.")
    return None


# Revoked, and granted again


@deliveries.on(RevokeDelivery, locks=queues)
def revoked_by_staff(delivery: Delivery, command: RevokeDelivery, context: Context) -> Decision[Delivery] | Refused:
    wrong = wrong_stage(delivery)
    items = wrong or select_items(delivery, command.items, command.executions, _revoking_problem, NOTHING_TO_REVOKE)
    if isinstance(items, Refused):
        return items
    change = DeliveryChange(delivery, context)
    _note(change, "revoked", items, command.reason)
    for item in items:
        left = item.left + _units_sent(item)
        revoke_item(change, item)
        change.update_item(change.item(item.id), withdrawn=True, left=left, parcels=_former(item))
    return change.decision()


def _revoking_problem(item: Item) -> Problem | None:
    if item.status in CANCELLED:
        return item_problem(item.id, "item_revoked", f"Item {item.id} was refunded or revoked already.")
    return None


def _units_sent(item: Item) -> int:
    if not kind_of(item).sends_units:
        return item.sent
    return item.quantity if item.status is ItemStatus.DELIVERED else item.sent


def _former(item: Item) -> tuple[Parcel, ...]:
    return tuple(replace(parcel, former=True) for parcel in item.parcels)


@deliveries.on(GrantAgainDelivery, locks=stock_and_queues)
def granted_again(delivery: Delivery, command: GrantAgainDelivery, context: Context) -> Decision[Delivery] | Refused:
    """As it was bought."""
    wrong = wrong_stage(delivery)

    def problem_of(item: Item) -> Problem | None:
        return _granting_problem(item) or _returned_problem(delivery, item)

    waits = [problem for item in delivery.items if item.withdrawn and (problem := problem_of(item))]
    none = refused_for(waits) if waits else NOTHING_REVOKED
    items = wrong or select_items(delivery, command.items, command.executions, problem_of, none)
    if isinstance(items, Refused):
        return items
    change = DeliveryChange(delivery, context)
    if problems := [problem for item in items if (problem := _replaced(change, item))]:
        return refused_for(problems)
    for item in items:
        start_item(change, change.update_item(change.item(item.id), withdrawn=False, in_doubt=False))
    change.tell_retried(dict.fromkeys((item.about for item in items), None))
    change.events.insert(0, _granted(items, command.reason))
    return change.decision()


def _replaced(change: DeliveryChange, item: Item) -> Problem | None:
    """Units that were sent are taken from stock again."""
    if kind_of(item).sends_units and (units := change.units_to_replace(item)):
        free = change.free_units(item)
        if units > free:
            text = f"{units} were sent and have to be taken from stock again, which has {free} free. Add stock first."
            return item_problem(item.id, "sold_out", f"Item {item.id}: {text}")
        item = change.replace_units(item)
    change.update_item(item, left=item.left + item.sent, parcels=_former(item))
    return None


def _returned_problem(delivery: Delivery, item: Item) -> Problem | None:
    """Its units are in stock again, or written off: what is sent now must be sold, to be counted."""
    first = delivery.find(item.about)
    if first is None or not first.returned or not kind_of(item).sends_units:
        return None
    text = f"{first.returned} of item {item.id} came back: to send it again, place another order."
    return item_problem(item.id, "returned", text)


def _granted(items: list[Item], reason: str) -> DeliveryNoted:
    return DeliveryNoted(action="granted_again", items=few(item.about for item in items), text=reason)


def _granting_problem(item: Item) -> Problem | None:
    if not item.withdrawn:
        return item_problem(item.id, "not_revoked", f"Item {item.id} was not revoked by staff.")
    if item.returning:
        text = f"The codes of item {item.id} are being returned to their pool. Grant it again in a moment."
        return item_problem(item.id, "not_revoked_yet", text)
    if item.status is not ItemStatus.REVOKED:
        text = f"Item {item.id} is {item.status}: it can be granted again once it is revoked."
        return item_problem(item.id, "not_revoked_yet", text)
    return None
