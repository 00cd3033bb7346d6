"""What must hold when a run has come to rest: the design's invariants (`shared/invariants.py`, the same functions that
`orderbus check` asks), each service's own rules, and what only a simulation can see of the outside world.

To add an invariant of the system: write it in `shared/invariants.py`. Of one service: in its `domain/invariants.py`. Of
the outside: a function here, in `CHECKS`, that yields (rule, order or other key, what is wrong).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from deploy.evidence import Gathered, Numbers, row_problems
from services.checkout.domain import invariants as checkout_rules
from services.checkout.domain.order import Order
from services.fulfillment.domain import invariants as fulfillment_rules
from services.fulfillment.domain.states import CourseAccess, Delivery, ItemStatus, Stock, pool_of, row_key
from services.notifications.domain.state import Endpoints, Thread
from services.payments.domain.ledger import LedgerEntry
from services.payments.domain.payment import Payment
from shared.contracts.checkout import STATUS
from shared.contracts.envelope import MESSAGES, Event, from_headers
from shared.invariants import Movement, Unhandled, violations
from shared.shell import codec
from shared.shell.core import mixed
from shared.shell.inbound import salt_of
from shared.shell.wiring import Wiring
from shared.simulation.memory_store import INBOX, OPERATIONS, OUTBOX, PARKED, TIMERS

if TYPE_CHECKING:
    from deploy.simulation.world import World

Broken = tuple[str, str, str]


def broken(world: World) -> list[Broken]:
    gathered = gather(world)
    found = [found for check in CHECKS for found in check(world, gathered)]
    keys = sorted(gathered.orders, key=len, reverse=True)
    numbers = {order.number: key for key, order in gathered.orders.items()}
    for rule, texts in violations(gathered.evidence()).items():
        found += [(rule, _about(text, keys, numbers), text) for text in texts]
    return found


def _about(text: str, keys: list[str], numbers: dict[str, str]) -> str:
    """Which order a violation names."""
    named = (key for number, key in numbers.items() if number in text)
    words = text.replace(",", " ").replace(":", " ").split()
    return next(named, next((key for key in keys if key in words), ""))


# Evidence, as `deploy/check.py` gathers it from real databases


def gather(world: World) -> Gathered:
    gathered = Gathered(at=world.now())
    counted: dict[tuple[str, str], int] = {}
    for name in world.names:
        _states(world, name, gathered, counted)
        for row in (*world.stores[name].rows(OPERATIONS).values(), *world.stores[name].rows(TIMERS).values()):
            gathered.under_way.add(row.key)
    _provider(world, gathered)
    _topics(world, gathered, counted)
    return gathered


def _states(world: World, name: str, gathered: Gathered, counted: dict[tuple[str, str], int]) -> None:
    into: dict[type[Any], dict[str, Any]] = {
        Order: gathered.orders,
        Payment: gathered.payments,
        Delivery: gathered.deliveries,
        Stock: gathered.stock,
        Thread: gathered.threads,
        Endpoints: gathered.endpoints,
    }
    store, storage = world.stores[name], world.service(name).storage
    for table in storage.states:
        for key, stored in store.states(table).items():
            counted[name, key] = max(counted.get((name, key), 0), stored.row.sequence)
            if stored.row.data is not None:
                state = codec.load(table.kind, stored.row.data)
                gathered.rows += row_problems(table.table.name, key, stored.columns, table.columns(state))
                into.get(table.kind, {})[key] = state
    for records in storage.records:
        if records.kind is LedgerEntry:
            gathered.ledger += [entry for entry in store.records(records) if isinstance(entry, LedgerEntry)]


def _provider(world: World, gathered: Gathered) -> None:
    for intent in world.stripe.intents.values():
        if intent.captured:
            gathered.provider.append(Movement(intent.id, intent.captured, intent.currency, intent.order))
            gathered.effects[f"the charge of order {intent.order}, attempt {intent.attempt},"] += 1
        for made in intent.refunds:
            if made.status == "succeeded":
                gathered.provider.append(Movement(made.id, -made.amount, intent.currency, intent.order))
                gathered.effects[f"refund {made.refund} of order {intent.order}"] += 1


def _topics(world: World, gathered: Gathered, counted: dict[tuple[str, str], int]) -> None:
    numbers: defaultdict[tuple[str, str], Numbers] = defaultdict(Numbers)
    latest: dict[str, bytes] = {}
    wirings = {name: Wiring(world.service(name)) for name in world.names}
    seen: set[tuple[str, UUID]] = set()
    for record in world.bus.records():
        envelope = from_headers(record.headers, record.key)
        if (record.topic, envelope.id) in seen:
            continue
        seen.add((record.topic, envelope.id))
        kind = MESSAGES[envelope.type, envelope.version]
        if record.topic == STATUS.name:
            latest[envelope.subject] = record.value or b""
        elif issubclass(kind, Event) and kind.topic.name == record.topic:
            numbers[envelope.source, envelope.subject].add(envelope.sequence, envelope.id)
        for name, wiring in wirings.items():
            wanted = record.topic in wiring.topics and wiring.handles(kind)
            identity = mixed(envelope.id, salt_of(envelope.source))
            if wanted and identity not in world.stores[name].rows(INBOX):
                gathered.unhandled.append(Unhandled(name, kind.type, envelope.subject, str(envelope.id)))
    gathered.status |= {key: orjson.loads(value) for key, value in latest.items()}
    there = {place for place, sequence in counted.items() if sequence}
    for name, key in sorted(there | set(numbers)):
        gathered.stream(name, key, numbers[name, key], counted.get((name, key)))


# What only a simulation sees


def workers_live(world: World, gathered: Gathered) -> Iterator[Broken]:
    """A worker dies of our faults, never by itself."""
    yield from (("worker_died", "", trouble) for trouble in world.troubles)


def nothing_parked(world: World, gathered: Gathered) -> Iterator[Broken]:
    """Nobody sent anything unreadable, and no core may raise."""
    for name, store in world.stores.items():
        for row in store.rows(PARKED).values():
            yield "parked", row.key, f"{name} parked {row.kind} ({row.reason}): {row.error}"


def queues_empty(world: World, gathered: Gathered) -> Iterator[Broken]:
    for name, store in world.stores.items():
        for table in (OUTBOX, OPERATIONS, TIMERS):
            if rows := store.rows(table):
                yield "queues_empty", "", f"{len(rows)} {table} are left in {name}"
        if store.locks.held():
            yield "queues_empty", "", f"{name} holds row locks at rest"


def handled_in_order(world: World, gathered: Gathered) -> Iterator[Broken]:
    """Messages of one key from one topic are handled in the topic's order, parked or not."""
    yield from (("handled_in_order", key, text) for key, text in world.watch.overtaken(world.bus.records()))


