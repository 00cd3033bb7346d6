"""How evidence is put together from what was read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest

from deploy.check.evidence import Findings
from deploy.check.facts import payment_facts, staff_know
from deploy.check.topics import Seen
from services.checkout.domain.order import Order
from services.checkout.domain.status_record import status_record
from services.checkout.storage import order_columns
from services.declared import declared
from services.notifications.domain.notification_log import Customer, Email, Fact, NotificationLog
from services.payments.domain.ledger import LedgerEntry
from services.payments.domain.operations import RefundCharge, RefundResult
from services.payments.domain.payment import Payment
from shared.contracts.checkout import ORDERS, STATUS, CancelOrder, OrderCancelled, OrderCreated, OrderStatusRecord
from shared.contracts.envelope import encode
from shared.contracts.payments import RefundPayment
from shared.core import Task, codec
from shared.core.fast_dataclasses import replace
from shared.invariants.facts import Evidence, StreamFacts
from shared.invariants.rules import violations
from shared.shell.service.registry import HandlerRegistry
from tests.unit.checkout.examples import START, paid_order, placed_order
from tests.unit.notifications.examples import paid_order as notified_order
from tests.unit.notifications.examples import webhook
from tests.unit.payments.examples import PaymentScenario, refund_reported, requested
from tests.unit.payments.test_owed import surplus

AT = datetime(2026, 4, 1, tzinfo=UTC)
FIRST, SECOND, THIRD = (UUID(int=number) for number in (1, 2, 3))


def findings(*, order: bool = True) -> Findings:
    """Of a system with checkout alone, and one order in it or nothing."""
    registry = HandlerRegistry(declared()["checkout"])
    found = Findings(AT, {"checkout": registry})
    if order:
        state = placed_order().state
        found.row("checkout", registry.tables[Order], "o-1", 2, codec.dump(state), order_columns(state))
    return found


def stream_of(found: Findings, numbers: Iterable[tuple[int, UUID]]) -> StreamFacts:
    for number, event in numbers:
        found.record(Seen(ORDERS.name, "o-1", event, OrderCreated, "checkout", number, AT))
    (stream,) = found.evidence().streams
    return stream


def test_a_repetition_is_no_second_event() -> None:
    stream = stream_of(findings(), [(1, FIRST), (2, SECOND), (1, FIRST), (2, SECOND)])
    assert (list(stream.sequences), stream.counted, stream.twice) == ([1, 2], 2, [])


def test_one_number_for_two_events_of_an_order_is_seen() -> None:
    numbers = [(1, FIRST), (2, SECOND), (2, THIRD)]
    assert stream_of(findings(), numbers).twice == [2]
    assert stream_of(findings(order=False), numbers).twice == (), "the rows of a SKU count each for itself"


def test_the_rows_of_a_sku_count_in_any_order() -> None:
    """Two rows with one key: the topic's head is cut, and the numbers of one come after those of the other."""
    numbers = [(5, FIRST), (6, SECOND), (2, THIRD)]
    assert list(stream_of(findings(order=False), numbers).sequences) == [2, 5, 6]
    assert list(stream_of(findings(), numbers).sequences) == [5, 6, 2]


def test_retention_explains_a_stream_without_a_head_only_for_orders_that_are_older() -> None:
    found = findings()
    found.cut = frozenset({ORDERS.name})
    found.retention = AT - START - timedelta(days=1)
    assert stream_of(found, [(2, SECOND)]).head_may_be_cut
    found = findings()
    found.cut = frozenset({ORDERS.name})
    found.retention = AT - START + timedelta(days=1)
    assert not stream_of(found, [(2, SECOND)]).head_may_be_cut


def test_the_last_status_record_counts_also_if_it_is_a_repetition() -> None:
    """As for every reader of the compacted topic: an older record after a newer one must be seen."""
    found = findings()
    for event, body in ((FIRST, b'{"revision": 1}'), (SECOND, b'{"revision": 2}'), (FIRST, b'{"revision": 1}')):
        found.record(Seen(STATUS.name, "o-1", event, OrderStatusRecord, "checkout", 0, AT, body))
    assert found.evidence().status == {"o-1": {"revision": 1}}


