"""The invariants, asked of the keys that are due; what one check cannot see, the next one asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from deploy.check.book import Book
from deploy.check.databases import Database, Rows, UnreadableRow
from deploy.check.slices import SIZE, Answers, Setting, Slices
from services.declared import declared
from services.payments.gateways.provider import ProviderMovement
from shared.core import Ref, Task, codec
from shared.shell.service.registry import HandlerRegistry
from tests.unit.checkout.examples import START, paid_order, reserved_order
from tests.unit.notifications.examples import paid_order as notified_order
from tests.unit.notifications.examples import webhook

AT = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)
REGISTRIES = {name: HandlerRegistry(declared()[name]) for name in ("checkout", "fulfillment", "notifications")}


class Kept:
    """A database in which these rows are."""

    def __init__(self, registry: HandlerRegistry, rows: Rows) -> None:
        self.registry, self._kept = registry, rows

    async def rows(self, keys: Sequence[str], since: datetime) -> Rows:
        return self._kept

    async def state(self, ref: Ref[Any]) -> Any:
        raise UnreadableRow(f"{self.registry.name}, {ref.kind.__name__} {ref.key}: its data cannot be read (E)")


def row_of(state: Any, service: str = "checkout", at: datetime = START, key: str = "o-1") -> tuple[Any, Any]:
    table = REGISTRIES[service].tables[type(state)]
    columns = table.columns(state)
    row = {
        **columns,
        "key": key,
        "version": 1,
        "sequence": 0,
        "data": codec.dump(state),
        "changed_at": at,
        "moves": False,
    }
    return table, row


async def asked(
    path: Path, rows: Rows, at: datetime, due: Sequence[str] = (), others: Mapping[str, Rows] = {}, **setting: Any
) -> Answers:
    """By one check, which goes on from the one before: nothing but `due` has changed since."""
    book = Book(path)
    book.due_again()
    book.add_due(due)
    kept = {name: Rows() for name in REGISTRIES} | {"checkout": rows, **others}
    services = cast("Mapping[str, Database]", {name: Kept(REGISTRIES[name], rows) for name, rows in kept.items()})
    slices = Slices(book, services, Setting(at, at - timedelta(seconds=2), {name: {} for name in kept}, **setting))
    await slices.ask()
    book.close(keep=True)
    return slices.answers


async def waits_unseen(path: Path, rows: Rows, at: datetime, due: Sequence[str] = (), **more: Any) -> list[str]:
    return (await asked(path, rows, at, due, **more)).invariants.get("no_order_waits_unseen", [])


async def test_what_time_alone_breaks_is_seen_by_the_next_check(tmp_path: Path) -> None:
    """No row of the order changes: its payment becomes overdue, though the timer was lost."""
    order, book = reserved_order().state, tmp_path / "checks.db"
    assert order.deadline is not None
    lost = Rows(states=[row_of(order)])
    assert await waits_unseen(book, lost, order.deadline, ["o-1"]) == []
    (named,) = await waits_unseen(book, lost, order.deadline + timedelta(hours=2))
    assert "waits for a payment that was due" in named


async def test_work_that_vanishes_is_missed_by_the_next_check(tmp_path: Path) -> None:
    order, book = paid_order().state, tmp_path / "checks.db"
    rows, call = Rows(states=[row_of(order)]), Rows(under_way={("o-1", Task("fulfillment", "TakeCode", "1"))})
    assert await waits_unseen(book, rows, AT, ["o-1"], others={"fulfillment": call}) == []
    (named,) = await waits_unseen(book, rows, AT)
    assert "no work is in progress" in named


def test_a_key_that_work_is_under_way_for_counts_in_sums() -> None:
    """It is not in motion: the timer of an unpaid order takes days."""
    book = Book(None)
    book.add_movements([ProviderMovement("pi_1", 500, "EUR", "o-1")])
    book.add_later(["o-1"])
    assert (book.sums(), list(book.again())) == ({"EUR": 500}, [])


async def test_an_unreadable_row_that_rules_of_many_rows_need_is_named_once(tmp_path: Path) -> None:
    log = notified_order(webhook("crm", ["order.received"])).state
    keys = [f"o-{number}" for number in range(SIZE + 1)]
    logs = Rows(states=[row_of(log, "notifications", key=key) for key in (keys[0], keys[-1])])
    found = (await asked(tmp_path / "checks.db", Rows(), AT, keys, {"notifications": logs})).whole()
    unreadable = f"notifications, Endpoints {log.store.id}: its data cannot be read (E)"
    assert {name: texts for name, texts in found.items() if texts} == {"rows_agree": [unreadable]}