def right_all_along(world: World, gathered: Gathered) -> Iterator[Broken]:
    """What must hold at every moment, and each message's one handling."""
    yield from (("right_all_along", key, text) for key, text in dict.fromkeys(world.watch.wrong))


def replay_is_harmless(world: World, gathered: Gathered) -> Iterator[Broken]:
    """Reading every record again from the beginning changes nothing, here or outside."""
    yield from (("replay_is_harmless", "", f"a replay changed the {name}") for name in world.replayed)


def services_at_rest(world: World, gathered: Gathered) -> Iterator[Broken]:
    """Each service's own rules, as they hold when nothing is under way."""
    for key, order in gathered.orders.items():
        yield from (("checkout", key, rule) for rule in checkout_rules.broken(order, at_rest=True))
    for key, delivery in gathered.deliveries.items():
        yield from (("fulfillment", key, rule) for rule in fulfillment_rules.broken(delivery, at_rest=True))
    for text in fulfillment_rules.unbalanced(gathered.stock, gathered.deliveries.values()):
        yield "fulfillment", "", text
    for key, payment in gathered.payments.items():
        if payment.unresolved or payment.pending or payment.open or payment.waiting:
            yield "payments", key, "something of the payment is still open at rest"


def charged_once(world: World, gathered: Gathered) -> Iterator[Broken]:
    """Nobody pays more than the order costs, whatever happened when."""
    kept: Counter[str] = Counter()
    attempts: Counter[tuple[str, int]] = Counter()
    for intent in world.stripe.intents.values():
        kept[intent.order] += intent.captured - intent.refunded
        attempts[intent.order, intent.attempt] += 1
    for key, amount in kept.items():
        order = gathered.orders.get(key)
        if order is None or amount > order.purchased:
            yield "charged_once", key, f"{amount} are kept, the order costs {order.purchased if order else 'nothing'}"
    for (key, number), times in attempts.items():
        if times > 1:
            yield "charged_once", key, f"attempt {number} was made {times} times at the provider"


def access_as_recorded(world: World, gathered: Gathered) -> Iterator[Broken]:
    """Who may enter a course is who was given it and not shut out again."""
    for key, delivery in gathered.deliveries.items():
        for item in delivery.items:
            unclear = item.doubtful or item.status is ItemStatus.REVOCATION_FAILED
            if not isinstance(item.action, CourseAccess) or unclear:
                continue
            has, should = world.platform.access.get((key, item.id), False), item.status is ItemStatus.DELIVERED
            if has != should:
                yield "access_as_recorded", key, f"item {item.id} is {item.status}, but access is {has}"


def codes_given_once(world: World, gathered: Gathered) -> Iterator[Broken]:
    """Every code that a customer has is taken from the pool for exactly that item."""
    for key, delivery in gathered.deliveries.items():
        for item in delivery.items:
            pool = pool_of(item)
            if pool is None or item.status is not ItemStatus.DELIVERED or item.instructions is None:
                continue
            codes = item.instructions.codes or (item.instructions.code,)
            taken = world.pools.pools[row_key(delivery.store, pool)].codes
            if any(taken.get(code or "") != (key, item.id) for code in codes) or len(codes) != item.quantity:
                yield "codes_given_once", key, f"item {item.id} has {codes}, which are not its own in the pool"


def mails_as_recorded(world: World, gathered: Gathered) -> Iterator[Broken]:
    """What arrived outside is what notifications says it sent."""
    sent = {mail.id for thread in gathered.threads.values() for mail in thread.mails if mail.state == "sent"}
    posted = {p.id for thread in gathered.threads.values() for p in thread.postings if p.state == "delivered"}
    yield from (
        ("mails_as_recorded", "", f"mail {id} is sent, but never arrived") for id in sent - {*world.mails.taken}
    )
    for id in sorted(posted - {*world.receivers.taken}):
        yield "mails_as_recorded", "", f"webhook {id} is delivered, but never arrived"


CHECKS = (
    workers_live,
    nothing_parked,
    queues_empty,
    handled_in_order,
    right_all_along,
    replay_is_harmless,
    services_at_rest,
    charged_once,
    access_as_recorded,
    codes_given_once,
    mails_as_recorded,
)
