"""Messages of staff, which owns what people who work with orders keep for themselves. Key: `<store>/<view>`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.contracts.values import Id, Line, Short
from shared.core import Command, Event, Refusal, Topic
from shared.core.descriptions import Means

COMMANDS = Topic("staff.commands.v1", owner="staff", description="Views of lists that staff save.")
EVENTS = Topic("staff.events.v1", owner="staff", description="Facts about what staff keep.")

ListName = Annotated[
    Literal["orders", "payments", "transactions", "deliveries", "customers"],
    Means("Which list it is a view of."),
]
ViewName = Annotated[Line, Field(min_length=1), Means("What staff call it.")]


class SaveView(Command, type="view.save", topic=COMMANDS):
    """Save a view of a list under a name, or change one: what is shown, in which order, in which columns. A private one
    is its maker's; a shared one may be changed by everybody who may save views of the store."""

    name: ViewName
    list: ListName = "orders"
    filters: tuple[Line, ...] = Field(default=(), max_length=50)
    """As the list takes them in its query: `status=paid`, `country=FI`."""
    search: Line = ""
    """A piece of text that is searched for."""
    period: Line = ""
    """Of the orders: `2026-01-01/2026-01-31`, or one that moves: `last-30-days`. Empty: any."""
    sort: Line = ""
    """As the list takes it: `-placed_at`. Empty: the list's own."""
    columns: tuple[Id, ...] = Field(default=(), max_length=50)
    """In this order. Empty: the list's own."""
    shared: bool = False
    """Everybody who may read the store's lists sees it."""


class RemoveView(Command, type="view.remove", topic=COMMANDS):
    """Remove a saved view."""


class ViewSaved(Event, type="view.saved", topic=EVENTS):
    """A view was saved or changed."""

    name: Short
    """What staff call it."""
    list: Short
    """Which list it is a view of."""
    shared: bool
    """Everybody who may read the store's lists sees it."""


class ViewRemoved(Event, type="view.removed", topic=EVENTS):
    """A saved view was removed."""

    name: Short
    """What staff called it."""


class StaffRefused(Refusal, type="staff.refused", topic=EVENTS):
    """A command to staff was refused and changed nothing."""
