"""`orderbus check`: gathers evidence from the real databases, topics and provider, and asks the invariants.

Provider and topics are read first, into a book (`book.py`), then the databases, slice by slice. A key whose row changed
since shortly before that is in motion: what several services must agree on is not asked of it. On a system at rest
nothing is in motion.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sqlite3
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import asyncpg
import sqlalchemy as sa
from aiokafka import TopicPartition

from deploy.check import facts
from deploy.check.book import Book, ForeignFile
from deploy.check.databases import Database, databases
from deploy.check.facts import CLOCK_SKEW
from deploy.check.further_back import FurtherBack
from deploy.check.monitor import differences
from deploy.check.read_models.run import compare
from deploy.check.records import Records
from deploy.check.replay import replayed
from deploy.check.slices import MOST, Answers, Positions, Setting, Slices
from deploy.check.topics import Topics
from services.fulfillment.domain.stock import Stock
from services.payments.domain.ledger import PROVIDER_BALANCE
from services.payments.gateways.provider import ProviderError, ProviderMovement
from services.payments.providers import providers_of
from services.payments.settings import PaymentsSettings
from services.registry import SERVICES
from shared.contracts import TOPICS
from shared.contracts.checkout import STATUS
from shared.errors import ReportedError
from shared.invariants.facts import Evidence
from shared.invariants.rules import violations
from shared.settings import KafkaSettings, Settings
from shared.shell.kafka.cluster import cluster_id, committed
from shared.shell.ports.attention import Attention
from shared.shell.ports.bus import BusUnavailable
from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres.refusals import DatabaseUnreachable

SETTLED = timedelta(seconds=2)
"""A row that did not change for so long is at rest; so are its messages on the way."""
OVERLAP = timedelta(minutes=10)
"""By which a check looks back behind the one that it goes on from: transactions take time, and clocks differ."""
MOVEMENTS = 500
COLLECTIONS = (50_000, 10, 5)
"""As `gc.set_threshold` takes them."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, LARGE = -1, -3, 100_000
"""As `mallopt` takes them; bytes."""


class CheckFailed(ReportedError):
    """The evidence cannot be gathered: something cannot be reached. The text says what."""

    exit_code = 3

    def __init__(self, trouble: str) -> None:
        super().__init__(f"The check cannot be made: {trouble}")


@dataclass
class Report:
    """What was found: violations in words, by the name of the invariant (an empty list where it holds)."""

    invariants: dict[str, list[str]]
    attention: list[tuple[str, Attention]] = field(default_factory=list)
    """What waits for staff, and is no violation, by service; daily work is left out."""
    unreadable: list[str] = field(default_factory=list)
    """Records that are no messages, by topic, partition and offset."""
    monitor: list[str] = field(default_factory=list)
    """How the monitor's counts differ from the database, or why it was not asked. It can always count again, so this is
    told and is no violation."""
    orders: int = 0
    in_motion: int = 0
    """Keys of which only the rules of single services were asked."""
    since: datetime | None = None
    """Only what changed since then was checked."""
    unasked: int = 0
    """Rows that changed since then, of which the event before is further back than was read."""
    notes: list[str] = field(default_factory=list)
    """What was done otherwise than asked, in words."""

    @property
    def ok(self) -> bool:
        return not any(self.invariants.values())


@dataclass(frozen=True)
class Window:
    """What is to be checked. `book`: the file where the check keeps what it read, to go on from there; `full`:
    everything, from the beginning; `since`: only what changed since then, without a book."""

    book: Path | None = None
    full: bool = False
    since: datetime | None = None


async def check(
    settings: Settings, window: Window = Window(), timeout: float = 15.0, seconds: float = 3600.0
) -> Report:
    """Wait up to `timeout` seconds for rest, gather and ask within `seconds`. `settings`: those of all services. Raises
    CheckFailed."""
    assert isinstance(settings, PaymentsSettings)
    try:
        with sparing_memory():
            async with asyncio.timeout(seconds + timeout), databases(settings, SERVICES) as services:
                await _same_cluster(services, settings.kafka)
                await _rest(services.values(), timeout)
                at = min([await database.now() for database in services.values()])
                return await _checked(services, settings, window, at)
    except CheckFailed:
        raise
    except (ProviderError, BusUnavailable, ReportedError, DatabaseUnreachable) as error:
        raise CheckFailed(str(error)) from error
    except TimeoutError:
        raise CheckFailed(f"it was not done within {seconds:g} s") from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, sa.exc.SQLAlchemyError, StoreUnavailable, OSError) as error:
        raise CheckFailed(f"a database cannot be read: {type(error).__name__}") from error
    except Exception as error:
        raise CheckFailed(f"an unexpected error, {_place_of(error)}") from error


