"""An order's timeline, rendered from its archived events and the record of its messages.

    events (the archive) ──► words by class of event ─┐
    message_records      ──► how each email ended    ─┴─► entries, by time

Pure functions: nothing is kept. An event that this build does not know gets an entry by its type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.staff.domain.archive import EventRow
from services.staff.domain.timeline import deliveries, orders, payments  # noqa: F401
from services.staff.domain.timeline.entry import SYSTEM, WORDS, OrderWords, TimelineEntry, Told
from services.staff.domain.timeline.messages import FACTS, SENT, SETTLED, Known, ended
from shared.contracts.envelope import BadMessage, decode
from shared.contracts.notifications import MessageStatusRecord
from shared.contracts.order_status import OrderStatusRecord
from shared.core import Event
from shared.core.messages import MESSAGES

__all__ = ["OrderWords", "TimelineEntry", "entry_of", "known_facts", "messages_ended", "timeline"]
LONGEST_TEXT = 2000


def timeline(
    events: Iterable[EventRow], record: OrderStatusRecord | None, messages: MessageStatusRecord | None = None
) -> Sequence[TimelineEntry]:
    """Of one order, by time. `record`: the order's latest; `messages`: that of its emails and webhook deliveries."""
    archived, words = [*events], OrderWords.of(record)
    found = [entry_of(event, words) for event in archived]
    if messages is not None:
        found += messages_ended(messages, known_facts(archived))
    return sorted(found, key=lambda entry: entry.place)


def entry_of(row: EventRow, words: OrderWords) -> TimelineEntry:
    event = _read(row)
    if event is None:
        told = Told(f"{row.type or 'An event'}, which this version of orderbus cannot read.", {}, "", "")
    else:
        told = WORDS[type(event)](event, words, row)
    return TimelineEntry(
        id=str(row.id),
        at=row.at,
        actor=told.actor or row.actor or SYSTEM,
        source=row.source,
        what=told.what or row.type,
        text=told.text[:LONGEST_TEXT],
        detail=told.detail,
        sequence=row.sequence,
    )


def _read(row: EventRow) -> Event | None:
    """None where this build does not know the event or cannot read it."""
    kind = MESSAGES.get((row.type, row.version))
    if kind not in WORDS or kind is None:
        return None
    try:
        event = decode(kind, row.body)
    except BadMessage:
        return None
    return event if isinstance(event, Event) else None


def known_facts(events: Iterable[EventRow]) -> Known:
    """How emails and webhook deliveries ended, as far as facts tell."""
    found = set()
    for row in events:
        event = _read(row) if row.type in FACTS else None
        message = getattr(event, "message", None)
        if message is not None:
            settled = row.type == SETTLED and getattr(event, "outcome", "") == "sent"
            found.add((message, SENT if settled else row.type))
    return found


def messages_ended(messages: MessageStatusRecord, known: Known) -> Sequence[TimelineEntry]:
    """What no fact tells: since builds tell it in the record of messages, most of it."""
    return [*ended(messages, known)]
