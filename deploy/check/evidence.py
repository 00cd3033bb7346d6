"""What was read of a system, put together as evidence for the invariants.

`orderbus check` reads databases, topics and the payment provider slice by slice (`run.py`), the simulation its own
world at once. Both add what they read to `Findings`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any, TypeVar

import orjson

from deploy.check import facts
from deploy.check.book import Wanted
from deploy.check.numbers import Numbers
from deploy.check.topics import Seen
from services.checkout.domain.order import Order
from services.fulfillment.domain.delivery import Delivery
from services.fulfillment.domain.stock import Stock
from services.notifications.domain.notification_log import NotificationLog
from services.payments.domain.ledger import PROVIDER_BALANCE, LedgerEntry
from services.payments.domain.payment import Payment
from shared.contracts.checkout import STATUS, OrderStatusRecord
from shared.contracts.envelope import BadBody, decode, encode
from shared.core import NO_WORK, Event, Message, Ref, Task, Work, codec
from shared.core.epochs import SPAN
from shared.invariants.facts import BrokenRule, Evidence, Movement, OrderFacts, PaymentFacts, StreamFacts, Unhandled
from shared.shell.ports.tables import StateTable
from shared.shell.service import Invariants
from shared.shell.service.registry import HandlerRegistry

S = TypeVar("S")
F = TypeVar("F")


class Findings:
    """Of a whole system, or of all that has some keys."""

    def __init__(self, at: datetime, services: Mapping[str, HandlerRegistry]) -> None:
        self.at = at
        self.services = services
        self.ledger: list[LedgerEntry] = []
        self.provider: list[Movement] = []
        self._effects: list[tuple[str, str]] = []
        """What the provider did, with its id of the charge or refund."""
        self.under_way: defaultdict[str, set[Task]] = defaultdict(set)
        """Operations and timers by key."""
        self.busy: set[str] = set()
        self.parked: defaultdict[str, set[str]] = defaultdict(set)
        """The services in which messages of a key are parked."""
        self.waiting: Counter[tuple[str, str]] = Counter()
        """Events in the outbox, by service and key."""
        self.cut: frozenset[str] = frozenset()
        """Topics whose beginning is gone."""
        self.retention: timedelta | None = None
        """Explains it for orders that are older."""
        self.told_since: datetime | None = None
        """The status topic was read from here on only."""
        self.heads_cut = False
        """No topic was read from its beginning."""
        self.unknown: set[Ref[Any]] = set()
        """Rows of other keys that cannot be read."""
        self._rows: defaultdict[type[Any], dict[str, Any]] = defaultdict(dict)
        self._problems: list[str] = []
        self._counted: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._numbers: defaultdict[str, dict[str, Numbers]] = defaultdict(dict)
        self._status: dict[str, Mapping[str, Any]] = {}
        self._unhandled: list[Unhandled] = []
        self._places = {
            kind: (name, table.table.name)
            for name, registry in services.items()
            for kind, table in registry.tables.items()
        }
        self._topics = {name: counted_topics(registry) for name, registry in services.items()}

    # What was read

    def row(
        self,
        service: str,
        table: StateTable,
        key: str,
        sequence: int,
        data: bytes | str | None,
        columns: Mapping[str, Any],
    ) -> None:
        """A row of a state; `data` is None for a key that was only ever refused things."""
        counted = self._counted[service]
        counted[key] = max(counted.get(key, 0), sequence)
        if data is None:
            return
        try:
            state = codec.load(table.kind, data)
            expected = table.columns(state)
        except Exception as wrong:
            self._add_unreadable(service, table.table.name, key, wrong)
            return
        self._problems += facts.row_problems(table.table.name, key, columns, expected)
        self._rows[table.kind][key] = state

    def problem(self, text: str) -> None:
        """Of a row, in words."""
        self._problems.append(text)

    def charge(self, reference: str, amount: int, currency: str, order: str, attempt: str) -> None:
        """Money that the provider took."""
        self.provider.append(Movement(reference, amount, currency, order))
        if order and attempt:
            self._effects.append((f"the charge of order {order}, attempt {attempt},", reference))

    def refund(
        self, reference: str, amount: int, currency: str, order: str, refund: str = "", charge: str = ""
    ) -> None:
        """Money that the provider returned."""
        self.provider.append(Movement(reference, -amount, currency, order, charge))
        if refund:
            self._effects.append((f"refund {refund} of order {order}", reference))

    def record(self, seen: Seen) -> None:
        """A record of a topic, in the topic's order."""
        if seen.topic == STATUS.name:
            if seen.kind:
                self.told(seen.key, seen.body)
        elif is_counted(self._topics, seen):
            self._numbers[seen.source].setdefault(seen.key, Numbers()).add(seen.sequence, seen.id)

    def numbers(self, source: str, key: str, numbers: Numbers) -> None:
        """The numbers of all events of a key."""
        self._numbers[source][key] = numbers

    def told(self, key: str, body: bytes) -> None:
        """The latest record of the status topic so far."""
        self._status[key] = _fields(body)

    def unhandled(self, missing: Unhandled) -> None:
        """A record is not in the inbox of a service that should have handled it."""
        self._unhandled.append(missing)

    # What it comes to

    def of(self, kind: type[S]) -> Mapping[str, S]:
        """States by key."""
        return self._rows[kind]

    def evidence(self) -> Evidence:
        """Of all that was read; what must hold of a whole system is asked, too."""
        deliveries = self.of(Delivery)
        held = facts.held_by(deliveries.values())
        stock = facts.stock_facts(self.of(Stock), held)
        evidence = self.of_keys()
        return evidence.with_whole(stock=list(stock), busy=self._stock_of_busy())

    def of_keys(self) -> Evidence:
        """What can be asked key by key."""
        orders, logs = self.of(Order), self.of(NotificationLog)
        order_facts = self._each(Order, facts.order_facts)
        payments = self.of(Payment).values()
        strays = {stray.reference for payment in payments for stray in payment.strays if not stray.ours}
        extras = {attempt.reference for payment in payments for attempt in payment.attempts if attempt.extra_of}
        return Evidence(
            at=self.at,
            orders=order_facts,
            payments=self._payments(),
            deliveries=self._each(Delivery, facts.delivery_facts),
            ledger=[
                Movement(e.reference, e.amount, e.currency, e.key) for e in self.ledger if e.account == PROVIDER_BALANCE
            ],
            provider=[one for one in self.provider if strays.isdisjoint((one.reference, one.charge))],
            totals={},
            strays=list(self._strays(strays)),
            effects=Counter(what for what, reference in self._effects if reference not in strays | extras),
            streams=list(self._streams()),
            status={key: _as_known(told, order_facts.get(key)) for key, told in self._status.items()},
            untold=frozenset(key for key, order in orders.items() if self._may_be_untold(order)),
            unhandled=self._unhandled,
            notified=frozenset(logs),
            broken=list(self.broken()),
            rows=self._problems,
            under_way={key: self._work(key) for key in self.under_way},
            with_staff=frozenset(key for key, order in orders.items() if facts.staff_work_on(order)),
            alerted=frozenset(key for key, known in self._each(NotificationLog, self._staff_know).items() if known),
            busy=frozenset(self.busy),
            parked={key: frozenset(services) for key, services in self.parked.items()},
        )

    def _strays(self, references: Set[str]) -> Iterator[Movement]:
        """As the provider has them, without what was refunded."""
        for reference in sorted(references):
            found = [one for one in self.provider if reference in (one.reference, one.charge)]
            if left := sum(one.amount for one in found):
                yield Movement(reference, left, found[0].currency, found[0].order)

    def broken(self, *, at_rest: bool = False) -> Iterator[BrokenRule]:
        """The services' own rules that rows break. `at_rest`: no work is in progress anywhere, so all must hold."""
        for name, registry in self.services.items():
            for own in registry.service.invariants:
                for key, state in self.of(own.kind).items():
                    if own.reads and not self.unknown.isdisjoint(own.reads(state)):
                        continue
                    rest, work = (True, NO_WORK) if at_rest else (key not in self.busy, self._work(key))
                    try:
                        broken = list(own.broken(state, *self._others(own, state), at_rest=rest, work=work))
                    except Exception as wrong:
                        self._add_unreadable(*self._places[own.kind], key, wrong)
                        continue
                    yield from (BrokenRule(name, key, rule) for rule in broken)

    def _work(self, key: str) -> Work:
        tasks, parked = self.under_way.get(key, set()), self.parked.get(key, ())
        payment = self.of(Payment).get(key)
        if payment is not None and facts.provider_refunds(payment):
            tasks = tasks | {Task("payments", "refund", "")}
        return Work(frozenset(tasks), frozenset(parked)) if tasks or parked else NO_WORK

    def needed(self) -> Iterator[tuple[str, Ref[Any]]]:
        """Rows of other keys that the services' own rules look at, by service."""
        for name, registry in self.services.items():
            for own in registry.service.invariants:
                if own.reads:
                    for state in self.of(own.kind).values():
                        yield from ((name, ref) for ref in own.reads(state))

    def needed_row(self, ref: Ref[Any], state: Any) -> None:
        """A row that is needed, and not itself looked at."""
        self._rows[ref.kind].setdefault(ref.key, state)

    def _others(self, own: Invariants, state: object) -> list[Any]:
        return [self._rows[ref.kind].get(ref.key) for ref in own.reads(state)] if own.reads else []

    def _payments(self) -> dict[str, PaymentFacts]:
        entries: dict[str, list[LedgerEntry]] = {}
        for entry in self.ledger:
            entries.setdefault(entry.key, []).append(entry)
        return self._each(Payment, lambda key, payment: facts.payment_facts(key, payment, entries.get(key, ())))

    def _each(self, kind: type[S], fact: Callable[[str, S], F]) -> dict[str, F]:
        """By key; a row of which it cannot be made is named."""
        found: dict[str, F] = {}
        for key, state in self.of(kind).items():
            try:
                found[key] = fact(key, state)
            except Exception as wrong:
                self._add_unreadable(*self._places[kind], key, wrong)
        return found

    def _add_unreadable(self, service: str, table: str, key: str, wrong: Exception) -> None:
        """What other services should agree on is not known, so it is not asked."""
        self.problem(facts.unreadable(service, table, key, wrong))
        self.busy.add(key)

    def _staff_know(self, key: str, log: NotificationLog) -> bool:
        return facts.staff_know(log, self.of(Order).get(key))

    def _streams(self) -> Iterator[StreamFacts]:
        """The rows of a SKU (product, stock, pool) have one key, and each counts its own refusals: theirs may have the
        same number, and any order."""
        orders = self.of(Order)
        for name, topics in self._topics.items():
            counted, numbers = self._counted[name], self._numbers[name]
            for key in sorted({*(key for key, count in counted.items() if count), *numbers}):
                given = numbers.get(key, _NONE)
                cut = self.heads_cut or (bool(topics & self.cut) and self._retention_may_reach(key))
                sequences, twice = (given.given, given.twice) if key in orders else (sorted(given.given), ())
                yield StreamFacts(name, key, sequences, counted.get(key), self.waiting[name, key], cut, twice)

    def wanted(self, changed: Collection[tuple[str, str]]) -> Iterator[Wanted]:
        """Where the heads of the topics were not read: of the rows that changed, by service and key, the event that
        came just before what was read."""
        for stream in self._streams():
            if (stream.source, stream.key) not in changed or stream.counted is None:
                continue
            if not stream.sequences and stream.key in self.busy:
                continue  # it may be on its way
            last = min(stream.sequences, default=stream.counted - stream.waiting + 1) - 1
            if last % SPAN:  # or else the first of its epoch is there
                cut = bool(self._topics[stream.source] & self.cut) and self._retention_may_reach(stream.key)
                yield Wanted(stream.key, stream.source, last, cut)

    def _retention_may_reach(self, key: str) -> bool:
        """Messages of an order are no older than the order."""
        order = self.of(Order).get(key)
        return order is None or self.retention is None or order.created_at < self.at - self.retention

    def _may_be_untold(self, order: Order) -> bool:
        """Its latest record on the status topic is older than what was read of it."""
        return self.told_since is not None and order.updated_at < self.told_since

    def _stock_of_busy(self) -> frozenset[str]:
        """The stock of orders in motion is in motion."""
        deliveries = self.of(Delivery)
        busy = (deliveries[key] for key in self.busy if key in deliveries)
        return frozenset(delivery.row_key(item.sku) for delivery in busy for item in delivery.items)