@contextmanager
def sparing_memory() -> Iterator[None]:
    """A check makes millions of objects, hardly any of which are in a cycle: looking for cycles took a third of its
    time. The memory of what Kafka sends is freed at once: glibc kept 100 MB after 6 million records."""
    with suppress(AttributeError, OSError):  # of glibc only
        for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, LARGE)
    before = gc.get_threshold()
    gc.set_threshold(*COLLECTIONS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _place_of(error: Exception) -> str:
    """Its type, and where it was raised: its text may show the data of a row."""
    *_, frame = traceback.walk_tb(error.__traceback__)
    code = frame[0].f_code
    return f"{type(error).__name__} in {Path(code.co_filename).name}, line {frame[1]}"


async def _checked(
    services: Mapping[str, Database], settings: PaymentsSettings, window: Window, at: datetime
) -> Report:
    try:
        book, ok = Book(window.book), False
    except ForeignFile:
        text = f"{window.book} is no checkpoint of this program, and is left as it is. Name another file."
        raise CheckFailed(text) from None
    except sqlite3.Error as error:
        raise CheckFailed(f"{window.book} cannot be used ({error}). Is another check running?") from error
    try:
        if window.full:
            book.clear()
        report = await Check(book, services, settings, window, at).run()
        ok = report.ok
        return report
    finally:
        book.close(keep=ok)


class Check:
    """One check. `at`: by the databases' clocks, as all that it compares with them."""

    def __init__(
        self, book: Book, services: Mapping[str, Database], settings: PaymentsSettings, window: Window, at: datetime
    ) -> None:
        self._book, self._services, self._settings, self._window = book, services, settings, window
        self._at = at
        self._since = self._at - SETTLED

    async def run(self) -> Report:
        async with Topics(self._settings.kafka, [topic.name for topic in TOPICS]) as topics:
            notes = []
            lost = max((one for one in self._clusters_since() if one), default=None)
            if self._is_of_another_system(topics) or (lost and self._book.since and self._book.since < lost):
                self._book.clear()
            if self._book.since and self._book.since > self._at:
                notes.append(
                    f"The checkpoint is of {self._book.since:%Y-%m-%d %H:%M} UTC, later than now: it was begun again."
                )
                self._book.clear()
            begin = self._window.since or (self._book.since and self._book.since - OVERLAP)
            positions = await positions_of(self._settings.kafka, self._services)
            records = Records(self._book, self._services, self._since)
            starts = await self._starts(topics, begin)
            await together(self._read_providers(begin), records.read(topics, starts))
            await self._find_due(begin)
            setting = Setting(
                self._at,
                self._since,
                positions,
                busy=records.busy,
                cut=topics.cut if lost is None else frozenset(topic.name for topic in TOPICS),
                retention=self._retention(lost),
                told_since=begin and begin + CLOCK_SKEW,
                window=self._window.since,
            )
            slices = Slices(self._book, self._services, setting, self._look_up if begin else None)
            await slices.ask()
            answers = slices.answers
            unasked = await self._look_further_back(starts, records.count, answers)
            answers.add(violations(await self._whole()))
            moving = {key for keys in self._book.again() for key in keys}
            answers.add({"replay_changes_nothing": await replayed(records.sample, self._services, moving, self._since)})
            answers.add({"every_event_published": [f"topic {topic} does not exist" for topic in topics.missing]})
        answers.add({"read_models_as_told": await self._read_models(begin, notes)})
        self._book.since = self._at
        waiting, unreadable = await self._attention()
        answers.add({"rows_agree": unreadable})
        monitor = await differences(self._settings, self._services["checkout"], self._since)
        told = waiting, records.unreadable, monitor
        return Report(answers.whole(), *told, answers.orders, answers.in_motion, begin, unasked, notes)

    # A cluster that took the place of a lost one: of older messages it has those that had not been handled

    def _clusters_since(self) -> list[datetime | None]:
        return [database.identity.cluster_since for database in self._services.values()]

    def _retention(self, lost: datetime | None) -> timedelta:
        retention = self._settings.kafka.retention
        return retention if lost is None else min(retention, self._at - lost)

    # Where to begin

    def _is_of_another_system(self, topics: Topics) -> bool:
        """Whether topics ended before they now end: they were made again."""
        ends = {(place.topic, place.partition): end for place, end in topics.ends.items()}
        return any(ends.get(place, 0) < following for place, following in self._book.places().items())

    async def _starts(self, topics: Topics, begin: datetime | None) -> dict[TopicPartition, int]:
        """The status topic is read again from the overlap on: what it said of an order is not in the book."""
        if begin is None:
            return dict(topics.first)
        then = await topics.offsets_at(begin)
        if self._window.since is not None:
            return then
        known = self._book.places()
        return {
            place: then[place] if place.topic == STATUS.name else known.get((place.topic, place.partition), first)
            for place, first in topics.first.items()
        }

    async def _find_due(self, begin: datetime | None) -> None:
        self._book.due_again()
        for database in self._services.values():
            async for keys in database.keys(begin):
                self._book.add_due(keys)
            async for keys in database.stray_entries():
                self._book.add_due(keys)

    async def _look_further_back(self, starts: Mapping[TopicPartition, int], window: int, answers: Answers) -> int:
        """Of how many rows this says nothing."""
        if self._window.since is None:
            return 0
        services = {name: database.registry for name, database in self._services.items()}
        back = FurtherBack(self._book, services, starts, self._window.since, window)
        if not await back.look(self._settings.kafka, self._at):
            return sum(1 for _ in self._book.wanted())
        lost = (one for one in self._book.wanted() if not one.may_be_cut)
        texts = (f"{one.source}'s events of {one.key}: {one.number} missing on the topic" for one in lost)
        answers.add({"every_event_published": list(islice(texts, MOST))})
        return 0

    async def _read_models(self, begin: datetime | None, notes: list[str]) -> list[str]:
        """What differs. Those of a service that has yet to read are no evidence."""
        found = []
        for name, database in self._services.items():
            if database.registry.service.projection is not None:
                report = await compare(self._settings, name, since=begin)
                if report.behind and not report.ok:
                    notes.append(f"{name} has yet to read {report.behind} records: its read models were not compared.")
                else:
                    found += report.lines()
        return found

    # The providers

    async def _read_providers(self, begin: datetime | None) -> None:
        for provider in providers_of(self._settings):
            some = []
            async for moved in provider.movements(begin):
                some.append(moved)
                if len(some) == MOVEMENTS:
                    self._book.add_movements(some)
                    some = []
            self._book.add_movements(some)
        if nameless := self._book.nameless():
            statement = "select distinct reference, key from ledger_entries where reference = any($1)"
            rows = await self._services["payments"].fetch(statement, nameless)
            self._book.name({row["reference"]: row["key"] for row in rows})

    async def _look_up(self, references: Sequence[str]) -> AsyncIterator[ProviderMovement]:
        for provider in providers_of(self._settings):
            async for moved in provider.movements_of(references):
                yield moved

    # All keys together

    async def _whole(self) -> Evidence:
        stock = await self._services["fulfillment"].states(Stock, self._since)
        unreadable = list(stock.unreadable.values())
        if self._window.since is not None:
            return Evidence(self._at, totals={}, rows=unreadable)
        of_stock = facts.stock_facts(stock.by_key, self._book.held())
        return Evidence(
            self._at,
            stock=[one for one in of_stock if one.key not in stock.unreadable],
            totals=await self._totals(),
            rows=unreadable,
            busy=frozenset(stock.changed),
        )

    async def _totals(self) -> dict[str, tuple[int, int]]:
        """What the ledger and the provider hold in all, without keys in motion."""
        payments = self._services["payments"]
        changed = await payments.fetch(f"select key from payments where {payments.moves(self._since)}")
        self._book.add_again(row["key"] for row in changed)
        entry = f"from ledger_entries where account = '{PROVIDER_BALANCE}'"
        ours: dict[str, int] = {}
        for currency, amount in await payments.fetch(f"select currency, sum(amount)::bigint {entry} group by 1"):
            ours[currency] = amount
        statement = f"select currency, sum(amount)::bigint {entry} and key = any($1) group by 1"
        for keys in self._book.again():
            for currency, amount in await payments.fetch(statement, keys):
                ours[currency] -= amount
        theirs = Counter(self._book.sums())
        stray = "select s->>'reference' as reference from payments, jsonb_array_elements(data->'strays') s"
        strays = await payments.fetch(
            f"{stray} where jsonb_path_exists(data, '$.strays[0]') and not (s->>'ours')::bool"
        )
        theirs.subtract(self._book.sums_of_charges(row["reference"] for row in strays))
        return {currency: (ours.get(currency, 0), theirs.get(currency, 0)) for currency in {*ours, *theirs}}

    async def _attention(self) -> tuple[list[tuple[str, Attention]], list[str]]:
        """And what cannot be read, in words."""
        found: list[tuple[str, Attention]] = []
        unreadable: list[str] = []
        for name, database in self._services.items():
            listed = await database.attention()
            found += [(name, one) for one in listed.attention]
            why = "what waits for staff cannot be listed, for a row that cannot be read"
            unreadable += [f"{name}, {what}: {why}" for what in listed.unreadable]
        return sorted((pair for pair in found if not pair[1].routine), key=lambda pair: pair[1].since), unreadable


async def _same_cluster(services: Mapping[str, Database], settings: KafkaSettings) -> None:
    cluster = await cluster_id(settings)
    for name, database in services.items():
        database.identity.check_cluster(name, cluster)


async def together(*works: Coroutine[object, object, None]) -> None:
    """Until all are done, or one failed."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _rest(services: Iterable[Database], timeout: float) -> None:
    """Until nothing changed for a while, or the time is over: then what moves is left out."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    databases = list(services)
    for database in databases:
        await database.begin()
    while loop.time() < end:
        if all([await database.is_quiet(SETTLED) for database in databases]):
            return
        await asyncio.sleep(0.25)


async def positions_of(settings: KafkaSettings, services: Iterable[str]) -> Positions:
    """How far each service has read; nothing of a service whose consumer group Kafka does not know."""
    return {name: await committed(settings, name) for name in services}