def test_what_only_a_newer_build_put_into_a_status_record_is_no_difference() -> None:
    found = findings()
    order = found.of(Order)["o-1"]
    told = orjson.loads(encode(status_record(order)))
    newer = told | {"gift": "red paper", "customer": told["customer"] | {"company": "Gifts Ltd"}}
    found.told("o-1", orjson.dumps(newer))
    assert found.evidence().status == {"o-1": told}
    found.told("o-1", orjson.dumps(newer | {"revision": told["revision"] + 1}))
    assert found.evidence().status["o-1"]["revision"] == told["revision"] + 1


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b"{"])
def test_a_status_record_that_cannot_be_read_says_nothing_and_ends_nothing(body: bytes) -> None:
    found = findings()
    found.record(Seen(STATUS.name, "o-1", FIRST, OrderStatusRecord, "checkout", 0, AT, body))
    assert any("differs" in text for text in violations(found.evidence())["replay_changes_nothing"])


@pytest.mark.parametrize(
    ("changed", "excuses"), [(timedelta(hours=-1), True), (timedelta(seconds=30), True), (timedelta(hours=1), False)]
)
def test_an_alert_excuses_an_order_until_the_order_changes(changed: timedelta, excuses: bool) -> None:
    log = NotificationLog(
        *("ORD-1", placed_order().state.store, Customer("Ada", "ada@example.com"), (), "EUR", 0, 0, 0, 0, 0),
        facts=(Fact("paid", AT - timedelta(hours=2)), Fact("delivery_failed:1", AT)),
        emails=(Email("m1", "delivery_failed:1", "delivery_failure", "staff", state="sent"),),
    )
    order = replace(placed_order().state, updated_at=AT + changed)
    assert staff_know(log, order) is excuses


def test_an_alert_does_not_excuse_what_staff_did_within_the_minute_by_which_clocks_differ() -> None:
    """They retried the delivery after 30 s, and the order is theirs no more."""
    log = NotificationLog(
        *("ORD-1", placed_order().state.store, Customer("Ada", "ada@example.com"), (), "EUR", 0, 0, 0, 0, 0),
        facts=(Fact("delivery_failed:1", AT), Fact("failed:1", AT), Fact("resumed:1", AT + timedelta(seconds=30))),
        emails=(Email("m1", "delivery_failed:1", "delivery_failure", "staff", state="sent"),),
    )
    order = replace(placed_order().state, updated_at=AT + timedelta(seconds=30))
    assert not staff_know(log, order)
    assert staff_know(replace(log, failed=True), order)


def test_news_of_a_sale_is_no_alert() -> None:
    log = NotificationLog(
        *("ORD-1", placed_order().state.store, Customer("Ada", "ada@example.com"), (), "EUR", 0, 0, 0, 0, 0),
        facts=(Fact("paid", AT),),
        emails=(Email("m1", "paid", "new_order", "staff", state="sent"),),
    )
    assert not staff_know(log, placed_order().state)


def broken(found: Findings) -> list[str]:
    evidence: Evidence = found.evidence()
    return [one.rule for one in evidence.broken]


def test_rules_that_hold_at_rest_are_asked_unless_what_they_wait_for_is_under_way() -> None:
    found = findings()
    rule = "stock is reserved or refused at rest"
    found.busy.add("o-1")
    assert broken(found) == []
    found.busy.clear()
    assert broken(found) == [rule]
    found.under_way["o-1"].add(Task("checkout", "PaymentOverdue", ""))
    found.parked["o-1"].add("notifications")
    assert broken(found) == [rule], "neither reserves stock"
    found.parked["o-1"].add("fulfillment")
    assert broken(found) == []
    assert [(one.service, one.rule) for one in found.broken(at_rest=True)] == [("checkout", rule)]


def test_a_refund_that_the_bank_has_yet_to_pay_is_under_way() -> None:
    """The provider made it, and tells days later when it was paid: there is no call until then."""
    order = paid_order().hear(CancelOrder()).state
    payment = PaymentScenario(requested()).pay().hear(OrderCancelled())
    refund = payment.refund()
    payment.answer(refund, RefundCharge.Done(RefundResult("re_1", "pending")))
    services = {name: HandlerRegistry(declared()[name]) for name in ("checkout", "payments")}
    found = Findings(AT, services)
    found.row("checkout", services["checkout"].tables[Order], "o-1", 2, codec.dump(order), order_columns(order))
    rule = "a cancelled or expired order is fully refunded"
    assert broken(found) == [rule]
    table = services["payments"].tables[Payment]
    found.row("payments", table, "o-1", 2, codec.dump(payment.state), table.columns(payment.state))
    assert broken(found) == []


