"""In-app feeds: one per customer of a store, one for the store's staff.

A recipient is `<store>~staff`, `<store>~customer~<customer id>`, or for one who was not known by an id
`<store>~guest~<first 24 hex digits of SHA-256 of the lower-case email>`: stable, and no address in a URL or a log.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from services.notifications.domain.operations import FeedEntry
from services.notifications.domain.state import Audience, NotificationLog, Person
from shared.core import Context


@dataclass(frozen=True, slots=True)
class Note:
    """An entry to be."""

    audience: Audience
    kind: str
    title: str
    text: str = ""
    link: str | None = None


def staff_of(store: str) -> str:
    return f"{store}~staff"


def recipient_of(store: str, customer: Person) -> str:
    """The feed of a customer."""
    if customer.id:
        return f"{store}~customer~{customer.id}"
    return f"{store}~guest~{hashlib.sha256(customer.email.lower().encode()).hexdigest()[:24]}"


def entry(thread: NotificationLog, note: Note, context: Context) -> FeedEntry:
    store = thread.store.id
    return FeedEntry(
        key=staff_of(store) if note.audience == "staff" else recipient_of(store, thread.customer),
        id=context.new_id(),
        order_id=context.key,
        number=thread.number,
        kind=note.kind,
        title=note.title,
        text=note.text,
        link=note.link,
        at=context.at,
    )
