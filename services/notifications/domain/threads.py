"""The conversation about one order: what each fact tells, to whom, and what became of mails and webhooks.

order fact ──► mails, feed entries, one posting per endpoint that wants the event
mail:     pending ──► sent | failed | unknown                         failed, unknown ──(resend)──► pending
posting:  pending ──► delivered | exhausted | paused | removed        exhausted, paused ──(replay)──► pending
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.notifications.domain import mails, webhooks
from services.notifications.domain.feed import Note, entry
from services.notifications.domain.mails import EmailDraft
from services.notifications.domain.state import (
    Endpoint,
    Endpoints,
    Fact,
    Line,
    NotificationLog,
    Person,
    WebhookDelivery,
)
from shared.contracts.checkout import (
    OrderCancelled,
    OrderCompleted,
    OrderDeliveryFailed,
    OrderDeliveryResumed,
    OrderExpired,
    OrderFailed,
    OrderItemsDelivered,
    OrderPaid,
    OrderPaymentActionRequired,
    OrderPaymentDeclined,
    OrderPlaced,
    OrderRefunded,
    OrderRefundFailed,
)
from shared.contracts.values import order_page
from shared.core import Context, Core, Decision, Operation, Ref
from shared.core.fast_dataclasses import replace

threads = Core(NotificationLog)


@dataclass(frozen=True, slots=True)
class Telling:
    """What one fact brings, beside the webhooks that `webhooks.EVENTS` names."""

    fact: str
    letters: Sequence[EmailDraft] = ()
    notes: Sequence[Note] = ()


def store_endpoints(message: object, thread: NotificationLog | None) -> Iterable[Ref[Endpoints]]:
    return [Ref(Endpoints, thread.store.id)] if thread else []


def placed_at(message: OrderPlaced, key: str) -> Iterable[Ref[Endpoints]]:
    return [Ref(Endpoints, message.store.id)]


@threads.on_old(OrderPlaced, reads=placed_at)
def placed(thread: NotificationLog | None, message: OrderPlaced, context: Context) -> Decision[NotificationLog]:
    if thread is not None:
        return Decision(thread)
    thread = NotificationLog(
        number=message.number,
        store=message.store,
        customer=Person(message.customer.name, message.customer.email, message.customer.id),
        lines=tuple(Line(i.product, i.quantity, i.unit_price, i.line_total) for i in message.items),
        currency=message.currency,
        subtotal=message.subtotal,
        discount=message.discount,
        tax=message.tax,
        total=message.total,
        purchased=message.purchased,
        locale=message.locale,
    )
    note = _customer(thread, context, "order_placed", f"Order {thread.number} received", "We wait for its payment.")
    return tell(thread, Telling("placed", notes=[note]), context)


@threads.on_old(OrderPaid, looks_up=store_endpoints)
def paid(thread: NotificationLog | None, message: OrderPaid, context: Context) -> Decision[NotificationLog]:
    if thread is None:
        return Decision(None)
    amount = mails.money(thread, thread.purchased)
    telling = Telling(
        "paid",
        [mails.order_confirmation(thread), mails.new_order(thread)],
        [
            _customer(thread, context, "order_paid", f"Order {thread.number} is paid", f"{amount}. Thank you!"),
            Note("staff", "new_order", f"New order {thread.number}", f"{amount} from {thread.customer.name}."),
        ],
    )
    return tell(replace(thread, paid=True), telling, context)


@threads.on_old(OrderPaymentDeclined)
def declined(
    thread: NotificationLog | None, message: OrderPaymentDeclined, context: Context
) -> Decision[NotificationLog]:
    if thread is None:
        return Decision(None)
    until = mails.moment(message.until)
    title = f"The payment for order {thread.number} did not go through"
    telling = Telling(
        f"declined:{message.attempt}",
        [mails.payment_failed(thread, message.url, message.until, message.text)],
        [Note("customer", "payment_failed", title, f"{message.text} Pay again until {until}.", message.url)],
    )
    return tell(thread, telling, context)


@threads.on_old(OrderPaymentActionRequired)
def action_required(
    thread: NotificationLog | None, message: OrderPaymentActionRequired, context: Context
) -> Decision[NotificationLog]:
    if thread is None:
        return Decision(None)
    title = f"Please confirm the payment for order {thread.number}"
    text = f"Your bank asks you to confirm it until {mails.moment(message.until)}."
    telling = Telling(
        _once("action_required", context),
        [mails.confirm_payment(thread, message.url, message.until)],
        [Note("customer", "confirm_payment", title, text, message.url)],
    )
    return tell(thread, telling, context)


@threads.on_old(OrderItemsDelivered)
def delivered(
    thread: NotificationLog | None, message: OrderItemsDelivered, context: Context
) -> Decision[NotificationLog]:
    """Parcels and what can be used at once are told apart: two facts, two mails."""
    if thread is None:
        return Decision(None)
    parcels = [item for item in message.items if item.instructions.kind == "shipment"]
    others = [item for item in message.items if item.instructions.kind != "shipment"]
    decision = Decision(thread)
    if others:
        names = ", ".join(item.product for item in others)
        note = _customer(thread, context, "delivered", f"Order {thread.number}: your purchase is ready", names)
        telling = Telling(_once("delivered", context), [mails.delivery(thread, others)], [note])
        decision = tell(thread, telling, context)
    if parcels:
        names = ", ".join(item.product for item in parcels)
        note = _customer(thread, context, "shipped", f"Order {thread.number}: your parcel is on its way", names)
        telling = Telling(_once("shipped", context), [mails.shipment(thread, parcels)], [note])
        return _both(decision, tell(decision.state or thread, telling, context))
    return decision


@threads.on_old(OrderDeliveryFailed)
def delivery_failed(
    thread: NotificationLog | None, message: OrderDeliveryFailed, context: Context
) -> Decision[NotificationLog]:
    if thread is None:
        return Decision(None)
    title = f"Delivery failed: order {thread.number}, {message.product}"
    telling = Telling(
        _once("delivery_failed", context),
        [mails.delivery_failure(thread, message.item, message.product, message.text)],
        [Note("staff", "delivery_failure", title, message.text)],
    )
    return tell(thread, telling, context)


@threads.on_old(OrderFailed, looks_up=store_endpoints)
def failed(thread: NotificationLog | None, message: OrderFailed, context: Context) -> Decision[NotificationLog]:
    if thread is None:
        return Decision(None)
    text = "Our staff are looking at it; you need not do anything."
    telling = Telling(
        _once("failed", context),
        [mails.order_failed(thread, message.reason)],
        [
            _customer(thread, context, "order_failed", f"There is a problem with order {thread.number}", text),
            Note("staff", "order_failed", f"Order {thread.number} needs a person", message.reason),
        ],
    )
    return tell(replace(thread, failed=True), telling, context)


@threads.on_old(OrderDeliveryResumed, looks_up=store_endpoints)
def resumed(
    thread: NotificationLog | None, message: OrderDeliveryResumed, context: Context
) -> Decision[NotificationLog]:
    """A change of status only where the order had failed."""
    if thread is None or not thread.failed:
        return Decision(thread)
    return tell(replace(thread, failed=False), Telling(_once("resumed", context)), context)


@threads.on_old(OrderCompleted, looks_up=store_endpoints)
def completed(thread: NotificationLog | None, message: OrderCompleted, context: Context) -> Decision[NotificationLog]:
    if thread is None:
        return Decision(None)
    note = _customer(
        thread, context, "order_completed", f"Order {thread.number} is complete", "Everything is delivered."
    )
    return tell(replace(thread, failed=False), Telling("completed", notes=[note]), context)


@threads.on_old(OrderCancelled, looks_up=store_endpoints)
def cancelled(thread: NotificationLog | None, message: OrderCancelled, context: Context) -> Decision[NotificationLog]:
    if thread is None:
        return Decision(None)
    sold_out = message.code == "sold_out"
    text = "It is sold out; you were not charged." if sold_out else "You get back what you have paid."
    told = "" if not (sold_out or thread.paid) else text
    telling = Telling(
        "cancelled",
        [mails.cancellation(thread, message)],
        [
            _customer(thread, context, "order_cancelled", f"Order {thread.number} was cancelled", told),
            Note("staff", "order_cancelled", f"Order {thread.number} was cancelled", message.reason or message.code),
        ],
    )
    return tell(thread, telling, context)


@threads.on_old(OrderExpired, looks_up=store_endpoints)
def expired(thread: NotificationLog | None, message: OrderExpired, context: Context) -> Decision[NotificationLog]:
    if thread is None:  # opened and never submitted: nobody to tell
        return Decision(None)
    note = _customer(thread, context, "order_expired", f"Order {thread.number} has expired", "It was not paid in time.")
    return tell(thread, Telling("expired", [mails.expiry(thread)], [note]), context)


@threads.on_old(OrderRefunded, looks_up=store_endpoints)
def refunded(thread: NotificationLog | None, message: OrderRefunded, context: Context) -> Decision[NotificationLog]:
    if thread is None:
        return Decision(None)
    title = f"{mails.money(thread, message.amount)} of order {thread.number} was refunded"
    telling = Telling(
        f"refunded:{message.refund}",
        [mails.refund(thread, message)],
        [_customer(thread, context, "refund", title), Note("staff", "refund", title, message.reason)],
    )
    return tell(thread, telling, context)


@threads.on_old(OrderRefundFailed)
def refund_failed(
    thread: NotificationLog | None, message: OrderRefundFailed, context: Context
) -> Decision[NotificationLog]:
    if thread is None:
        return Decision(None)
    title = f"Refund failed: order {thread.number}, {mails.money(thread, message.amount)}"
    telling = Telling(
        _once("refund_failed", context),
        [mails.refund_failure(thread, message.amount, message.text)],
        [Note("staff", "refund_failure", title, message.text)],
    )
    return tell(thread, telling, context)


def tell(thread: NotificationLog, telling: Telling, context: Context) -> Decision[NotificationLog]:
    """Send what a fact brings, unless it was told before."""
    if thread.told(telling.fact):
        return Decision(thread)
    fact = Fact(telling.fact, context.at)
    written = [mails.write(thread, fact.name, letter, context) for letter in telling.letters]
    found = context.row(Endpoints, thread.store.id) if fact.kind in webhooks.EVENTS else None
    postings = tuple(_posting(fact, event, endpoint, context) for event, endpoint in webhooks.due(fact, found))
    told = replace(
        thread,
        facts=(*thread.facts, fact),
        mails=(*thread.mails, *(mail for mail, _ in written)),
        postings=(*thread.postings, *postings),
    )
    sends: list[Operation] = [operation for _, operation in written]
    posts = [webhooks.post(told, posting) for posting in postings if posting.state == "pending"]
    return Decision(told, operations=[*sends, *posts], records=[entry(thread, note, context) for note in telling.notes])


def _posting(fact: Fact, event: str, endpoint: Endpoint, context: Context) -> WebhookDelivery:
    named = context.named_id("webhook", fact.name, event, endpoint.id)
    posting = WebhookDelivery(f"msg_{named.hex}", fact.name, event, endpoint.id)
    if endpoint.paused:
        return replace(posting, state="paused", at=context.at, text=endpoint.reason or "The endpoint is paused.")
    return posting


def _customer(thread: NotificationLog, context: Context, kind: str, title: str, text: str = "") -> Note:
    return Note("customer", kind, title, text, order_page(thread.store.order_url, context.key))


def _once(kind: str, context: Context) -> str:
    """The name of a fact that may happen again: each message is one of its own (the inbox knows repetitions)."""
    return f"{kind}:{context.message_id.hex}"


def _both(first: Decision[NotificationLog], second: Decision[NotificationLog]) -> Decision[NotificationLog]:
    return Decision(
        second.state,
        operations=[*first.operations, *second.operations],
        records=[*first.records, *second.records],
    )