def test_a_row_that_contradicts_itself_is_named_without_its_data_and_ends_nothing() -> None:
    """It can be read, but no status record can be made of it."""
    found = findings()
    order = replace(found.of(Order)["o-1"], currency="secret")
    registry = found.services["checkout"]
    found.row("checkout", registry.tables[Order], "o-1", 2, codec.dump(order), order_columns(order))
    evidence = found.evidence()
    assert evidence.rows == ["checkout, orders o-1: its data cannot be read (ValidationError)"]
    assert "o-1" in evidence.busy


def test_a_row_whose_endpoints_cannot_be_read_is_not_asked_about_them() -> None:
    registry = HandlerRegistry(declared()["notifications"])
    found = Findings(AT, {"notifications": registry})
    log = notified_order(webhook("crm", ["order.received"])).state
    table = registry.tables[NotificationLog]
    found.row("notifications", table, "o-1", 2, codec.dump(log), table.columns(log))
    ((_, needed),) = found.needed()
    assert found.evidence().broken
    found.unknown.add(needed)
    assert not found.evidence().broken


def test_of_a_row_that_changed_in_a_window_the_event_before_it_is_wanted() -> None:
    """Whether something of it is in the window or not; what is in the outbox is on no topic yet."""
    changed = {("checkout", "o-1")}
    found = findings()
    assert list(found.wanted(changed)) == [("o-1", "checkout", 2, False)]
    assert list(found.wanted(set())) == []
    found.waiting["checkout", "o-1"] = 1
    assert list(found.wanted(changed)) == [("o-1", "checkout", 1, False)]
    found.cut = frozenset({ORDERS.name})
    assert list(found.wanted(changed)) == [("o-1", "checkout", 1, True)], "retention may have removed it"
    found.busy.add("o-1")
    assert list(found.wanted(changed)) == [], "it may be on its way"
    stream_of(found, [(2, SECOND)])
    assert list(found.wanted(changed)) == [("o-1", "checkout", 1, True)]
    found = findings()
    stream_of(found, [(1, FIRST), (2, SECOND)])
    assert list(found.wanted(changed)) == []


def test_a_recorded_refund_is_borne_out_by_the_ledger_though_the_provider_moved_nothing() -> None:
    payment = PaymentScenario(requested()).pay()
    payment.hear(RefundPayment(amount=700, refund_payment=False, note="By bank transfer."))
    account = payment_facts("o-1", payment.state, payment.all.of(LedgerEntry))
    assert (account.ledger, account.refunded, account.unbalanced) == (4300, 700, ())
    assert violations(Evidence(AT, payments={"o-1": account}))["ledger_matches_provider"] == []


def sent_back(payment: PaymentScenario) -> PaymentScenario:
    """Its refund is made, and the bank returns it."""
    id = payment.refund().refund
    return payment.make_refund().hear(refund_reported(id, "failed", f"re_{id}"))


def test_of_a_surplus_is_known_what_the_bank_sent_back_and_what_was_refunded_in_another_way() -> None:
    payment = sent_back(surplus())
    account = payment_facts("o-1", payment.state, ())
    assert (account.surplus, account.surplus_sent_back, account.surplus_paid_elsewhere) == (5000, 5000, 0)
    assert account.sent_back == 5000

    payment.hear(RefundPayment(attempt=1, amount=2000, refund_payment=False, note="In cash."))
    account = payment_facts("o-1", payment.state, ())
    assert (account.surplus_sent_back, account.surplus_paid_elsewhere) == (3000, 2000)

    payment.hear(RefundPayment(attempt=1))
    assert payment_facts("o-1", payment.state, ()).surplus_sent_back == 0, "it is under way again"


def test_what_the_bank_sent_back_of_an_order_that_was_kept_is_not_owed() -> None:
    payment = sent_back(PaymentScenario(requested()).pay().hear(RefundPayment(amount=700)))
    assert payment_facts("o-1", payment.state, ()).sent_back == 0
