"""Random histories of store calls: two players, each with a transaction, and calls outside of any."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.core import derived_id
from shared.shell.ports.rows import (
    DestinationPause,
    OperationRow,
    OutboxRow,
    ParkedRow,
    Reply,
    StateRow,
    StateWrite,
    TimerRow,
)
from shared.shell.ports.store import LONG_AGO, LeaseRequest, Reach, Store, Transaction, Writes
from shared.simulation.memory_database import OPERATIONS, OUTBOX, PARKED, TIMERS
from shared.simulation.memory_store import MemoryStore
from tests.integration.store_player import ENDS, Player, Step, Work, plain, settled
from tests.integration.toy import Moved, storage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = ("a", "b", "c")
BOXES, MOVED = storage.states[0], storage.records[0]
PLACES = ("north", "south")


@dataclass
class Author:
    """Makes a history up, against the memory."""

    rng: random.Random
    store: MemoryStore
    serial: int = 0
    steps: list[Step] = field(default_factory=list)

    async def write(self, length: int) -> list[Step]:
        players: dict[int, Player] = {}
        while len(self.steps) < length or players:
            if not players and self.rng.random() < 0.4:
                await self._alone()
                continue
            number = self.rng.choice((0, 1))
            if number not in players:
                if len(self.steps) < length:
                    players[number] = Player(self.store)
                else:
                    number = 1 - number
            if len(self.steps) >= length or self.rng.random() < 0.2:
                await self._end(players, number)
            else:
                await self._act(players, number)
        return self.steps

    async def _act(self, players: dict[int, Player], number: int) -> None:
        player = players[number]
        text, work = self._call(player)
        told = player.call(work)
        await settled()
        if not told.done():
            place = len(self.steps)
            await self._end(players, 1 - number)
            await settled()
            self.steps.insert(place, Step(number, text, work, told.result(), True))
        else:
            self.steps.append(Step(number, text, work, told.result(), False))
        if told.result() in ENDS:
            del players[number]

    async def _end(self, players: dict[int, Player], number: int) -> None:
        how = self.rng.choice(("commit", "commit", "roll back"))
        told = players.pop(number).call(how)
        await settled()
        self.steps.append(Step(number, how, None, told.result(), False))

    async def _alone(self) -> None:
        calls = (
            *(self._lease, self._postpone, self._destination),
            *(self._sent, self._refused, self._looks, self._again),
        )
        text, work = self.rng.choice(calls)()
        self.steps.append(Step(-1, text, work, plain(await work(self.store, None)), False))

    # Calls inside a transaction

    def _call(self, player: Player) -> tuple[str, Work]:
        calls = (self._claim, self._load, self._load, self._write, self._write, self._done, self._park, self._keep)
        return self.rng.choice(calls)(player)

    def _claim(self, player: Player) -> tuple[str, Work]:
        ids = {identity(number): self._next() for number in self.rng.sample(range(12), 3)}
        keys = self._some()
        if self.rng.random() < 0.3:
            return "contents", lambda store, tx: tx.contents(ids)
        forgets = self.rng.random() < 0.2

        async def claims(store: Store, tx: Any) -> Any:
            claimed = await tx.claim(ids, keys, NOW)
            if forgets:
                await tx.forget(claimed[0])
            return claimed

        return f"claim {keys}", claims

    def _load(self, player: Player) -> tuple[str, Work]:
        keys, lock = self._some(), self.rng.random() < 0.8
        known = {key: self.rng.randint(1, 4) for key in keys if self.rng.random() < 0.5}

        async def load(store: Store, tx: Transaction) -> Mapping[str, StateRow]:
            found = await tx.load(BOXES, keys, lock=lock, known=known)
            if lock:
                player.loaded |= {key: found[key].version if key in found else 0 for key in keys}
            return found

        return f"load {keys} {lock=} {known=}", load

    def _write(self, player: Player) -> tuple[str, Work]:
        """Only of keys that were loaded: the shell decides nothing about others."""
        keys = [key for key in sorted(player.loaded) if self.rng.random() < 0.7]
        flaw = self.rng.choice(("", "", "", "stale", "too much", "twice"))
        writes = Writes(
            states=[(BOXES, [self._state(key, player, flaw) for key in keys])] if keys else [],
            records=[(MOVED, [self._moved(key, flaw) for key in keys])] if keys else [],
            timers=[self._timer(key) for key in keys if self.rng.random() < 0.4],
            cancelled=[(key, "late") for key in keys if self.rng.random() < 0.3],
            operations=[self._operation(key) for key in (*keys, *keys) if self.rng.random() < 0.4],
            outbox=[
                OutboxRow(self.rng.choice(("t", "topic-0")), key, b"[]", b"%d" % self._next()) for key in (*keys, *keys)
            ],
        )
        for key in keys:
            player.loaded[key] += 1

        async def write(store: Store, tx: Transaction) -> set[UUID]:
            return {id for id in await tx.write(writes) if id}

        return f"write {keys} {flaw}", write

    def _state(self, key: str, player: Player, flaw: str) -> StateWrite:
        number = self._next()
        version = player.loaded[key] + (3 if flaw == "stale" and player.loaded[key] else 1)
        columns = {"things": 5000 if flaw == "too much" else number, "tags": f"{{x,{key}}}" if number % 2 else None}
        row = StateRow(key, version, number, b'{"n":%d}' % number, number % 3)  # of three builds
        return StateWrite(row, columns, NOW)

    def _moved(self, key: str, flaw: str) -> Moved:
        return Moved(key, identity(99 if flaw == "twice" else 1000 + self._next()), 1, {"key": key})

    def _timer(self, key: str) -> TimerRow:
        number = self._next()
        return TimerRow(
            key, "soon", NOW + timedelta(seconds=number % 5), "Kind", b"{}", b"{}", identity(20_000 + number)
        )

    def _operation(self, key: str) -> OperationRow:
        number = self._next()
        row = OperationRow(
            identity(self.rng.choice((5000, 7000)) - number),
            key,
            self.rng.choice(("Kind", "Other")),
            b"{}",
            b"{}",
            NOW + timedelta(seconds=number),
            NOW + timedelta(seconds=number // 3),
            self.rng.choice(PLACES),
            expires=self.rng.choice((None, None, NOW + timedelta(seconds=50))),
        )
        serial, held = self.rng.random() < 0.6, self.rng.random() < 0.5
        if not held:
            return dataclasses.replace(row, serial=serial)
        until = NOW + timedelta(seconds=60)
        begun = self.rng.random() < 0.5
        return dataclasses.replace(row, serial=serial, lease=1, leased_by="w", leased_until=until, begun=begun)

    def _done(self, player: Player) -> tuple[str, Work]:
        """Outcomes and timers that may be another's by now, and a parked message."""
        operations = list(self.store.rows(OPERATIONS).values())
        timers = list(self.store.rows(TIMERS).values())
        parked = list(self.store.rows(PARKED).values())
        kind = self.rng.choice(("finish", "fire", "unpark"))
        if kind == "finish" and operations:
            row = self.rng.choice(operations)
            held = (row.id, row.leased_by, row.lease + self.rng.choice((0, 0, 1)))
            return "finish", lambda store, tx: tx.finish([held])
        if kind == "fire" and timers:
            timer = self.rng.choice(timers)
            late = dataclasses.replace(timer, id=self.rng.choice((timer.id, timer.id, identity(1))))
            return "fire", lambda store, tx: tx.fire([late])
        if kind == "unpark" and parked:
            message = self.rng.choice(parked).message_id

            async def unpark(store: Store, tx: Transaction) -> bool:
                return await tx.unpark(await parked_id(store, message))

            return "unpark", unpark
        return self._claim(player)

    def _park(self, player: Player) -> tuple[str, Work]:
        key, message = self.rng.choice(KEYS), identity(9000 + self._next())
        row = ParkedRow(key, message, "record", "x", "t", 0, 7, b"k", b"[]", b"\x00b", "failed", "a bug", NOW)
        return f"park {key}", lambda store, tx: tx.park([row])

    def _keep(self, player: Player) -> tuple[str, Work]:
        answer = Reply(identity(self.rng.randrange(20)), "f", "", "said")
        if self.rng.random() < 0.5:
            return "answer", lambda store, tx: tx.reply(answer.id)
        return "keep an answer", lambda store, tx: tx.keep_replies([answer])

    # Calls that are transactions of their own

    def _lease(self) -> tuple[str, Work]:
        now = NOW + timedelta(seconds=self.rng.choice((0, 50, 500)))
        worker, kinds = self.rng.choice("vw"), self.rng.choice((["Kind"], ["Kind", "Other"]))
        wanted = [LeaseRequest(kind, self.rng.choice((1, 3, 100)), self.rng.choice((20.0, 60.0))) for kind in kinds]
        since = self.rng.choice((LONG_AGO, now - timedelta(seconds=60)))
        place = self.rng.choice(PLACES)
        if self.rng.random() < 0.2:
            return f"probe {place}", lambda store, tx: store.lease_probe(worker, now, wanted, place)
        avoid = [place] if self.rng.random() < 0.2 else []
        return f"lease {wanted}", lambda store, tx: store.lease_operations(
            worker, now, wanted, since=since, avoid=avoid
        )

    def _destination(self) -> tuple[str, Work]:
        place, at = self.rng.choice(PLACES), NOW + timedelta(seconds=self._next() % 3)
        pause = DestinationPause(place, NOW, "wrong key", "w", at)
        choice = self.rng.choice(("pause", "resume", "resume", "claim", "look"))
        if choice == "pause":
            return f"pause {place}", lambda store, tx: store.pause_destination(pause)
        if choice == "claim":
            later = at + timedelta(seconds=1)
            return f"claim {place}", lambda store, tx: store.claim_probe(pause, later)
        if choice == "look":
            return "paused", lambda store, tx: store.paused_destinations()
        return f"resume {place}", lambda store, tx: store.resume_destination(place)

    def _postpone(self) -> tuple[str, Work]:
        rows = list(self.store.rows(OPERATIONS).values())
        if not rows:
            return self._lease()
        if self.rng.random() < 0.3:
            return "release", lambda store, tx: store.release("w")
        some = self.rng.sample(rows, min(len(rows), 2))
        changed = [
            dataclasses.replace(
                row,
                due=NOW + timedelta(seconds=1000 + self._next()),
                lease=row.lease + self.rng.choice((0, 0, 0, 1)),
                attempts=row.attempts + 1,
                in_doubt=self.rng.random() < 0.5,
                abandoned=self.rng.random() < 0.5,
                error="x",
                history=b'[{"error":"x"}]',
            )
            for row in some
        ]
        if self.rng.random() < 0.5:
            return "begin calls", lambda store, tx: store.begin_calls(changed)
        return "postpone", lambda store, tx: store.postpone(changed)

    def _sent(self) -> tuple[str, Work]:
        bodies = {row.body for row, _ in self.store.rows(OUTBOX).values() if self.rng.random() < 0.5}

        async def sent(store: Store, tx: None) -> None:
            await store.outbox_sent([row.id for row in await store.outbox_head(Reach()) if row.body in bodies])

        return "sent", sent

    def _refused(self) -> tuple[str, Work]:
        """Kafka refuses some, what is behind them waits, and staff have one of them sent again or dropped."""
        bodies = {row.body for row, _ in self.store.rows(OUTBOX).values() if self.rng.random() < 0.2}
        reach = Reach(limit=self.rng.choice((3, 1000)), most_bytes=self.rng.choice((10, 50, 1000)))
        choice, drop = self.rng.random(), self.rng.random() < 0.5

        async def refused(store: Store, tx: None) -> Any:
            head = await store.outbox_head(Reach())
            await store.mark_undeliverable({row.id: "RecordTooLarge" for row in head if row.body in bodies})
            moved = await store.wait_behind([row.id for row in head])
            aside, waiting = await store.undeliverable(), await store.waiting_behind()
            again: int | None = 0
            if aside and choice < 0.7:
                again = await store.send_again(aside[int(choice * len(aside))].id, drop=drop)
            nothing = await store.send_again(1_000_000, drop=False)
            within = [row.body for row in await store.outbox_head(reach)]
            without = await store.outbox_head(Reach(without=("topic-0", "nowhere")))
            return len(moved), [row.body for row in aside], waiting, again, nothing, within, len(without)

        return "refused", refused

    def _looks(self) -> tuple[str, Work]:
        now, key = NOW + timedelta(seconds=self.rng.randrange(6)), self.rng.choice(KEYS)

        async def looks(store: Store, tx: None) -> Any:
            due = [(row.due, row.key, row.name) for row in await store.due_timers(now, 100)]
            page = await store.due_timers(now, 3, due[len(due) // 2]) if due else []
            return (
                due,
                [(row.due, row.key, row.name) for row in page],
                [row.message_id for row in await store.parked(key)],
                [(row.message_id, row.headers, row.body) for row in await store.parked(brief=True)],
                [row.message_id for row in await store.parked(key, most_bytes=1)],
            )

        return "look", looks

    def _again(self) -> tuple[str, Work]:
        rows = list(self.store.rows(PARKED).values())
        if not rows:
            return self._looks()
        message = self.rng.choice(rows).message_id

        async def again(store: Store, tx: None) -> None:
            await store.parked_again(await parked_id(store, message), "still")

        return "parked again", again

    def _some(self) -> list[str]:
        return self.rng.sample(KEYS, self.rng.choice((1, 1, 2, 3)))

    def _next(self) -> int:
        self.serial += 1
        return self.serial


def identity(number: int) -> UUID:
    return derived_id(UUID(int=1), number, NOW + timedelta(milliseconds=number))


async def parked_id(store: Store, message: UUID) -> int:
    return next((row.id for row in await store.parked() if row.message_id == message), 0)
