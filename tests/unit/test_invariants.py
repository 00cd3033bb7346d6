"""Each invariant holds for a system that is right, and names what is wrong with one that was damaged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.core import Task, Work
from shared.core.epochs import SPAN
from shared.invariants.facts import (
    BrokenRule,
    DeliveryFacts,
    Evidence,
    ItemFacts,
    Movement,
    OrderFacts,
    PaymentFacts,
    StockFacts,
    StreamFacts,
    Unhandled,
)
from shared.invariants.rules import INVARIANTS, violations

AT = datetime(2026, 3, 3, 14, 0, tzinfo=UTC)
ORDER = OrderFacts(
    key="o-1",
    number="ORD-1",
    status="completed",
    currency="GBP",
    total=5880,
    purchased=5380,
    paid=5380,
    refunded=1000,
    items={"1": ItemFacts(2, 3294, 1000, "delivered"), "2": ItemFacts(1, 2086, 0, "delivered")},
    placed=True,
    status_record={"status": "completed", "revision": 7},
)
PAYMENT = PaymentFacts("o-1", "GBP", authorised=5380, captured=5380, refunded=1000, ledger=4380)
DELIVERY = DeliveryFacts("o-1", "paid", {"1": 2, "2": 1})
MOVEMENTS = (Movement("pi_1", 5380, "GBP", "o-1"), Movement("re_1", -1000, "GBP", "o-1"))
STREAM = StreamFacts("checkout", "o-1", (1, 2, 3), counted=3)
RIGHT = Evidence(
    at=AT,
    orders={"o-1": ORDER},
    payments={"o-1": PAYMENT},
    deliveries={"o-1": DELIVERY},
    stock=[StockFacts("s/atlas", on_hand=8, reserved=1, received=10, held=1, taken=2)],
    ledger=MOVEMENTS,
    provider=MOVEMENTS,
    effects={"the charge of order o-1, attempt 1,": 1, "refund r-1 of order o-1": 1},
    streams=[STREAM],
    status={"o-1": ORDER.status_record},
    notified=frozenset({"o-1"}),
)


def wrong(evidence: Evidence) -> dict[str, list[str]]:
    """The invariants that do not hold."""
    return {name: found for name, found in violations(evidence).items() if found}


def order(**changes: Any) -> Evidence:
    return replace(RIGHT, orders={"o-1": replace(ORDER, **changes)})


def payment(**changes: Any) -> Evidence:
    return replace(RIGHT, payments={"o-1": replace(PAYMENT, **changes)})


def stream(**changes: Any) -> Evidence:
    return replace(RIGHT, streams=[replace(STREAM, **changes)])


def stock(**changes: Any) -> Evidence:
    return replace(RIGHT, stock=[replace(RIGHT.stock[0], **changes)])


def test_a_system_that_is_right_breaks_nothing() -> None:
    assert wrong(RIGHT) == {}
    assert len(INVARIANTS) == 12, "the nine of the system, and three about rows"


def test_an_empty_system_is_right() -> None:
    assert wrong(Evidence(at=AT)) == {}


class TestMoney:
    def test_an_unknown_charge_is_named(self) -> None:
        stray = Movement("pi_9", 1000, "USD")
        assert wrong(replace(RIGHT, provider=(*MOVEMENTS, stray))) == {
            "ledger_matches_provider": [
                "order unknown: the provider has 1000 USD as pi_9, the ledger nothing",
                "USD: the ledger holds 0, the provider 1000",
            ]
        }

    def test_a_second_charge_of_an_order_is_named(self) -> None:
        again = Movement("pi_2", 5380, "GBP", "o-1")
        found = wrong(replace(RIGHT, provider=(*MOVEMENTS, again)))
        assert found["one_effect_per_key"] == ["order o-1 was charged 2 times at the provider, 9760 are kept"]
        assert "pi_2" in found["ledger_matches_provider"][0]

    def test_a_second_charge_that_was_refunded_is_fine(self) -> None:
        surplus = (Movement("pi_2", 5380, "GBP", "o-1"), Movement("re_2", -5380, "GBP", "o-1"))
        both = (*MOVEMENTS, *surplus)
        account = replace(
            PAYMENT, authorised=10760, captured=10760, refunded=6380, surplus=5380, surplus_refunded=5380, ledger=4380
        )
        assert wrong(replace(RIGHT, ledger=both, provider=both, payments={"o-1": account})) == {}

    @pytest.mark.parametrize("why", ["surplus_sent_back", "surplus_paid_elsewhere"])
    def test_a_second_charge_is_kept_only_as_far_as_the_provider_cannot_refund_it(self, why: str) -> None:
        """The bank sent its refund back, or staff refunded it in another way."""
        both = (*MOVEMENTS[:1], Movement("pi_2", 5380, "GBP", "o-1"))

        def found(known: int) -> list[str] | None:
            return wrong(replace(payment(**{why: known}), provider=both)).get("one_effect_per_key")

        assert found(5380) is None
        assert found(5379) == ["order o-1 was charged 2 times at the provider, 10760 are kept"]

    def test_of_a_cancelled_order_is_kept_only_what_the_bank_sent_back(self) -> None:
        cancelled = replace(order(status="cancelled"), payments={"o-1": replace(PAYMENT, sent_back=4380)})
        assert wrong(cancelled) == {}
        more = replace(cancelled, payments={"o-1": replace(PAYMENT, sent_back=4379)})
        assert wrong(more) == {"refunds_within_captures": ["order ORD-1 is cancelled, but 4380 GBP are kept"]}

    def test_a_capture_or_refund_that_the_provider_does_not_have_is_named(self) -> None:
        found = wrong(replace(RIGHT, provider=MOVEMENTS[:1]))["ledger_matches_provider"]
        assert found[0] == "order o-1: the provider has nothing as re_1, the ledger -1000 GBP"

    def test_a_refund_that_came_back_is_no_movement(self) -> None:
        back = (*MOVEMENTS, Movement("re_2", -500, "GBP", "o-1"), Movement("re_2", 500, "GBP", "o-1"))
        assert wrong(replace(RIGHT, ledger=back)) == {}

    def test_something_done_twice_under_one_key_is_named(self) -> None:
        twice = {"refund r-1 of order o-1": 2}
        assert wrong(replace(RIGHT, effects=twice)) == {
            "one_effect_per_key": ["refund r-1 of order o-1 was carried out 2 times"]
        }

    def test_a_payment_that_its_ledger_does_not_bear_out_is_named(self) -> None:
        assert wrong(payment(ledger=5380)) == {
            "ledger_matches_provider": ["payment o-1 holds 4380 GBP, its ledger entries 5380"]
        }
        assert "is not zero" in wrong(payment(unbalanced=("t-1 GBP",)))["ledger_matches_provider"][0]

    @pytest.mark.parametrize("changes", [{"pending": 5000}, {"authorised": 5379}, {"refunded": -1, "ledger": 5381}])
    def test_a_payment_out_of_bounds_is_named(self, changes: dict[str, Any]) -> None:
        assert any("payment o-1" in text for text in wrong(payment(**changes))["refunds_within_captures"])

    @pytest.mark.parametrize(
        "changes",
        [{"refunded": 5381}, {"paid": 5381}, {"paid": 0, "refunded": 0}, {"refunded": 999}, {"purchased": 5400}],
    )
    def test_an_order_that_counts_other_money_is_named(self, changes: dict[str, Any]) -> None:
        assert all("order ORD-1" in text for text in wrong(order(**changes))["refunds_within_captures"])

    def test_what_staff_restored_is_still_counted_as_what_went_back(self) -> None:
        assert wrong(order(refunded=0, restored=1000)) == {}
        found = wrong(order(refunded=0, restored=0))["refunds_within_captures"]
        assert found == ["order ORD-1 counts 0 GBP as refunded, payments refunded 1000"]

    def test_money_of_a_given_order_that_is_kept_is_named(self) -> None:
        found = wrong(order(paid=0, refunded=0, given=True))
        assert found == {"refunds_within_captures": ["order ORD-1 is given, but 4380 GBP are kept"]}
        back = payment(refunded=5380, ledger=0, captured=5380).payments["o-1"]
        given = replace(order(paid=0, refunded=0, given=True), payments={"o-1": back})
        assert "refunds_within_captures" not in wrong(given)
        assert "delivery_within_payment" not in wrong(given)

    def test_money_of_a_cancelled_order_that_is_kept_is_named(self) -> None:
        assert wrong(order(status="cancelled")) == {
            "refunds_within_captures": ["order ORD-1 is cancelled, but 4380 GBP are kept"]
        }
        on_its_way = replace(PAYMENT, pending=4380)
        assert wrong(replace(order(status="cancelled"), payments={"o-1": on_its_way})) == {}

    def test_an_order_in_motion_is_not_asked_what_several_must_agree_on(self) -> None:
        found = wrong(replace(order(paid=0, refunded=0, status="processing"), busy=frozenset({"o-1"})))
        assert found == {}

    @pytest.mark.parametrize(
        ("service", "asked"), [("payments", False), ("checkout", False), ("fulfillment", True), ("notifications", True)]
    )
    def test_of_a_parked_key_only_what_the_service_has_yet_to_do_is_not_asked(self, service: str, asked: bool) -> None:
        unpaid = replace(order(paid=0, refunded=0, status="processing"), parked={"o-1": frozenset({service})})
        assert ("refunds_within_captures" in wrong(unpaid)) is asked
        assert ("ledger_matches_provider" in wrong(replace(unpaid, provider=()))) is (service != "payments")
        assert ("everybody_told" in wrong(replace(unpaid, notified=frozenset()))) is (service != "notifications")
        gap = replace(unpaid, streams=[replace(STREAM, sequences=(1, 3))])
        assert "every_event_published" in wrong(gap)


class TestEvents:
    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"sequences": (1, 3)}, "2 of 3 missing on the topic"),
            ({"sequences": (1, 2)}, "3 of 3 missing on the topic"),
            ({"sequences": (2, 3)}, "1 of 3 missing on the topic"),
            ({"sequences": ()}, "1, 2, 3 of 3 missing on the topic"),
            ({"sequences": (1, 3, 2)}, "are out of order: 1, 3, 2"),
            ({"sequences": (1, 2, 3, 4)}, "4 on the topic, but the row has published only 3"),
            ({"sequences": (1, 2, 2, 3), "twice": (2,)}, "2 given to two of them"),
            ({"counted": None}, "are on the topic, but no row has published them"),
            ({"sequences": (3,), "head_may_be_cut": True, "counted": 4}, "4 of 4 missing on the topic"),
            ({"sequences": (1, 3, SPAN + 1), "counted": SPAN + 1}, f"2 of {SPAN + 1} missing on the topic"),
            ({"sequences": (1, 2, SPAN + 2), "counted": SPAN + 2}, f"{SPAN + 1} of {SPAN + 2} missing on the topic"),
            ({"sequences": (1, 2), "counted": SPAN + 1}, f"{SPAN + 1} of {SPAN + 1} missing on the topic"),
            (
                {"sequences": (1, 2, SPAN + 1), "counted": 2},
                f"{SPAN + 1} on the topic, but the row has published only 2",
            ),
        ],
    )
    def test_what_is_wrong_with_a_stream_is_named(self, changes: dict[str, Any], problem: str) -> None:
        (found,) = wrong(stream(**changes))["every_event_published"]
        assert found.startswith("checkout's events of o-1")
        assert found.endswith(problem)

    @pytest.mark.parametrize(
        "changes",
        [
            {"sequences": (1, 2, 3, 2, 3)},
            {"sequences": (1, 2), "waiting": 1},
            {"sequences": (2, 3), "head_may_be_cut": True},
            {"sequences": (), "head_may_be_cut": True},
            {"sequences": (), "waiting": 3},
            {"sequences": (1, 2, 3, 4, SPAN + 1, SPAN + 2, 3 * SPAN + 1), "counted": 3 * SPAN + 1},
            {"sequences": (3, SPAN + 1), "counted": SPAN + 1, "head_may_be_cut": True},
            {"sequences": (1,), "counted": SPAN + 1, "waiting": 1},
        ],
    )
    def test_repetitions_the_outbox_and_retention_explain_much(self, changes: dict[str, Any]) -> None:
        assert wrong(stream(**changes)) == {}

    def test_of_a_key_in_motion_only_gaps_are_named(self) -> None:
        busy = frozenset({"o-1"})
        assert wrong(replace(stream(sequences=(1, 2, 3, 4)), busy=busy)) == {}
        assert wrong(replace(stream(sequences=(1, 2)), busy=busy)) == {}
        assert "every_event_published" in wrong(replace(stream(sequences=(1, 3)), busy=busy))

    def test_a_record_that_its_reader_never_handled_is_named(self) -> None:
        lost = Unhandled("payments", "order.cancelled", "o-1", "m-1")
        assert wrong(replace(RIGHT, unhandled=[lost])) == {
            "replay_changes_nothing": ["payments never handled order.cancelled m-1 of o-1"]
        }

    def test_a_status_record_that_says_something_else_is_named(self) -> None:
        told = {"o-1": {"status": "processing", "revision": 7}}
        assert wrong(replace(RIGHT, status=told)) == {
            "replay_changes_nothing": ["order ORD-1: status differs between its row and the status topic"]
        }
        assert "no record on the status topic" in wrong(replace(RIGHT, status={}))["replay_changes_nothing"][0]
        assert "has no row" in wrong(replace(RIGHT, status={**RIGHT.status, "o-2": {}}))["replay_changes_nothing"][0]


class TestGoods:
    @pytest.mark.parametrize("changes", [{"reserved": -1}, {"reserved": 9}, {"on_hand": 11}])
    def test_stock_out_of_balance_is_named(self, changes: dict[str, Any]) -> None:
        assert all("stock s/atlas" in text for text in wrong(stock(**changes))["stock_in_balance"])

    @pytest.mark.parametrize("changes", [{"held": 0}, {"taken": 1}, {"on_hand": 9}])
    def test_stock_that_orders_do_not_bear_out_is_named(self, changes: dict[str, Any]) -> None:
        assert len(wrong(stock(**changes))["stock_in_balance"]) == 1

    def test_more_than_was_ordered_or_paid_is_named(self) -> None:
        more = replace(RIGHT, deliveries={"o-1": replace(DELIVERY, items={"1": 3})})
        assert wrong(more) == {"delivery_within_payment": ["order ORD-1: 3 units of item 1 were delivered, 2 ordered"]}
        unpaid = order(paid=0, refunded=0, status="pending_payment")
        found = wrong(replace(unpaid, payments={}, ledger=(), provider=()))
        assert "order ORD-1: item 1 was delivered, but nothing was paid" in found["delivery_within_payment"]

    def test_a_delivery_of_no_order_is_named(self) -> None:
        assert "belongs to no order" in str(wrong(replace(RIGHT, deliveries={"o-9": DeliveryFacts("o-9", "paid")})))

    def test_an_order_completed_unpaid_is_named(self) -> None:
        found = wrong(order(paid=5000))["delivery_within_payment"]
        assert found == ["order ORD-1 is completed, but 5000 of 5380 are paid"]


class TestPeople:
    def test_an_order_that_notifications_does_not_know_is_named(self) -> None:
        assert wrong(replace(RIGHT, notified=frozenset())) == {
            "everybody_told": ["order ORD-1: notifications does not know it"]
        }
        assert wrong(replace(order(placed=False), notified=frozenset())) == {}
        assert wrong(replace(RIGHT, notified=frozenset(), busy=frozenset({"o-1"}))) == {}

    def test_a_paid_order_without_work_in_progress_is_named(self) -> None:
        forgotten = replace(order(status="processing"), status={"o-1": ORDER.status_record})
        assert "ORD-1 is paid and unfinished" in wrong(forgotten)["no_order_waits_unseen"][0]
        delivering = {"under_way": {"o-1": Work(frozenset({Task("fulfillment", "TakeCode")}))}}
        keys = frozenset({"o-1"})
        for known in (delivering, {"with_staff": keys}, {"alerted": keys}, {"busy": keys}):
            assert wrong(replace(forgotten, **known)) == {}
        mailing = Work(frozenset({Task("notifications", "SendEmail")}), frozenset({"notifications"}))
        assert wrong(replace(forgotten, under_way={"o-1": mailing})), "no email delivers anything"

    def test_an_order_whose_payment_is_long_overdue_is_named(self) -> None:
        late = order(status="pending_payment", paid=0, refunded=0, deadline=AT - timedelta(hours=2))
        late = replace(late, payments={}, deliveries={}, ledger=(), provider=())
        assert wrong(late) == {
            "no_order_waits_unseen": ["order ORD-1 waits for a payment that was due at 2026-03-03 12:00 UTC"]
        }
        timer = Work(frozenset({Task("checkout", "PaymentOverdue")}))
        assert wrong(replace(late, under_way={"o-1": timer})) == {}

    def test_an_order_that_was_begun_and_has_no_end_is_named(self) -> None:
        begun = order(status="created", paid=0, refunded=0, purchased=0, total=0, placed=False, items={})
        begun = replace(begun, payments={}, deliveries={}, ledger=(), provider=(), notified=frozenset())
        assert wrong(begun) == {
            "no_order_waits_unseen": ["order ORD-1 was begun, but no timer ends it should the customer never submit it"]
        }
        timer = Work(frozenset({Task("checkout", "SubmissionOverdue")}))
        for known in ({"under_way": {"o-1": timer}}, {"busy": frozenset({"o-1"})}):
            assert wrong(replace(begun, **known)) == {}


def test_a_rule_of_a_service_that_its_row_breaks_is_named() -> None:
    broken = [BrokenRule("payments", "o-1", "one attempt pays"), BrokenRule("stores", "s-1", "it has a name")]
    assert wrong(replace(RIGHT, broken=broken)) == {
        "rows_keep_their_rules": [
            "payments, order ORD-1 breaks: one attempt pays",
            "stores, s-1 breaks: it has a name",
        ]
    }


def test_a_read_model_that_shows_something_else_is_named() -> None:
    assert wrong(replace(RIGHT, read_models=["o-1: orders: total"])) == {"read_models_as_told": ["o-1: orders: total"]}


def test_a_row_whose_columns_disagree_with_its_data_is_named() -> None:
    assert wrong(replace(RIGHT, rows=["orders o-1: column paid is 9, its data says 8"])) == {
        "rows_agree": ["orders o-1: column paid is 9, its data says 8"]
    }
