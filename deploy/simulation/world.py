"""The world of one run: services with their workers, the bus, outside systems, and the time. Its actors: `trial.py`."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import orjson

from deploy.simulation.access import DiscordServer, School
from deploy.simulation.cabinet import Cabinet, Links
from deploy.simulation.card_verifications import CardVerifications
from deploy.simulation.cores import Watch
from deploy.simulation.fault_profile import LEVELS, FaultProfile
from deploy.simulation.game import GameConsole
from deploy.simulation.history import History
from deploy.simulation.outside import (
    CodePools,
    CoursePlatform,
    MailServer,
    OtherSystem,
    Outside,
    Receivers,
    StoredLogs,
    done,
)
from deploy.simulation.stripe import Stripe
from deploy.simulation.workers import Gone, Worker
from services.declared import declared
from services.fulfillment.domain import operations as fulfilling
from services.fulfillment.domain.delivery import Delivery, Item
from services.fulfillment.domain.file_operations import SignFile
from services.fulfillment.domain.kinds.discord_role import GiveRole, RemoveRole
from services.fulfillment.domain.kinds.http_action import CallHttpAction, RevokeHttpAction
from services.fulfillment.domain.rcon_operations import GRANTS, REVOCATIONS, CheckServer
from services.notifications.domain.endpoint import Endpoint, Endpoints
from services.notifications.domain.operations import FindLost, PostWebhook, SendEmail
from services.notifications.gateways.lost_messages import LostMessages
from services.payments.domain import operations as paying
from services.payments.domain.verification import FindVerification, ForgetCard, ReleaseVerification, VerifyCard
from services.registry import SERVICES
from shared.contracts.checkout import STATUS
from shared.contracts.envelope import Envelope, encode, to_headers
from shared.core import Command, Operation, Refused, Report, codec
from shared.core.ids import RANDOM_BITS, random_id
from shared.shell.http.problems import ProblemResponse
from shared.shell.inbound.records import inbound_of
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.gateway import Gateway
from shared.shell.ports.http_api import Accepted
from shared.shell.ports.rows import OperationRow
from shared.shell.ports.store import StoreUnavailable
from shared.shell.service import Service
from shared.shell.service.registry import HandlerRegistry
from shared.simulation.bus import MemoryBus, Position
from shared.simulation.loop import SeededLoop
from shared.simulation.memory_database import INBOX, OPERATIONS, PARKED
from shared.simulation.memory_store import MemoryStore
from shared.simulation.relay_lock import AdvisoryLock

T = TypeVar("T")
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
UNREADABLE = "unreadable-"
"""What the keys of unreadable timers, operations and outgoing records begin with."""


def _text(value: bytes | None) -> str:
    return ascii((value or b"").decode("utf-8", "replace")).strip("'")


class World:
    def __init__(self, loop: SeededLoop, seed: int, orders: int, level: str) -> None:
        self.loop, self.seed, self.orders = loop, seed, orders
        self._offset = timedelta(0)
        self.history = History(self.now)
        self.profile = FaultProfile(LEVELS[level], self.rng_of("faults"), self.history)
        self.bus = MemoryBus(self.now, self.rng_of("bus"))
        self.bus.on_append = self._seen
        self.statuses: dict[str, dict[str, Any]] = {}
        """What every order's status record says, as any staff tool sees it."""
        self.readers: list[Callable[[BusRecord], None]] = []
        """Who else looks at every record."""
        self.garbage: set[Position] = set()
        """Where on the bus records are that were not sent in earnest."""
        self.from_newer: set[Position] = set()
        """Where on the bus events are that only a newer build knows."""
        self.tasks: dict[asyncio.Task[None], None] = {}
        """What must end before the world is at rest."""
        self._waiters: dict[str, list[asyncio.Event]] = {}
        self._used: dict[str, list[UUID]] = {}
        """Ids of published messages, by topic."""
        self.names = SERVICES
        self.stores = {name: MemoryStore(self.profile.store(name), self.now) for name in SERVICES}
        self.relay_locks = {name: AdvisoryLock() for name in SERVICES}
        self._ids, self.asking = self.rng_of("ids"), self.rng_of("asking")
        self._build_outside()
        self.watch = Watch(self.profile, self.history, self.rng_of("watch"))
        self._services = {name: self.watch.over(self._with_outside(service)) for name, service in declared().items()}
        self.registries = {name: HandlerRegistry(service) for name, service in self._services.items()}
        rng = self.rng_of("workers")
        self.workers = [
            Worker(
                self._services[name],
                index,
                loop=loop,
                store=self.stores[name],
                bus=self.bus,
                relay_lock=self.relay_locks[name],
                now=self.now,
                profile=self.profile,
                history=self.history,
                rng=rng,
                watch=self.watch,
            )
            for name in SERVICES
            for index in range(rng.choice((1, 2)))
        ]
        self.troubles: list[str] = []
        self.read: list[tuple[BusRecord, Envelope]] = []
        """Every record that was sent in earnest, when all is at rest."""

    def _build_outside(self) -> None:
        profile, history = self.profile, self.history
        self.stripe = Stripe(profile, history, self.rng_of("stripe"), self._callback)
        self.verifications = CardVerifications(profile, history, self.rng_of("verifications"), self._callback)
        self.platform = CoursePlatform(profile, history, self.rng_of("platform"))
        self.pools = CodePools(profile, history, self.rng_of("pools"))
        self.links = Links(profile, history, self.rng_of("links"))
        self.cabinet = Cabinet(profile, history, self.rng_of("cabinet"), {})
        self.console = GameConsole(profile, history, self.rng_of("console"), self._item)
        self.mails = MailServer(profile, history, self.rng_of("mails"))
        self.receivers = Receivers(profile, history, self.rng_of("receivers"), self._endpoint)
        self.school = School(profile, history, self.rng_of("school"))
        self.discord = DiscordServer(profile, history, self.rng_of("discord"), self._item)
        self.others = OtherSystem(profile, history, self.rng_of("others"))
        self.systems = (
            *(self.stripe, self.platform, self.pools, self.links, self.mails, self.receivers),
            *(self.console, self.verifications),
            *(self.school, self.discord, self.others),
        )
        self._outside: dict[type[Operation], Gateway] = {
            paying.ChargeCard: self.stripe,
            paying.CancelCharge: self.stripe,
            paying.RefundCharge: self.stripe,
            paying.RetryRefund: self.stripe,
            paying.FindCharge: self.stripe,
            paying.FindFee: self.stripe,
            paying.FindRefund: self.stripe,
            **dict.fromkeys((VerifyCard, ReleaseVerification, FindVerification, ForgetCard), self.verifications),
            fulfilling.GrantAccess: self.platform,
            fulfilling.RevokeAccess: self.platform,
            fulfilling.TakeCode: self.pools,
            fulfilling.ReturnCodes: self.pools,
            fulfilling.StoreCodes: self.pools,
            fulfilling.GiveCodes: self.pools,
            fulfilling.CountCodes: self.pools,
            fulfilling.SignDownload: self.links,
            SignFile: self.links,
            **dict.fromkeys((*GRANTS, *REVOCATIONS, CheckServer), self.console),
            CallHttpAction: self.school,
            RevokeHttpAction: self.school,
            GiveRole: self.discord,
            RemoveRole: self.discord,
            SendEmail: self.mails,
            PostWebhook: self.receivers,
            FindLost: LostMessages(StoredLogs(self.stores["notifications"])),
        }

    def _with_outside(self, service: Service) -> Service:
        """The same service in front of simulated systems. Raises LookupError where one has to be written."""
        for kind in service.gateways.keys() - self._outside.keys():
            done(kind)
            self._outside[kind] = self.others
        gateways = {kind: self._outside[kind] for kind in service.gateways}
        return replace(service, gateways=gateways, routes=None, resources=())

    def service(self, name: str) -> Service:
        return self._services[name]

    def is_garbage(self, record: BusRecord) -> bool:
        """Whether it was not sent in earnest, or only a newer build knows it."""
        place = (record.topic, record.partition, record.offset)
        return place in self.garbage or place in self.from_newer

    def handled_by_all(self, record: BusRecord) -> bool:
        """Whether every service that a record is for is through with it."""
        found = [
            (name, inbound_of(registry, record))
            for name, registry in self.registries.items()
            if record.topic in registry.topics
        ]
        wanted = [(name, inbound) for name, inbound in found if inbound is not None]
        return bool(wanted) and all(
            inbound.identity in self.stores[name].rows(INBOX)
            and not any(row.identity == inbound.identity for row in self.stores[name].rows(PARKED).values())
            for name, inbound in wanted
        )

    def calls(self, service: str, row: OperationRow) -> list[datetime]:
        """When calls for an operation really began, and at last when the latest of them ended."""
        try:
            operation = self.registries[service].operations.load(row.kind, row.payload)
        except Exception:
            return []
        system, key = self._outside[type(operation)], operation.idempotency_key(row.id)
        assert isinstance(system, Outside)
        began = system.calls.get(key, [])
        return [*began, system.ended.get(key, began[-1])] if began else []

    def leased(self, service: str) -> int:
        """How many operations its workers hold."""
        return sum(bool(row.leased_by) for row in self.stores[service].rows(OPERATIONS).values())

    def look_for_operations_never_called(self, service: str) -> None:
        """All workers of a service are dead: of what they held, only calls that began can be in doubt."""
        rows = self.stores[service].rows(OPERATIONS).values()
        never_called = [row for row in rows if row.in_doubt and not self.calls(service, row)]
        most = max(worker.at_once for worker in self.workers if worker.service.name == service) * 2
        if len(never_called) > most:
            text = f"{service}: {len(never_called)} operations are in doubt that were never called"
            self.watch.wrong.append((never_called[0].key, text))

    # Time and randomness

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.loop.time()) + self._offset

    def jump_clock(self, seconds: float) -> None:
        """The machines' clocks are set; sleeps take no notice."""
        self._offset += timedelta(seconds=seconds)

    def rng_of(self, what: str) -> random.Random:
        """A generator for each part, so that a change in one does not shift all others."""
        return random.Random(self.seed << 32 | zlib.crc32(what.encode()))  # noqa: S311

    def new_id(self) -> UUID:
        """A UUIDv7 of now."""
        return random_id(int(self.now().timestamp() * 1000), self._ids.getrandbits(RANDOM_BITS))

    # What people do

    def publish(self, message: Command, key: str, *, actor: str = "customer", store: str = "s", times: int = 1) -> UUID:
        """A record by the storefront, or by staff."""
        kind, topic = type(message), type(message).topic
        id, source = self._identity(topic.name)
        envelope = Envelope(
            id=id, type=kind.type, source=source, subject=key, time=self.now(), store=store, actor=actor
        )
        headers: list[tuple[str, bytes | None]] = [*to_headers(envelope)]
        if self.profile.happens(self.profile.level.odd_header):
            self.history.fault("header_without_value", key)
            headers.append(("x-tracking", None))
        for _ in range(times):
            self.bus.append(topic.name, key.encode(), headers, encode(message))
        self.history.add(actor, key, f"publishes {kind.type}" + (f" {times} times" if times > 1 else ""))
        return envelope.id

    def _identity(self, topic: str) -> tuple[UUID, str]:
        """An id and a source, now and then the id that a message of another source has already."""
        others = self._used.setdefault(topic, [])
        if others and self.profile.happens(self.profile.level.shared_id):
            self.history.fault("id_of_another_source", topic)
            return others.pop(), "another-storefront"
        others.append(self.new_id())
        return others[-1], "storefront"

    async def submit(
        self, service: str, message: Command | Report, key: str, *, actor: str, identity: str = ""
    ) -> bool:
        """By HTTP, as often as it takes, under one Idempotency-Key. False when it was refused."""
        identity = identity or str(self.new_id())
        while True:
            answer = await self._once(service, message, key, actor, identity)
            again = isinstance(answer, Refused) and answer.code == "internal"  # it says so itself
            if answer is not None and not again:
                said = f"refused: {answer.code}" if isinstance(answer, Refused) else "accepted"
                self.history.add(actor, key, f"asks {service} by HTTP: {type(message).__qualname__}: {said}")
                return not isinstance(answer, Refused)
            await asyncio.sleep(0.5 + self.asking.random())

    async def _once(
        self, service: str, message: Command | Report, key: str, actor: str, identity: str, store: str = "s"
    ) -> Accepted | Refused | None:
        def question(worker: Worker) -> Coroutine[Any, Any, Accepted | Refused]:
            return worker.api().submit(message, key, identity=identity, actor=actor, store=store)

        try:
            return await self.worker_of(service).asked(question)
        except (Gone, ProblemResponse, StoreUnavailable):
            return None

    def worker_of(self, service: str) -> Worker:
        return self.asking.choice([worker for worker in self.workers if worker.service.name == service])

    async def _callback(self, event: str, order: str, store: str, report: Report) -> bool:
        answer = await self._once("payments", report, order, "provider:stripe", event, store)
        self.history.add("stripe", order, f"callback {event} {report}: {'taken' if answer else 'not taken'}")
        return answer is not None

    def keep(self, task: asyncio.Task[None]) -> None:
        """The world is not at rest before this ends."""
        self.tasks[task] = None
        task.add_done_callback(lambda done: self.tasks.pop(done, None))

    def delivery(self, order: str) -> Delivery | None:
        """As fulfillment's own database has it."""
        stored = self.stores["fulfillment"].rows("deliveries").get(order)
        return codec.load(Delivery, stored.row.data) if stored and stored.row.data else None

    def _item(self, order: str, item: str) -> Item | None:
        delivery = self.delivery(order)
        return delivery.find(item) if delivery else None

    def _endpoint(self, store: str, endpoint: str) -> Endpoint | None:
        """As the gateway reads it: from notifications' own database."""
        stored = self.stores["notifications"].rows("endpoints").get(store)
        known = codec.load(Endpoints, stored.row.data) if stored and stored.row.data else None
        return known.find(endpoint) if known else None

    def _seen(self, record: BusRecord) -> None:
        headers = dict(record.headers)
        key = (record.key or b"").decode("utf-8", "replace")
        self.history.add("bus", key, " ".join(_text(headers.get(name))[:40] for name in ("ce_type", "ce_id")))
        if self.is_garbage(record):
            return
        for reader in self.readers:
            reader(record)
        if record.topic == STATUS.name:
            told = orjson.loads(record.value or b"")
            if told["revision"] >= self.statuses.get(key, told)["revision"]:
                self.statuses[key] = told
                for waiter in self._waiters.pop(key, ()):
                    waiter.set()

    async def news(self, key: str, revision: int) -> None:
        """Till the status record of an order is newer than `revision`."""
        while self.statuses.get(key, {"revision": -1})["revision"] <= revision:
            waiter = asyncio.Event()
            self._waiters.setdefault(key, []).append(waiter)
            await waiter.wait()

    async def start(self) -> None:
        await asyncio.gather(*(worker.start() for worker in self.workers))
