"""The delivery's record on `deliveries.status.v1`: whole, as it is now, for any staff tool."""

from __future__ import annotations

from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, Parcel, Stage
from shared.contracts.delivery_status import DeliveryStatusRecord, ExecutionState, ParcelState
from shared.core.quick_models import build

QUIET = (ItemStatus.IN_PROGRESS, ItemStatus.DELIVERED)
"""Of executions that go on as they should."""
MANY, SHORT = 50, 200
"""With more executions, or longer texts, the record has short ones and no attempts, so that it fits into a message."""
MOST_CHARACTERS = 150_000
"""Of all texts: in UTF-8 up to four times as many bytes."""
MOST_BYTES, PLAIN_BYTES, TEXTS = 800_000, 350, 5
"""Of the record; of an execution without its texts; how many texts it has."""
CUT = ("name", "code", "text", "carrier", "tracking")
LATEST = 5
"""Attempts of each execution."""


def is_told(delivery: Delivery) -> bool:
    """From payment on. What goes on as it should is over within seconds, as a rule: it is told when all of it is, or
    when it is known why it is not."""
    if delivery.stage is Stage.PLACED or not delivery.items:
        return False
    return not delivery.in_progress() or any(item.status not in QUIET or item.code for item in delivery.items)


def last_record(delivery: Delivery) -> DeliveryStatusRecord | None:
    """As it was told last; None if nothing was told of it yet."""
    return status_record(delivery) if delivery.updated_at else None


def status_record(delivery: Delivery) -> DeliveryStatusRecord:
    assert delivery.updated_at is not None
    return build(
        DeliveryStatusRecord,
        store=delivery.store,
        stage=delivery.stage.value,
        held=delivery.held,
        revision=delivery.revision,
        updated_at=delivery.updated_at,
        executions=_executions(delivery),
        to_start=delivery.to_start or None,
    )


def _executions(delivery: Delivery) -> tuple[ExecutionState, ...]:
    items = delivery.items
    if len(items) <= MANY and sum(map(_characters, items)) <= MOST_CHARACTERS:
        return tuple(_execution(item, short=False) for item in items)
    most = max(20, (MOST_BYTES // len(items) - PLAIN_BYTES) // TEXTS)
    return tuple(_within(_execution(item, short=True), most) for item in items)


def _characters(item: Item) -> int:
    attempts = sum(len(attempt.error) for attempt in item.attempts[-LATEST:])
    parcels = sum(len(parcel.carrier) + len(parcel.tracking) for parcel in item.parcels[-LATEST:])
    return len(item.text) + attempts + parcels


def _within(state: ExecutionState, most: int) -> ExecutionState:
    """With texts of at most so many bytes."""
    texts = {name: value for name in CUT if isinstance(value := getattr(state, name), str)}
    cut = {name: shorter for name, text in texts.items() if (shorter := _cut(text, most)) != text}
    return state.model_copy(update=cut) if cut else state


def _cut(text: str, most: int) -> str:
    data = text.encode()
    return text if len(data) <= most else f"{data[: most - 3].decode(errors='ignore')}…"


def _execution(item: Item, *, short: bool) -> ExecutionState:
    """Neither links nor codes: any reader of them has the goods."""
    given = item.instructions
    return build(
        ExecutionState,
        execution=item.id,
        about=item.about,
        name=item.product,
        quantity=item.quantity,
        kind=item.action.kind if item.action else None,
        version=item.version,
        status=item.status.value,
        code=item.code or None,
        text=item.text[:SHORT] if short else item.text,
        attempts=() if short else item.attempts[-LATEST:],
        in_doubt=item.in_doubt,
        stock=item.stock.value,
        carrier=given.carrier if given else None,
        tracking=given.tracking if given else None,
        expires=given.expires if given else None,
        parcels=() if short else tuple(map(_parcel, item.parcels[-LATEST:])),
        returned=item.returned,
    )


def _parcel(parcel: Parcel) -> ParcelState:
    return ParcelState(
        parcel=parcel.id,
        quantity=parcel.quantity,
        carrier=parcel.carrier,
        tracking=parcel.tracking,
        sent_at=parcel.sent_at,
        delivered_at=parcel.delivered_at,
    )
