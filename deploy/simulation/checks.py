"""What must hold when a run has come to rest: the system's invariants (`shared/invariants/rules.py`, the same functions
that `orderbus check` asks), each service's own rules, and what only a simulation can see of the outside world.

To add an invariant of the system: write it in `shared/invariants/rules.py`. Of one service: in its
`domain/invariants.py`. Of the outside: a function here, in `CHECKS`, that yields (rule, order or other key, what is
wrong).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta

import orjson

from deploy.check.evidence import Findings
from deploy.check.facts import only_reminds
from deploy.simulation.as_bought import delivered_as_bought
from deploy.simulation.delivery_checks import (
    access_as_recorded,
    codes_given_once,
    consoles_as_recorded,
    given_elsewhere_as_recorded,
)
from deploy.simulation.evidence import Broken, findings
from deploy.simulation.failed_payments import FAILED_PAYMENTS
from deploy.simulation.file_checks import FILES, FILES_AFTER_A_RESTORE
from deploy.simulation.message_checks import messages_told
from deploy.simulation.monitor import the_monitor_counts_each_order_once
from deploy.simulation.outage import MARK
from deploy.simulation.read_model_checks import read_models_as_told
from deploy.simulation.shop import OF_ATTEMPT
from deploy.simulation.store_checks import stores_told
from deploy.simulation.stripe_books import Intent
from deploy.simulation.trial import Trial
from deploy.simulation.verification_checks import VERIFIED
from deploy.simulation.world import UNREADABLE
from services.checkout.domain.order import Order
from services.fulfillment.domain.rcon_operations import RevokeByCommands, RunCommands
from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import SendEmail
from services.payments.domain.owed import obligations
from services.payments.domain.payment import Payment, RefundStatus
from shared.contracts.checkout import OrderPaymentDeclined, OrderStatusRecord
from shared.contracts.payments import PaymentCancelled, PaymentDeclined, PaymentRefundFailed
from shared.contracts.values import OrderStatus
from shared.core import UnresolvedOutcome
from shared.invariants.rules import violations
from shared.shell.inbound.records import inbound_of
from shared.simulation.bus import Position
from shared.simulation.memory_database import OPERATIONS, OUTBOX, PARKED, TIMERS, UNDELIVERABLE


def broken(trial: Trial) -> list[Broken]:
    found = findings(trial.world)
    checks = CHECKS_AFTER_A_RESTORE if trial.restore.restored else CHECKS
    wrong = [broken for check in checks for broken in check(trial, found)]
    keys = sorted(found.of(Order), key=len, reverse=True)
    numbers = {order.number: key for key, order in found.of(Order).items()}
    for rule, texts in violations(found.evidence()).items():
        if not trial.restore.restored or rule in RULES_AFTER_A_RESTORE:
            wrong += [(rule, _about(text, keys, numbers), text) for text in texts]
    return wrong


def _about(text: str, keys: list[str], numbers: dict[str, str]) -> str:
    """Which order a violation names."""
    named = (key for number, key in numbers.items() if number in text)
    words = text.replace(",", " ").replace(":", " ").split()
    return next(named, next((key for key in keys if key in words), ""))


# What only a simulation sees


def workers_live(trial: Trial, found: Findings) -> Iterator[Broken]:
    """A worker dies of our faults, never by itself."""
    yield from (("worker_died", "", trouble) for trouble in trial.world.troubles)


def nothing_parked(trial: Trial, found: Findings) -> Iterator[Broken]:
    """All messages are readable by now, and no core may raise."""
    for name, store in trial.world.stores.items():
        for row in store.rows(PARKED).values():
            yield "parked", row.key, f"{name} parked {row.kind} ({row.reason}): {row.error}"


def numbers_tell_orders_apart(trial: Trial, found: Findings) -> Iterator[Broken]:
    orders: defaultdict[str, list[str]] = defaultdict(list)
    for key, order in found.of(Order).items():
        if order.number:
            orders[order.number].append(key)
    for number, keys in orders.items():
        if len(keys) > 1:
            yield "numbers_tell_orders_apart", keys[0], f"{number} is the number of {' and '.join(sorted(keys))}"


def queues_empty(trial: Trial, found: Findings) -> Iterator[Broken]:
    """But for what reminds staff of what they have left."""
    for name, store in trial.world.stores.items():
        registry = trial.world.registries[name]
        for table in (OUTBOX, OPERATIONS, TIMERS):
            rows = [*store.rows(table).values()]
            if table == TIMERS:
                rows = [row for row in rows if not only_reminds(registry, row.kind)]
            if left := [row for row in rows if table == OUTBOX or not row.key.startswith(UNREADABLE)]:
                yield "queues_empty", "", f"{len(left)} {table} are left in {name}"
        if store.locks.held():
            yield "queues_empty", "", f"{name} holds row locks at rest"


def everything_deliverable(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Nothing that the shell makes by itself is refused by the broker, least of all a dead letter."""
    for name, store in trial.world.stores.items():
        for row, _ in store.rows(UNDELIVERABLE).values():
            if row.topic.endswith(".dead-letter.v1") or not row.key.startswith(UNREADABLE):
                yield "undeliverable", row.key, f"{name} could not send a record of {row.topic}: {row.reason}"


