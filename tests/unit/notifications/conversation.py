"""An order's conversation with notifications, without any shell: facts go in, calls and feed entries come out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.notifications.domain import endpoints, threads
from services.notifications.domain.operations import FeedEntry, PostWebhook, SendEmail
from services.notifications.domain.state import Endpoints, NotificationLog
from shared.contracts.checkout import OrderPaid, OrderPlaced
from shared.contracts.notifications import RegisterWebhook
from shared.contracts.values import Customer, OrderItem, StoreCard
from shared.core import Attempt, Context, Decision, Event, Operation, Outcome, Record, Ref, Refused, UnresolvedOutcome

START = datetime(2026, 3, 3, 14, 5, tzinfo=UTC)
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ALL_EVENTS = ("order.received", "order.refunded", "order.created", "order.updated", "order.completed")
STORE = StoreCard(
    id="northwind",
    name="Northwind Books",
    sender="orders@northwind.example",
    staff_email="staff@northwind.example",
    support_email="help@northwind.example",
    order_url="https://northwind.example/orders/{order}",
)


def placed(**changes: object) -> OrderPlaced:
    item = OrderItem(
        item="1", sku="atlas", product="Field Atlas", quantity=2, unit_price=1500, line_total=3000, purchased=2700
    )
    order = OrderPlaced(
        number="ORD-ABCDEFGH12",
        store=STORE,
        customer=Customer(name="Ada Lovelace", email="ada@example.com"),
        items=(item,),
        currency="EUR",
        subtotal=3000,
        discount=300,
        tax=0,
        total=3000,
        purchased=2700,
    )
    return order.model_copy(update=changes)


PAID = OrderPaid(amount=2700, currency="EUR")


class Conversation:
    """One order and its store's endpoints. Keeps everything that was ever wanted."""

    def __init__(self, *registered: RegisterWebhook, key: str = "o-1") -> None:
        self.key = key
        self.at = START
        self.thread: NotificationLog | None = None
        self.endpoints: Endpoints | None = None
        self.operations: list[Operation] = []
        self.records: list[Record] = []
        self.events: list[Event] = []
        self._messages = 0
        for command in registered:
            self.store(command)

    def store(self, command: object) -> Decision[Endpoints] | Refused:
        """A command to the store's endpoints."""
        answer = endpoints.decide(self.endpoints, command, self._context(STORE.id))
        if isinstance(answer, Decision):
            self.endpoints = answer.state
        return answer

    def found(self, operation: Operation, outcome: Outcome) -> Decision[Endpoints]:
        """The outcome of an operation that the store's row wanted."""
        context = self._context(STORE.id)
        context.operation = operation
        answer = endpoints.decide(self.endpoints, outcome, context)
        assert isinstance(answer, Decision)
        return answer

    def told(self, message: object) -> Decision[NotificationLog]:
        """A fact or an accepted command; what it brings about."""
        answer = self.answer(message)
        assert isinstance(answer, Decision), answer
        return answer

    def answer(self, message: object, identity: UUID | None = None) -> Decision[NotificationLog] | Refused:
        return self._take(message, self._context(self.key, identity))

    def came(
        self, operation: Operation, outcome: Outcome, *errors: str, at: datetime | None = None
    ) -> Decision[NotificationLog]:
        """The outcome of an operation, after tries that did not succeed."""
        context = self._context(self.key)
        context.operation = operation
        context.attempts = [Attempt(at=at or self.at, error=error) for error in errors]
        gave_up = getattr(outcome, "code", "") == "gave_up" or isinstance(outcome, UnresolvedOutcome)
        context.calls = len(errors) + (not gave_up)
        answer = self._take(outcome, context)
        assert isinstance(answer, Decision)
        return answer

    def mails(self) -> list[SendEmail]:
        return [one for one in self.operations if isinstance(one, SendEmail)]

    def posts(self, endpoint: str | None = None) -> list[PostWebhook]:
        return [one for one in self.operations if isinstance(one, PostWebhook) and endpoint in (None, one.endpoint)]

    def feed(self, recipient: str) -> list[FeedEntry]:
        return [one for one in self.records if isinstance(one, FeedEntry) and one.key == recipient]

    def _take(self, message: object, context: Context) -> Decision[NotificationLog] | Refused:
        answer = threads.decide(self.thread, message, context)
        if isinstance(answer, Decision):
            self.thread = answer.state
            self.operations += answer.operations
            self.records += answer.records
            self.events += answer.events
        return answer

    def _context(self, key: str, identity: UUID | None = None) -> Context:
        self._messages += 1
        self.at += timedelta(minutes=1)
        number = UUID(int=(0x0190 << 112) + int.from_bytes(self.key.encode()) * 10_000 + self._messages)
        return Context(self.at, key, identity or number, rows={Ref(Endpoints, STORE.id): self.endpoints})


def hook(
    endpoint: str = "crm", events: Sequence[str] = ALL_EVENTS, url: str = "https://crm.example/in"
) -> RegisterWebhook:
    return RegisterWebhook.model_validate({"endpoint": endpoint, "url": url, "events": tuple(events), "secret": SECRET})


def paid_order(*registered: RegisterWebhook) -> Conversation:
    order = Conversation(*registered)
    order.told(placed())
    order.told(PAID)
    return order
