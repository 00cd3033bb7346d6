"""The invariants, asked of some keys at a time: what the book and the databases say of them fits into memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from deploy.check import facts
from deploy.check.book import Book, Entry
from deploy.check.databases import Database, Rows, UnreadableRow
from deploy.check.evidence import Findings
from services.checkout.domain.order import Order
from services.fulfillment.domain.delivery import Delivery
from services.payments.domain.ledger import PROVIDER_BALANCE
from services.payments.gateways.provider import ProviderMovement
from shared.core import Ref
from shared.invariants.facts import Unhandled
from shared.invariants.rules import violations

SIZE = 400
"""Keys of one slice."""
MOST = 1_000
"""Violations of one invariant that are kept."""

Positions = Mapping[str, Mapping[tuple[str, int], int]]
"""How far each service has read: the offset to read next, by topic and partition."""


@dataclass(frozen=True)
class Setting:
    """What is the same for all slices."""

    at: datetime
    since: datetime
    """Rows that changed later are in motion."""
    positions: Positions
    busy: Collection[str] = ()
    """Keys with records that are as new."""
    cut: frozenset[str] = frozenset()
    retention: timedelta | None = None
    told_since: datetime | None = None
    """The status topic was read from here on only."""
    window: datetime | None = None
    """So were all topics, each from here on."""


@dataclass
class Answers:
    """What all slices found together."""

    invariants: dict[str, list[str]] = field(default_factory=dict)
    orders: int = 0
    in_motion: int = 0
    _more: dict[str, int] = field(default_factory=dict)
    _said: dict[str, set[str]] = field(default_factory=dict)

    def add(self, found: Mapping[str, Sequence[str]]) -> None:
        """What is said already is not said again."""
        for name, texts in found.items():
            kept, said = self.invariants.setdefault(name, []), self._said.setdefault(name, set())
            new = [text for text in dict.fromkeys(texts) if text not in said]
            added = new[: MOST - len(kept)]
            kept += added
            said.update(added)
            self._more[name] = self._more.get(name, 0) + len(new)

    def whole(self) -> dict[str, list[str]]:
        more = {name: self._more.get(name, 0) - len(kept) for name, kept in self.invariants.items()}
        return {
            name: kept + ([f"… and {more[name]} more"] if more[name] else []) for name, kept in self.invariants.items()
        }


Lookup = Callable[[Sequence[str]], AsyncIterator[ProviderMovement]]
"""What the providers have of these references."""


class Slices:
    """`lookup`: for what the provider did not list, where only a part of it was read."""

    def __init__(
        self, book: Book, services: Mapping[str, Database], setting: Setting, lookup: Lookup | None = None
    ) -> None:
        self._book, self._services, self._setting, self._lookup = book, services, setting, lookup
        self._needed: dict[Ref[Any], Any] = {}
        self.answers = Answers()

    async def ask(self) -> None:
        """Ask all that is due. While one slice is asked, the next is read."""
        async for keys, entries, rows in self._read():
            found = self._findings(keys, entries, rows)
            await self._read_needed(found)
            await self._look_up(found)
            await asyncio.to_thread(self._ask, found)
            self._remember(keys, found)
            if self._setting.window:
                self._book.add_wanted(found.wanted(_changed(rows, self._setting.window)))

    async def _read(self) -> AsyncIterator[tuple[Sequence[str], Mapping[str, Entry], Mapping[str, Rows]]]:
        reading: asyncio.Task[dict[str, Rows]] | None = None
        before: Sequence[str] = ()
        try:
            for keys in self._book.slices(SIZE):
                following = asyncio.create_task(self._rows(keys))
                if reading is not None:
                    yield before, self._book.entries(before), await reading
                reading, before = following, keys
            if reading is not None:
                yield before, self._book.entries(before), await reading
        finally:
            if reading is not None:
                reading.cancel()

    async def _rows(self, keys: Sequence[str]) -> dict[str, Rows]:
        read = await asyncio.gather(*(database.rows(keys, self._setting.since) for database in self._services.values()))
        return dict(zip(self._services, read, strict=True))

    async def _read_needed(self, found: Findings) -> None:
        for service, ref in dict.fromkeys(found.needed()):
            if ref not in self._needed:
                try:
                    self._needed[ref] = await self._services[service].state(ref)
                except UnreadableRow as wrong:
                    self._needed[ref] = wrong
            state = self._needed[ref]
            if isinstance(state, UnreadableRow):
                found.problem(str(state))
                found.unknown.add(ref)
            elif state is not None:
                found.needed_row(ref, state)

    async def _look_up(self, found: Findings) -> None:
        """What began before the part of the provider's records that was read, and moved since."""
        if self._lookup is None or not (unlike := unlike_references(found)):
            return
        moved = [one async for one in self._lookup(sorted(unlike))]
        self._book.add_movements(moved)
        for one in moved:
            add_movement(found, one, instead=True)

    def _findings(self, keys: Sequence[str], entries: Mapping[str, Entry], rows: Mapping[str, Rows]) -> Findings:
        setting = self._setting
        found = Findings(setting.at, {name: database.registry for name, database in self._services.items()})
        found.cut, found.retention = setting.cut, setting.retention
        found.told_since, found.heads_cut = setting.told_since, setting.window is not None
        found.busy |= {key for key in keys if key in setting.busy}
        for name, read in rows.items():
            self._add_rows(found, name, read)
        for key, entry in entries.items():
            for source, numbers in entry.numbers.items():
                if source in self._services:
                    found.numbers(source, key, numbers)
            if entry.told is not None:
                found.told(key, entry.told)
            for movement in entry.movements:
                add_movement(found, movement)
            for one in entry.missing:
                position = setting.positions[one.service].get((one.topic, one.partition))
                if position is not None and one.offset >= position:
                    found.busy.add(key)  # its reader has not come so far
                else:
                    found.unhandled(Unhandled(one.service, one.type, key, one.id))
        return found

    def _add_rows(self, found: Findings, name: str, read: Rows) -> None:
        for table, row in read.states:
            found.row(name, table, row["key"], row["sequence"], row["data"], row)
            if row["moves"]:
                found.busy.add(row["key"])
        found.ledger += read.ledger
        found.busy |= {*read.waiting, *read.calling}
        for key, task in read.under_way:
            found.under_way[key].add(task)
        for key, count in read.waiting.items():
            found.waiting[name, key] = count
        for key in read.parked:
            found.parked[key].add(name)

    def _ask(self, found: Findings) -> None:
        evidence = found.of_keys()
        self.answers.add(violations(evidence))
        self.answers.orders += len(found.of(Order))
        self.answers.in_motion += len(found.busy)

    def _remember(self, keys: Sequence[str], found: Findings) -> None:
        deliveries = found.of(Delivery)
        holds = [
            (key, stock, reserved, taken)
            for key, delivery in deliveries.items()
            for stock, (reserved, taken) in facts.holds_of(delivery).items()
        ]
        self._book.set_holds(keys, holds)
        self._book.add_again({*found.busy, *found.parked})
        self._book.add_later({*found.under_way, *(key for key, order in found.of(Order).items() if order.deadline)})


def _changed(rows: Mapping[str, Rows], since: datetime) -> set[tuple[str, str]]:
    """Services and keys of rows that changed since then."""
    return {(name, row["key"]) for name, read in rows.items() for _, row in read.states if row["changed_at"] > since}


def add_movement(found: Findings, moved: ProviderMovement, *, instead: bool = False) -> None:
    """`instead`: of what the provider had of it before."""
    if instead:
        found.provider[:] = [one for one in found.provider if one.reference != moved.reference]
    if moved.amount > 0:
        found.charge(moved.reference, moved.amount, moved.currency, moved.order, "" if instead else moved.attempt)
    elif moved.amount < 0:
        refund = "" if instead else moved.refund
        found.refund(moved.reference, -moved.amount, moved.currency, moved.order, refund, moved.charge)


def unlike_references(found: Findings) -> set[str]:
    """References of which the ledger has something else than the provider."""
    ours: Counter[str] = Counter()
    for entry in found.ledger:
        if entry.account == PROVIDER_BALANCE:
            ours[entry.reference] += entry.amount
    theirs: Counter[str] = Counter()
    for movement in found.provider:
        theirs[movement.reference] += movement.amount
    return {reference for reference in {*ours, *theirs} if ours[reference] != theirs[reference]}
