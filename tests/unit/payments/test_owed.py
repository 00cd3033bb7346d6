"""What the store owes stays owed until the money is gone, or staff say how the customer got it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from services.payments.domain.ledger import PAID_ELSEWHERE
from services.payments.domain.operations import RefundCharge, RefundDue, RefundReported, RefundResult
from services.payments.domain.payment import Payment, RefundStatus
from services.payments.storage import payment_columns
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import (
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentSurplusRefunded,
    PaymentUnresolved,
    RefundLine,
    RefundPayment,
    SettlePayment,
)
from shared.contracts.values import PaymentStatus
from tests.unit.payments.examples import PaymentScenario, refund_reported, reported, requested


def surplus() -> PaymentScenario:
    """The first attempt was falsely declined, the second paid the order, then the first turns out captured."""
    return PaymentScenario(requested()).decline().hear(requested(2)).pay().hear(reported("succeeded"))


def in_dashboard(amount: int, reference: str = "re_d", charge: str = "pi_1", refund: str = "") -> RefundReported:
    return RefundReported(refund, RefundResult(reference, charge=charge, amount=amount, currency="USD"))


def owed(payment: PaymentScenario) -> int:
    return int(payment_columns(payment.state)["owed"])


def test_a_surplus_whose_refund_is_refused_stays_owed_and_is_tried_again_with_growing_waits() -> None:
    payment = surplus()
    waits = list[timedelta]()
    for tries in range(1, 9):
        refund = payment.refund()
        assert (refund.charge, refund.amount, refund.tries) == ("pi_1", 5000, tries)
        waits.append(payment.fail_refund().timers[0].due - payment.at)
        assert payment.types() == ([PaymentRefundFailed] if tries == 1 else []), "staff are told once"
        assert owed(payment) == 5000
        payment.let_go_off(f"refund_{refund.refund}")
    assert waits[:3] == [timedelta(hours=1), timedelta(hours=2), timedelta(hours=4)]
    assert waits[-1] == timedelta(days=1)
    payment.make_refund()
    assert payment.types() == [PaymentSurplusRefunded]
    assert owed(payment) == 0


def test_each_try_has_a_key_of_its_own() -> None:
    payment = surplus()
    first = payment.refund()
    payment.fail_refund().let_go_off(f"refund_{first.refund}")
    second = payment.refund()
    assert second.refund == first.refund
    assert first.idempotency_key(uuid4()) != second.idempotency_key(uuid4())


def test_staff_refund_a_surplus_by_its_attempt() -> None:
    payment = surplus().fail_refund().hear(RefundPayment(attempt=1))
    refund = payment.refund()
    assert (refund.charge, refund.amount) == ("pi_1", 5000)
    payment.make_refund()
    assert (owed(payment), payment.state.refundable, payment.state.status) == (0, 5000, PaymentStatus.PAID)
    assert payment.hear(RefundDue(payment.state.refunds[0].id)).requested == []


def test_staff_take_over_what_the_provider_refuses() -> None:
    payment = surplus().fail_refund()
    taken = RefundPayment(attempt=1, refund_payment=False, note="By bank transfer.", reference="SEPA-17")
    (told,) = payment.hear(taken).published
    assert isinstance(told, PaymentSurplusRefunded) and told.recorded
    assert payment.requested == []
    assert owed(payment) == 0
    assert payment.ledger() == {"provider_balance": 10_000, "sales": -5000, PAID_ELSEWHERE: -5000}
    refund = payment.state.refunds[-1]
    assert (refund.settled_by, refund.note, refund.reference) == ("staff:anna", "By bank transfer.", "SEPA-17")
    assert payment.let_go_off(f"refund_{payment.state.refunds[0].id}").requested == []


def test_the_rest_of_what_staff_took_over_in_part_is_tried_again() -> None:
    payment = surplus().fail_refund()
    payment.hear(RefundPayment(attempt=1, amount=2000, refund_payment=False, note="In cash."))
    assert owed(payment) == 3000
    payment.let_go_off(f"refund_{payment.state.refunds[0].id}")
    assert payment.refund().amount == 3000


def test_a_cancelled_orders_refund_stays_owed_too() -> None:
    payment = PaymentScenario(requested()).pay().hear(OrderCancelled()).fail_refund()
    assert owed(payment) == 5000
    payment.let_go_off(f"refund_{payment.state.refunds[0].id}").make_refund()
    assert payment.types() == [PaymentRefunded]
    assert owed(payment) == 0


def test_a_refund_that_staff_requested_is_theirs_to_request_again() -> None:
    payment = PaymentScenario(requested()).pay().hear(RefundPayment(amount=100)).fail_refund()
    assert (payment.timers, owed(payment)) == ([], 0)


def test_what_the_bank_sent_back_is_owed_but_waits_for_staff() -> None:
    payment = PaymentScenario(requested()).pay().hear(OrderCancelled()).make_refund()
    id = payment.state.refunds[0].id
    (told,) = payment.hear(refund_reported(id, "failed", f"re_{id}")).published
    assert isinstance(told, PaymentRefundFailed) and told.returned
    assert (payment.timers, owed(payment)) == ([], 5000)
    assert payment.hear(RefundPayment()).refund().amount == 5000


def test_one_that_the_bank_never_made_was_not_returned() -> None:
    payment = PaymentScenario(requested()).pay().hear(RefundPayment())
    id = payment.refund().refund
    payment.hear(refund_reported(id, "pending")).hear(refund_reported(id, "failed", code="declined"))
    (told,) = payment.published
    assert isinstance(told, PaymentRefundFailed) and not told.returned


def test_a_refund_in_the_dashboard_is_recorded_by_its_reference() -> None:
    payment = PaymentScenario(requested()).pay().hear(in_dashboard(1200))
    (told,) = payment.published
    assert isinstance(told, PaymentRefunded)
    assert (told.amount, told.reason, told.transaction, told.recorded) == (1200, "made_at_provider", "re_d", False)
    assert payment.state.refundable == 3800
    assert payment.ledger() == {"provider_balance": 3800, "sales": -3800}
    assert payment.hear(in_dashboard(1200)).published == []


def test_a_whole_one_is_for_all_items() -> None:
    payment = PaymentScenario(requested()).pay().hear(in_dashboard(5000))
    assert [line.whole for line in payment.last.of(PaymentRefunded)[0].items] == [True, True]


def test_one_that_is_pending_and_fails_is_followed() -> None:
    payment = PaymentScenario(requested()).pay()
    pending = RefundResult("re_d", "pending", charge="pi_1", amount=1200, currency="USD")
    payment.hear(RefundReported("", pending))
    assert (payment.published, payment.state.refundable) == ([], 3800)
    payment.hear(RefundReported("", RefundResult("re_d", "failed", "declined", "pi_1", 1200, "USD")))
    assert (payment.types(), payment.state.refundable) == ([PaymentRefundFailed], 5000)


def test_one_in_the_dashboard_comes_before_ours_of_the_same_money() -> None:
    payment = PaymentScenario(requested()).pay().hear(RefundPayment(amount=4000)).hear(in_dashboard(3000))
    assert payment.types() == [PaymentRefundFailed, PaymentRefunded]
    assert [refund.status for refund in payment.state.refunds] == [RefundStatus.FAILED, RefundStatus.DONE]
    assert payment.fail_refund().published == []


def test_one_of_more_than_is_left_is_told_to_staff() -> None:
    payment = PaymentScenario(requested()).pay().hear(in_dashboard(3000)).hear(in_dashboard(3000, "re_e"))
    assert payment.types() == [PaymentUnresolved]
    assert payment.state.refunded == 3000


def test_the_rest_of_a_surplus_that_was_refunded_in_part_in_the_dashboard_is_refunded() -> None:
    payment = PaymentScenario(requested()).lose_charge()
    payment.hear(in_dashboard(1200)).hear(requested(2))
    payment.hear(SettlePayment(attempt=1, outcome="not_charged", reason="Seen.")).pay()
    payment.hear(reported("succeeded"))
    assert payment.refund().amount == 3800


def test_it_is_entered_once_something_is_left_again() -> None:
    """Its report may come before that of the refund which the bank sent back."""
    payment = PaymentScenario(requested()).pay().hear(RefundPayment()).make_refund().hear(in_dashboard(1500))
    id = payment.state.refunds[0].id
    payment.hear(refund_reported(id, "failed", f"re_{id}"))
    assert payment.types() == [PaymentRefundFailed, PaymentRefunded]
    assert payment.ledger() == {"provider_balance": 3500, "sales": -3500}


def test_what_staff_recorded_gives_way_to_what_the_provider_made() -> None:
    payment = PaymentScenario(requested()).pay()
    payment.hear(RefundPayment(amount=4000, refund_payment=False, note="In cash.")).hear(in_dashboard(3000))
    assert payment.types() == [PaymentRefundFailed, PaymentRefunded, PaymentRefunded]
    assert [(it.amount, it.recorded) for it in payment.last.of(PaymentRefunded)] == [(2000, True), (3000, False)]
    assert payment.ledger() == {"provider_balance": 2000, "sales": 0, PAID_ELSEWHERE: -2000}


def test_also_where_it_was_thought_failed() -> None:
    payment = PaymentScenario(requested()).pay().hear(OrderCancelled()).fail_refund()
    id = payment.state.refunds[0].id
    payment.hear(RefundPayment(refund_payment=False, note="In cash."))
    payment.hear(refund_reported(id, "succeeded"))
    assert payment.types() == [PaymentRefundFailed, PaymentRefunded]
    assert (owed(payment), payment.ledger()) == (0, {"provider_balance": 0, "sales": 0, PAID_ELSEWHERE: 0})


def test_what_staff_recorded_by_its_reference_is_the_providers_once_it_reports_it() -> None:
    payment = PaymentScenario(requested()).pay()
    payment.hear(RefundPayment(amount=1200, refund_payment=False, note="In the dashboard.", reference="re_d"))
    payment.hear(in_dashboard(1200))
    assert payment.published == []
    assert payment.ledger() == {"provider_balance": 3800, "sales": -3800, PAID_ELSEWHERE: 0}
    assert payment.hear(in_dashboard(1200)).published == []
    back = RefundReported("", RefundResult("re_d", "failed", "lost", "pi_1", 1200, "USD"))
    assert payment.hear(back).types() == [PaymentRefundFailed]
    assert payment.ledger()["provider_balance"] == 5000


def test_a_refund_is_not_recorded_twice() -> None:
    payment = PaymentScenario(requested()).pay().hear(in_dashboard(1200))
    again = RefundPayment(amount=1200, refund_payment=False, note="In the dashboard.", reference="re_d")
    assert payment.refuses(again).code == "reference_in_use"


def test_a_report_with_our_refunds_id_counts_only_for_its_charge_amount_and_currency() -> None:
    payment = PaymentScenario(requested()).pay().hear(RefundPayment(amount=4000))
    id = payment.refund().refund
    for charge, amount, currency in (("pi_x", 4000, "USD"), ("pi_1", 4000, "EUR")):
        result = RefundResult("re_x", charge=charge, amount=amount, currency=currency)
        assert payment.hear(RefundReported(id, result)).published == []
    payment.hear(RefundReported(id, RefundResult("re_x", charge="pi_1", amount=1, currency="USD")))
    assert [event.amount for event in payment.last.of(PaymentRefunded)] == [1], "made in the dashboard"
    assert payment.state.refunds[0].is_pending
    assert [event.amount for event in payment.make_refund().last.of(PaymentRefunded)] == [4000]


@pytest.mark.parametrize("name", ["x" * 500, "RMA 12", ""])
def test_what_is_no_id_names_no_refund(name: str) -> None:
    assert PaymentScenario(requested()).pay().hear(in_dashboard(100, refund=name)).types() == [PaymentRefunded]


def test_a_refund_is_tried_again_only_when_its_call_has_ended() -> None:
    payment = PaymentScenario(requested()).pay().hear(OrderCancelled()).hear(in_dashboard(3000))
    assert payment.timers == [], "the provider is still asked for 50.00"
    payment.fail_refund()
    assert len(payment.timers) == 1
    payment.let_go_off(f"refund_{payment.state.refunds[0].id}")
    assert payment.refund().amount == 2000


@pytest.mark.parametrize(
    "report",
    [
        in_dashboard(100, charge="pi_other"),
        RefundReported("", RefundResult("re_d", charge="pi_1", amount=100, currency="EUR")),
        RefundReported("", RefundResult("re_d", "failed", charge="pi_1", amount=100, currency="USD")),
        RefundReported("", RefundResult("re_d")),
    ],
)
def test_one_that_moved_none_of_our_money_is_ignored(report: RefundReported) -> None:
    payment = PaymentScenario(requested()).pay().hear(report)
    assert (payment.published, payment.state.refunds) == ([], ())


def test_our_own_that_was_forgotten_and_is_requested_again_is_made_once() -> None:
    """As after a restore, when its callback is replayed before the command."""
    command, command_id = RefundPayment(amount=700), uuid4()
    before = PaymentScenario(requested()).pay().hear(command, message_id=command_id)
    payment = PaymentScenario(requested()).pay().hear(in_dashboard(700, "re_1", refund=before.refund().refund))
    assert payment.hear(command, message_id=command_id).requested == []
    assert payment.state.refunded == 700


def test_a_recorded_refund_counts_and_moves_no_money_of_the_provider() -> None:
    payment = PaymentScenario(requested()).pay()
    command = RefundPayment(items=(RefundLine(item="1"),), refund_payment=False, note="Paid in the shop.")
    (told,) = payment.hear(command).published
    assert isinstance(told, PaymentRefunded)
    assert (told.amount, told.recorded, told.items[0].whole) == (3000, True, True)
    assert payment.ledger() == {"provider_balance": 5000, "sales": -2000, PAID_ELSEWHERE: -3000}
    assert payment.state.status is PaymentStatus.PARTIALLY_REFUNDED
    assert payment.state.refundable == 2000


def test_every_problem_of_a_refund_is_named_at_once() -> None:
    wrong = RefundPayment(attempt=1, reason="mood", items=(RefundLine(item="1"),), refund_payment=False)
    refused = surplus().fail_refund().refuses(wrong)
    assert [problem.field for problem in refused.problems] == ["reason", "items", "note"]
    assert surplus().refuses(RefundPayment(reference="x")).code == "no_reference"
    assert surplus().refuses(RefundPayment(attempt=9)).code == "not_paid"


def test_the_state_reads_what_older_builds_wrote() -> None:
    payment = PaymentScenario(requested()).pay()
    assert isinstance(payment.state, Payment) and payment.state.owed == 0
    assert not any(refund.recorded for refund in payment.state.refunds)
    assert RefundCharge("stripe", "o-1", "s-1", "r", "pi_1", 1, "USD").tries == 1


def test_one_in_the_dashboard_before_the_charges_answer_is_entered_with_its_capture() -> None:
    payment = PaymentScenario(requested()).hear(in_dashboard(1200)).hear(in_dashboard(1200))
    assert (payment.published, payment.state.refunds) == ([], ())
    payment.pay()
    assert [event.amount for event in payment.last.of(PaymentRefunded)] == [1200]
    assert (payment.state.early_refunds, payment.state.refundable) == ((), 3800)
    assert payment.ledger() == {"provider_balance": 3800, "sales": -3800}


def test_a_refund_of_another_amount_under_our_id_is_entered_once_and_the_rest_is_tried_again() -> None:
    """Payments' database was restored, and decides otherwise than before: the provider knows the id already."""
    payment = PaymentScenario(requested()).pay().hear(OrderCancelled())
    refund = payment.refund()
    before = RefundResult("re_1", charge="pi_1", amount=4000, currency="USD")
    payment.hear(RefundReported(refund.refund, before))
    assert (payment.state.refunded, owed(payment)) == (4000, 1000)

    payment.answer(refund, refund.Done(before))
    assert payment.types() == []
    assert [timer.name for timer in payment.timers] == [f"refund_{refund.refund}"], "no check that would never end"
    payment.let_go_off(f"refund_{refund.refund}")
    assert (payment.refund().amount, payment.refund().refund != refund.refund) == (1000, True)
