"""Examples of the messages in `shared/contracts/payments.py`."""

from __future__ import annotations

from shared.contracts import pay_page, payment_status, payments
from shared.contracts.examples.order import BANK_URL, CARD, COMMAND, NUMBER, PAID, REFUND, STORE
from shared.contracts.values import PaymentStatus
from shared.core import Message, Problem

PAY_LINK = "https://pay.northwind.example/pay/eyJvIjoi"

EXAMPLES: tuple[Message, ...] = (
    payments.RefundPayment(
        items=(payments.RefundLine(item="1", amount=1500), payments.RefundLine(item="2")),
        reason="not_as_described",
        note="One atlas arrived torn.",
    ),
    payments.RecordPayment(method="bank_transfer", amount=5380, reference="SEPA 2026-03-04/17"),
    payments.SettlePayment(
        attempt=1,
        outcome="captured",
        reference="pi_3QzX9L2eZvKYlo2C1b7Qw8Rt",
        amount=5380,
        reason="Found in Stripe's dashboard by the order's number.",
    ),
    pay_page.RetryPayment(attempt=3, provider="stripe", payment_method="pm_1QzXcard", return_url=PAY_LINK),
    pay_page.PaymentRetryRequested(attempt=3, provider="stripe", payment_method="pm_1QzXcard", return_url=PAY_LINK),
    payments.PaymentActionRequired(attempt=1, url=BANK_URL),
    payments.PaymentCaptured(
        attempt=1,
        amount=5380,
        currency="GBP",
        provider="stripe",
        transaction="pi_3QzX9L2eZvKYlo2C1b7Qw8Rt",
        card=CARD,
        captured_at=PAID,
    ),
    payments.PaymentDeclined(
        attempt=1,
        code="insufficient_funds",
        text="Your card has insufficient funds.",
        card=CARD,
        reason="insufficient_funds",
        detail="Your card has insufficient funds.",
    ),
    payments.PaymentUnresolved(attempt=1, text="No answer within 30 s."),
    payments.PaymentSettled(
        attempt=1,
        outcome="captured",
        reference="pi_3QzX9L2eZvKYlo2C1b7Qw8Rt",
        reason="Found in Stripe's dashboard by the order's number.",
    ),
    payments.PaymentSettlementContradicted(
        attempt=1, text="Settled as not_charged by staff:anna, but the provider has captured 53.80 GBP."
    ),
    payments.PaymentCancelled(
        attempt=1,
        code="amount_too_small",
        text="This order cannot be paid in this way. Contact the store.",
        detail="Amount must convert to at least 30 pence. 3.00 kr converts to approximately £0.22.",
    ),
    payments.PaymentReported(
        report="RefundReported",
        body={"refund": REFUND, "result": {"reference": "re_3QzX9L2eZvKYlo2C1mN4pQ5s", "status": "succeeded"}},
    ),
    payments.PaymentRefunded(
        refund=REFUND,
        amount=2086,
        currency="GBP",
        captured=5380,
        refunded=2086,
        items=(payments.RefundedLine(item="2", amount=2086, whole=True),),
        reason="requested_by_customer",
        transaction="re_3QzX9L2eZvKYlo2C1mN4pQ5s",
        remove_access=("2",),
        restock=(),
    ),
    payments.PaymentRefundFailed(
        refund=REFUND, amount=2086, code="expired_or_canceled_card", text="The card is no longer valid."
    ),
    payments.PaymentStrayCharge(attempt=1, amount=50, currency="GBP", transaction="pi_3QzXBr2eZvKYlo2C1pXyZ9aB"),
    payments.PaymentRefundNeeded(
        refund=REFUND,
        attempt=1,
        amount=2086,
        currency="GBP",
        text="Refund it by hand (bank transfer), then confirm it: `orderbus settle refund`.",
    ),
    payments.PaymentSurplusRefunded(
        refund=REFUND, attempt=2, amount=5380, currency="GBP", transaction="re_3QzXBr2eZvKYlo2C0aB1cD2e"
    ),
    payment_status.PaymentStatusRecord(
        number=NUMBER,
        store=STORE,
        status=PaymentStatus.PARTIALLY_REFUNDED,
        revision=4,
        updated_at=PAID,
        currency="GBP",
        captured=5380,
        refunded=2086,
        refundable=3294,
        attempts=(
            payment_status.AttemptState(
                attempt=1,
                status="captured",
                provider="stripe",
                method="card",
                reference="pi_3QzXBr2eZvKYlo2C1pXyZ9aB",
                amount=5380,
                captured=5380,
                card=CARD,
                at=PAID,
                fee=payment_status.ProviderFee(amount=128, currency="EUR", exchange_rate="1.1562"),
            ),
        ),
        refunds=(
            payment_status.RefundState(
                refund=REFUND,
                attempt=1,
                status="done",
                amount=2086,
                reference="re_3QzXBr2eZvKYlo2C0aB1cD2e",
                reason="requested_by_customer",
                at=PAID,
                restock=(),
            ),
        ),
        stray_charges=(
            payment_status.StrayChargeState(
                reference="pi_3QzXBr2eZvKYlo2C9qRsT0uV", amount=50, currency="GBP", at=PAID
            ),
        ),
        items=(payment_status.ItemLeft(item="1", refundable=3294),),
    ),
    payments.PaymentsRefused(
        command="payment.refund",
        command_id=COMMAND,
        code="too_much",
        text="At most 32.94 GBP can be refunded.",
        problems=(Problem(field="amount", code="too_much", text="5380 is more than 3294."),),
    ),
)
