"""A trial of the whole core: rows in a dictionary, every message through `decide`, operations kept until answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from services.fulfillment.domain import CORES
from services.fulfillment.domain.states import CodePool, Delivery, Item, Product, Stock, row_key
from shared.contracts.checkout import (
    OrderCancelled,
    OrderExpired,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
)
from shared.contracts.fulfillment import Action, AddCodes, ConfigureProduct, ReceiveStock
from shared.contracts.values import Customer, OrderItem, OrderStatus, StoreCard
from shared.core import Attempt, Core, Decision, Event, Operation, Outcome, Ref, Refused, codec, context_at

Op = TypeVar("Op", bound=Operation)

STORE = StoreCard(
    id="acme",
    name="Acme",
    sender="shop@acme.example",
    staff_email="staff@acme.example",
    support_email="help@acme.example",
    order_url="https://acme.example/orders/{order}",
)
CUSTOMER = Customer(name="Ada", email="ada@example.org", id="c-1")
_CORES: dict[type[Any], Core[Any]] = {kind: core for core in CORES for kind in core.handlers}


@dataclass
class Bench:
    rows: dict[Ref[Any], Any] = field(default_factory=dict)
    events: list[tuple[str, Event]] = field(default_factory=list)
    open: list[tuple[str, Operation]] = field(default_factory=list)
    timers: dict[tuple[str, str], Any] = field(default_factory=dict)
    clock: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    _count: int = 0

    def say(
        self,
        message: Any,
        key: str = "o-1",
        *,
        operation: Operation | None = None,
        attempts: tuple[Attempt, ...] = (),
    ) -> Decision[Any] | Refused:
        """One message through the core that answers it; what it decides is carried out."""
        self._count += 1
        self.clock += timedelta(seconds=1)
        core = _CORES[type(message)]
        handling = core.handlers[type(message)]
        main: Ref[Any] = Ref(core.kind, key)
        state = self.rows.get(main)
        held = [*(handling.locks(message, key, state) if handling.locks else ())]
        seen = [*(handling.reads(message, key, state) if handling.reads else ())]
        context = context_at(
            self.clock,
            key,
            rows={ref: self.rows.get(ref) for ref in (*held, *seen)},
            operation=operation,
            attempts=attempts,
            message_id=UUID(int=self._count),
        )
        answer = core.decide(state, message, context)
        if isinstance(answer, Decision):
            assert set(answer.other_states) <= set(held)
            self._carry_out(main, key, answer)
        return answer

    def _carry_out(self, main: Ref[Any], key: str, decision: Decision[Any]) -> None:
        for ref, state in {main: decision.state, **decision.other_states}.items():
            if state is not None:
                stored = codec.load(ref.kind, codec.dump(state))
                assert stored == state, "a state survives JSON"
                self.rows[ref] = stored
        self.events += [(key, event) for event in decision.events]
        for event in decision.events:
            assert type(event).model_validate_json(event.model_dump_json(exclude_none=True)) == event
        for operation in decision.operations:
            assert codec.load(type(operation), codec.dump(operation)) == operation
            self.open.append((key, operation))
        for name in decision.cancel:
            self.timers.pop((key, name if isinstance(name, str) else name.__name__), None)
        for timer in decision.timers:
            self.timers[key, timer.named()] = timer.message
        for order, command in decision.commands:
            self.say(command, order)

    # Shorter words for what is said most

    def product(self, sku: str, action: Action, *, stock: int | None = None) -> None:
        self.say(ConfigureProduct(action=action, track_stock=stock is not None), row_key("acme", sku))
        if stock:
            self.say(ReceiveStock(quantity=stock), row_key("acme", sku))

    def place(self, *lines: OrderItem, key: str = "o-1") -> list[Event]:
        placed = OrderPlaced(
            number="ORD-ABCDEFGHJK",
            store=STORE,
            customer=CUSTOMER,
            items=lines,
            currency="USD",
            subtotal=0,
            discount=0,
            tax=0,
            total=0,
            purchased=0,
        )
        return self.heard(placed, key)

    def pay(self, key: str = "o-1") -> list[Event]:
        return self.heard(OrderPaid(amount=0, currency="USD"), key)

    def cancel(self, key: str = "o-1") -> list[Event]:
        return self.heard(OrderCancelled(), key)

    def expire(self, key: str = "o-1") -> list[Event]:
        return self.heard(OrderExpired(was=OrderStatus.PENDING_PAYMENT), key)

    def refund(self, *items: str, key: str = "o-1", whole: bool = False) -> list[Event]:
        message = OrderRefunded(refund="re_1", amount=1, currency="USD", refunded=1, whole=whole, items=items)
        return self.heard(message, key)

    def heard(self, message: Any, key: str = "o-1") -> list[Event]:
        """What the service says in answer."""
        before = len(self.events)
        answer = self.say(message, key)
        assert isinstance(answer, Decision), answer
        return [event for _, event in self.events[before:]]

    def refusal(self, message: Any, key: str = "o-1") -> Refused:
        answer = self.say(message, key)
        assert isinstance(answer, Refused), answer
        return answer

    def wanted(self, kind: type[Op], item: str | None = None) -> Op:
        """The one open operation of a kind."""
        found = [o for _, o in self.open if isinstance(o, kind) and item in (None, getattr(o, "item", None))]
        assert len(found) == 1, f"{len(found)} open {kind.__name__}"
        return found[0]

    def answer(self, operation: Operation, outcome: Outcome, *attempts: Attempt) -> list[Event]:
        """The outside answers an operation."""
        pair = next(pair for pair in self.open if pair[1] is operation)
        self.open.remove(pair)
        before = len(self.events)
        self.say(outcome, pair[0], operation=operation, attempts=attempts)
        return [event for _, event in self.events[before:]]

    def delivery(self, key: str = "o-1") -> Delivery:
        found = self.rows[Ref(Delivery, key)]
        assert isinstance(found, Delivery)
        return found

    def item(self, id: str, key: str = "o-1") -> Item:
        found = self.delivery(key).item(id)
        assert found is not None
        return found

    def stock(self, sku: str) -> Stock:
        found = self.rows.get(Ref(Stock, row_key("acme", sku)), Stock())
        assert isinstance(found, Stock)
        return found

    def pool(self, name: str) -> CodePool:
        found = self.rows.get(Ref(CodePool, row_key("acme", name)), CodePool())
        assert isinstance(found, CodePool)
        return found

    def configured(self, sku: str) -> Product | None:
        found = self.rows.get(Ref(Product, row_key("acme", sku)))
        assert found is None or isinstance(found, Product)
        return found

    def add_codes(self, pool: str, *codes: str) -> None:
        self.heard(AddCodes(codes=codes), row_key("acme", pool))


def line(item: str, sku: str, quantity: int = 1, *, shippable: bool = False) -> OrderItem:
    return OrderItem(
        item=item,
        sku=sku,
        product=sku.title(),
        quantity=quantity,
        unit_price=0,
        line_total=0,
        purchased=0,
        shippable=shippable,
    )