def handled_in_order(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Messages of one key from one topic are handled in the topic's order, parked or not."""
    yield from (("handled_in_order", key, text) for key, text in trial.world.watch.overtaken(trial.world.read))


def right_all_along(trial: Trial, found: Findings) -> Iterator[Broken]:
    """What must hold at every moment, and each message's one handling."""
    yield from (("right_all_along", key, text) for key, text in dict.fromkeys(trial.world.watch.wrong))


def replay_is_harmless(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Reading every record again from the beginning changes nothing, here or outside."""
    yield from (("replay_is_harmless", "", f"a replay changed the {name}") for name in trial.replayed)


def rows_keep_their_rules_at_rest(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Each service's own rules, also those that hold only when no work is in progress."""
    yield from ((broken.service, broken.key, broken.rule) for broken in found.broken(at_rest=True))


def payments_at_rest(trial: Trial, found: Findings) -> Iterator[Broken]:
    """In production a payment may wait for its customer or its provider for days; here all have answered."""
    for key, payment in found.of(Payment).items():
        if payment.unresolved or payment.pending or payment.open_attempt or payment.waiting:
            yield "payments", key, "something of the payment is still open at rest"
        for part in obligations(payment):
            if not (part.reference and (key, part.attempt) in trial.shop.unreachable):  # the bank sent it back
                yield "payments", key, f"{part.amount} of attempt {part.attempt} are owed, and nothing is under way"


def charged_once(trial: Trial, found: Findings) -> Iterator[Broken]:
    """No customer pays more than the order costs, whatever happened when: but for a surplus whose refund the bank sent
    back, or that staff refunded in another way."""
    kept: Counter[str] = Counter()
    attempts: Counter[tuple[str, int]] = Counter()
    for intent in trial.world.stripe.intents.values():
        if intent.stray:
            continue
        kept[intent.order] += intent.captured - intent.refunded - _known_surplus(intent, found)
        attempts[intent.order, intent.attempt] += 1
    for key, amount in kept.items():
        order = found.of(Order).get(key)
        due = order.purchased if order and not (order.elsewhere or order.given) else 0
        if amount > due:
            yield "charged_once", key, f"{amount} are kept, the order costs {due or 'nothing'}"
    for (key, number), times in attempts.items():
        if times > 1:
            yield "charged_once", key, f"attempt {number} was made {times} times at the provider"


def refunded_as_asked(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Where staff name the attempt, it is refunded, and no other."""
    for key, payment in found.of(Payment).items():
        notes = {OF_ATTEMPT.format(attempt.number) for attempt in payment.attempts}
        for refund in payment.refunds:
            if refund.note in notes - {OF_ATTEMPT.format(refund.attempt)}:
                yield "refunded_as_asked", key, f"of attempt {refund.attempt} was refunded: {refund.note}"


def _known_surplus(intent: Intent, found: Findings) -> int:
    """What Stripe keeps of a second charge, as far as its own books say that the bank sent it back."""
    payment = found.of(Payment).get(intent.order)
    attempt = next((it for it in payment.attempts if it.reference == intent.id), None) if payment else None
    if payment is None or attempt is None or not (attempt.surplus or payment.closed_as == "given"):
        return 0
    done = [it for it in payment.refunds_of(attempt) if it.status is RefundStatus.DONE]
    elsewhere = sum(refund.amount for refund in done if refund.recorded)
    return min(intent.captured - intent.refunded, intent.sent_back + elsewhere)


def stray_charges_left_alone(trial: Trial, found: Findings) -> Iterator[Broken]:
    """What orderbus did not charge pays no order, and is not refunded."""
    stray = {intent.id: intent for intent in trial.world.stripe.intents.values() if intent.stray}
    for intent in stray.values():
        if intent.refunds:
            yield "stray_charges_left_alone", intent.order, f"{intent.id} was refunded, which orderbus did not charge"
    for key, payment in found.of(Payment).items():
        for attempt in payment.attempts:
            if attempt.reference in stray:
                text = f"attempt {attempt.number} is {attempt.status} with {attempt.reference}, which is another charge"
                yield "stray_charges_left_alone", key, text


def mails_as_recorded(trial: Trial, found: Findings) -> Iterator[Broken]:
    """What arrived outside is what notifications says it sent."""
    logs = found.of(NotificationLog).values()
    sent = {email.id for log in logs for email in log.emails if email.state == "sent"}
    posted = {delivery.id for log in logs for delivery in log.deliveries if delivery.state == "delivered"}
    yield from (
        ("mails_as_recorded", "", f"mail {id} is sent, but never arrived") for id in sent - {*trial.world.mails.taken}
    )
    for id in sorted(posted - {*trial.world.receivers.taken}):
        yield "mails_as_recorded", "", f"webhook {id} is delivered, but never arrived"


def no_charge_reported_as_declined(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Who was told "declined", or that nothing was charged, was not charged, and who was told that a refund failed did
    not get it: for good, not by luck of a callback."""
    ours = [intent for intent in trial.world.stripe.intents.values() if not intent.stray]
    charged = {(i.order, str(i.attempt)): i for i in ours if i.captured}
    tried_again = {it.id for payment in found.of(Payment).values() for it in payment.refunds if it.tries > 1}
    made = {made.refund: made.id for i in ours for made in i.refunds if made.lasts}
    refunded = {refund: id for refund, id in made.items() if refund not in tried_again}
    for record, envelope in trial.world.read:
        type, key = envelope.type, envelope.subject
        if type in (PaymentDeclined.type, PaymentCancelled.type):
            attempt = str(orjson.loads(record.value or b"")["attempt"])
            intent = charged.get((key, attempt))
            if intent and not intent.falsely_declined:
                yield "told_declined", key, f"{type} was told of attempt {attempt}, but {intent.id} was carried out"
        elif type == PaymentRefundFailed.type:
            refund = orjson.loads(record.value or b"")["refund"]
            if refund in refunded:
                yield "told_declined", key, f"refund {refund} was told failed, but {refunded[refund]} was carried out"


def paid_orders_do_not_expire(trial: Trial, found: Findings) -> Iterator[Broken]:
    """An order that was paid, though its time was just ending, is kept: it is not expired and refunded. Only a charge
    that Stripe had called declined may be captured later."""
    for intent in trial.world.stripe.intents.values():
        order = found.of(Order).get(intent.order)
        expected = intent.stray or intent.falsely_declined
        if order and order.status is OrderStatus.EXPIRED and intent.captured and not expected:
            yield "paid_and_expired", intent.order, f"the order is expired, but {intent.id} was captured"


def real_tries(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Only real calls count, and nothing is given up but on the answer of one at the end of its whole time."""
    for service, inbound in trial.world.watch.ended:
        assert inbound.operation is not None
        row, operation = inbound.operation
        calls, what = trial.world.calls(service, row), f"{service}: {type(operation).__qualname__} {row.id}"
        if row.attempts > len(calls) + DEATHS:
            yield "real_tries", inbound.key, f"{what} counts {row.attempts} tries, {len(calls) - 1} calls were made"
        if not _given_up(inbound.message) or operation.deadline_is_strict:
            continue  # a strict deadline ends it, whether or not a call can be made then
        deadline = operation.deadline(row.requested_at)
        if not calls:
            yield "real_tries", inbound.key, f"{what} was given up without a single call"
        elif deadline is None or calls[-1] < deadline - CLOCKS_DIFFER:
            late = f"its time ended {deadline:%d %H:%M:%S}" if deadline else "it has no end"
            yield "real_tries", inbound.key, f"{what} was given up after {calls[-1]:%d %H:%M:%S}, {late}"


def _given_up(outcome: object) -> bool:
    """Whether the shell ended it for lack of an answer. Mail servers and game consoles have no records: their gateways
    say themselves that the outcome is unknown."""
    unknown = isinstance(outcome, UnresolvedOutcome) and not isinstance(outcome, WITHOUT_RECORDS)
    return unknown or getattr(outcome, "code", "") == "gave_up"


WITHOUT_RECORDS = (SendEmail.Unresolved, RunCommands.Unresolved, RevokeByCommands.Unresolved)
DEATHS = 5
"""Workers that die between the commit of a call's beginning and the call, for one operation."""
CLOCKS_DIFFER = timedelta(seconds=5)
"""Workers' clocks are not quite the same, and are set back now and then."""


def texts_for_operators(trial: Trial, found: Findings) -> Iterator[Broken]:
    """What is wrong with our own settings is told to operators, never to a customer."""
    yield from (("operators_text", "", text) for system in trial.world.systems for text in system.shown)
    for record, envelope in trial.world.read:
        if MARK.encode() in (record.value or b"") and envelope.type in FOR_CUSTOMERS:
            yield "operators_text", envelope.subject, f"{envelope.type} has a text for operators"


FOR_CUSTOMERS = frozenset(kind.type for kind in (PaymentDeclined, OrderPaymentDeclined, OrderStatusRecord))


def nothing_vanishes(trial: Trial, found: Findings) -> Iterator[Broken]:
    """An id used again for something else is refused or parked; unreadable rows stay visible."""
    answered = {envelope.causation_id for _, envelope in trial.world.read if envelope.type.endswith(".refused")}
    forged: defaultdict[tuple[str, bytes], list[Position]] = defaultdict(list)
    for place, id in trial.poison.forged.items():
        record = trial.world.bus.logs[place[:2]][place[2]]
        forged[id, (record.key or b"") + (record.value or b"")].append(place)
    for (id, _), places in forged.items():
        record = trial.world.bus.logs[places[0][:2]][places[0][2]]
        for name, registry in trial.world.registries.items():
            wanted = record.topic in registry.topics and inbound_of(registry, record) is not None
            said = id in answered or any((name, *place) in trial.world.watch.said for place in places)
            if wanted and not said:
                yield "vanished", (record.key or b"").decode(), f"{name} dropped {places[0]}, whose id was used before"
    yield from (("vanished", "", text) for text in (trial.poison.lost or trial.poison.hidden()))


def newer_fields_stay(trial: Trial, found: Findings) -> Iterator[Broken]:
    """What only a newer build knows of a state is kept by this one."""
    yield from (("newer_fields_stay", key, text) for key, text in trial.newer.erased())


def nothing_of_aborted_transactions(trial: Trial, found: Findings) -> Iterator[Broken]:
    for key in found.of(Order):
        if key in trial.poison.aborted_keys:
            yield "aborted", key, "the order is of an aborted transaction"


def told_once(trial: Trial, found: Findings) -> Iterator[Broken]:
    """What arrived outside is known here: a decision made again has the Message-ID and the `webhook-id` it had."""
    logs = found.of(NotificationLog).values()
    for id in sorted({*trial.world.mails.taken} - {email.id for log in logs for email in log.emails}):
        yield "told_once", "", f"mail {id} arrived, but notifications does not know of it"
    for id in sorted({*trial.world.receivers.taken} - {delivery.id for log in logs for delivery in log.deliveries}):
        yield "told_once", "", f"webhook {id} arrived, but notifications does not know of it"


CHECKS = (
    told_once,
    no_charge_reported_as_declined,
    *FAILED_PAYMENTS,
    paid_orders_do_not_expire,
    real_tries,
    texts_for_operators,
    nothing_vanishes,
    newer_fields_stay,
    nothing_of_aborted_transactions,
    workers_live,
    nothing_parked,
    numbers_tell_orders_apart,
    queues_empty,
    everything_deliverable,
    handled_in_order,
    right_all_along,
    replay_is_harmless,
    rows_keep_their_rules_at_rest,
    payments_at_rest,
    charged_once,
    *VERIFIED,
    refunded_as_asked,
    stray_charges_left_alone,
    access_as_recorded,
    given_elsewhere_as_recorded,
    delivered_as_bought,
    codes_given_once,
    consoles_as_recorded,
    mails_as_recorded,
    messages_told,
    read_models_as_told,
    stores_told,
    the_monitor_counts_each_order_once,
    *FILES,
)

CHECKS_AFTER_A_RESTORE = (
    workers_live,
    nothing_parked,
    numbers_tell_orders_apart,
    queues_empty,
    charged_once,
    codes_given_once,
    told_once,
    messages_told,
    read_models_as_told,
    stores_told,
    nothing_of_aborted_transactions,
    *FILES_AFTER_A_RESTORE,
)
RULES_AFTER_A_RESTORE = frozenset({"one_effect_per_key"})
"""What a database that was restored cannot break: no second charge, no second refund, no second code. The rest differs
until staff have compared the services (`orderbus check` names it)."""
