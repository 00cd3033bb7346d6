"""What the simulation rests on: random histories of store calls leave the same answers and the same rows in memory and
in PostgreSQL.

Two transactions at a time, their calls interleaved as the seed says. A history is made against the memory, then played
to the database; where a call waits for the other transaction's locks, that one ends next, so nothing can deadlock.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

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
from shared.shell.ports.store import LONG_AGO, BatchRefused, Conflict, LeaseRequest, Reach, Store, Transaction, Writes
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.schema import TABLES_V1
from shared.shell.postgres.store import PostgresStore
from shared.simulation.memory_database import OPERATIONS, OUTBOX, PARKED, TIMERS, UNDELIVERABLE
from shared.simulation.memory_store import MemoryStore
from tests.integration.conftest import NewDatabase
from tests.integration.toy import Moved, metadata, storage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = ("a", "b", "c")
BOXES, MOVED = storage.states[0], storage.records[0]
PLACES = ("north", "south")
TABLES = (
    *("inbox", "outbox", "undeliverable", "operations", "destinations", "timers"),
    *("parked", "replies", "boxes", "moved"),
)
OPERATION_COLUMNS = ", ".join(column.name for column in dataclasses.fields(OperationRow) if column.name != "begun")
Work = Callable[[Store, Any], Awaitable[Any]]


class RolledBack(Exception):
    """On purpose."""


@dataclass(frozen=True)
class Step:
    """One call of one of two players; or of nobody, outside of any transaction. `work` None ends a transaction."""

    player: int
    text: str
    work: Work | None
    answer: Any
    waited: bool


class Player:
    """Somebody with a transaction open, who does what he is told."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.loaded: dict[str, int] = {}
        """Versions of the keys that he holds locked."""
        self._told: asyncio.Queue[tuple[Work | str, asyncio.Future[Any]]] = asyncio.Queue()
        self._playing = asyncio.create_task(self._play())

    def tell(self, work: Work | str) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._told.put_nowait((work, answer))
        return answer

    async def _play(self) -> None:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            async with self.store.begin() as tx:
                while True:
                    work, answer = await self._told.get()
                    if work == "commit":
                        break
                    if isinstance(work, str):
                        raise RolledBack
                    answer.set_result(plain(await work(self.store, tx)))
            answer.set_result("committed")
        except (Conflict, BatchRefused, RolledBack) as error:
            answer.set_result(type(error).__name__)


ENDS = ("committed", "Conflict", "BatchRefused", "RolledBack")


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
        told = player.tell(work)
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
        told = players.pop(number).tell(how)
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
        return StateWrite(StateRow(key, version, number, b'{"n":%d}' % number), columns, NOW)

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
        """Outcomes and timers that may be somebody else's by now, and a parked message."""
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
        """Kafka refuses some, what is behind them waits, and a person has one of them sent again or dropped."""
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


async def settled() -> None:
    """Till everybody in memory has done what he can."""
    for _ in range(60):
        await asyncio.sleep(0)


def plain(value: Any) -> Any:
    """Comparable: no classes, no bytes, no order where none is promised, no ids that each store gives by itself."""
    if dataclasses.is_dataclass(value):
        fields = [each for each in dataclasses.fields(value) if (each.name, each.type) != ("id", "int")]
        return [plain(getattr(value, each.name)) for each in fields]
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value))
    if isinstance(value, Mapping):
        return sorted((plain(key), plain(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        value = value.decode()
    return value.replace(" ", "") if isinstance(value, str) else value


async def play(store: Store, steps: list[Step]) -> None:
    """The same history on another store; every answer must be the same."""
    players: dict[int, Player] = {}
    waiting: tuple[Step, asyncio.Future[Any]] | None = None
    for step in steps:
        if step.player < 0:
            assert step.work is not None
            assert plain(await step.work(store, None)) == step.answer, step.text
            continue
        if step.player not in players:
            players[step.player] = Player(store)
        player = players[step.player]
        told = player.tell(step.work or step.text)
        if step.waited:
            await asyncio.sleep(0.02)
            assert not told.done(), f"{step.text} waits in memory only"
            waiting = (step, told)
            continue
        await check(step, told, players)
        if waiting:
            await check(*waiting, players)
            waiting = None


async def check(step: Step, told: asyncio.Future[Any], players: dict[int, Player]) -> None:
    async with asyncio.timeout(5):
        heard = await told
    assert heard == step.answer, step.text
    if step.answer in ENDS:
        del players[step.player]


def in_memory(store: MemoryStore) -> dict[str, Any]:
    found: dict[str, Any] = {name: [plain(row) for row in store.rows(name).values()] for name in TABLES}
    found["inbox"] = [[str(id), at, content] for id, (at, content) in store.rows("inbox").items()]
    found["outbox"] = [[row.topic, row.key, row.body.decode()] for row, _ in store.rows(OUTBOX).values()]
    aside = [row for row, _ in store.rows(UNDELIVERABLE).values()]
    found["undeliverable"] = [[row.topic, row.key, row.body.decode(), row.reason] for row in aside]
    found["replies"] = [plain(reply) for reply, _ in store.rows("replies").values()]
    boxes = store.states(BOXES).values()
    found["boxes"] = [[*plain(box.row), box.columns["things"], plain(box.columns["tags"]), box.at] for box in boxes]
    return {name: sorted(rows, key=str) for name, rows in found.items()}


async def in_database(engine: AsyncEngine) -> dict[str, Any]:
    queries = {
        "inbox": "select cast(message_id as text), seen_at, content from inbox",
        "outbox": "select topic, key, convert_from(body, 'utf8') from outbox",
        "undeliverable": "select topic, key, convert_from(body, 'utf8'), reason from undeliverable",
        "operations": f"select {OPERATION_COLUMNS}, false as begun from operations",
        "destinations": "select name, paused_at, reason, paused_by, probe_at, probes from destinations",
        "timers": "select key, name, due, kind, payload, meta, id, occurred from timers",
        "parked": "select key, message_id, origin, kind, topic, partition, record_offset, record_key, headers, body, "
        "reason, error, parked_at, identity from parked",
        "replies": "select id, fingerprint, code, text, problems from replies",
        "boxes": "select key, version, sequence, cast(data as text), things, cast(tags as text), changed_at from boxes",
        "moved": "select key, id, count, detail from moved",
    }
    found = {}
    async with engine.connect() as connection:
        for name, query in queries.items():
            found[name] = sorted((plain(tuple(row)) for row in await connection.execute(sa.text(query))), key=str)
    return found


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(await new_database(), "test")
    async with engine.begin() as connection:
        for statement in TABLES_V1:
            await connection.execute(sa.text(statement))
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.mark.parametrize("seed", range(1, 5))
async def test_a_random_history_leaves_the_same_rows_in_memory_and_in_postgresql(
    engine: AsyncEngine, seed: int
) -> None:
    memory = MemoryStore(checks={"boxes": lambda row: (row["things"] or 0) < 1000})
    steps = await Author(random.Random(seed), memory).write(150)

    await play(PostgresStore(engine), steps)

    left, expected = await in_database(engine), in_memory(memory)
    for name in TABLES:
        assert left[name] == expected[name], name
    assert any(step.waited for step in steps)
    ended = {step.answer for step in steps if isinstance(step.answer, str)}
    assert {"committed", "RolledBack"} <= ended
    assert ended & {"Conflict", "BatchRefused"}