_NONE = Numbers()


def counted_topics(registry: HandlerRegistry) -> frozenset[str]:
    """Where a service's events are, each with its number."""
    emitted = registry.service.emitted
    return frozenset(kind.topic.name for kind in emitted if issubclass(kind, Event) and not kind.topic.compacted)


def is_counted(topics: Mapping[str, frozenset[str]], seen: Seen) -> bool:
    """`topics`: the `counted_topics` of each source."""
    return bool(seen.sequence) and seen.topic in topics.get(seen.source, ())


def readers(services: Mapping[str, HandlerRegistry]) -> Mapping[tuple[str, type[Message] | None], Sequence[str]]:
    """The services that must handle a message, by its topic and type. Without compacted topics, which keep what
    inboxes forget."""
    found: defaultdict[tuple[str, type[Message] | None], list[str]] = defaultdict(list)
    for name, registry in services.items():
        for topic, kinds in registry.service.consumes.items():
            for kind in () if topic.compacted else kinds:
                found[topic.name, kind].append(name)
    return found


def _as_known(told: Mapping[str, Any], order: OrderFacts | None) -> Mapping[str, Any]:
    """A status record without what only a newer build knows, at any depth; as it is where it cannot be read."""
    if order is None or told == order.status_record:
        return told
    try:
        return _fields(encode(decode(OrderStatusRecord, orjson.dumps(told))))
    except BadBody:
        return told


def _fields(body: bytes) -> Mapping[str, Any]:
    """What a record of the status topic says; nothing where it cannot be read."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}
