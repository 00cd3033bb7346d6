"""Callbacks of providers as messages: a copy of each is on a topic that payments itself reads.

As a rule its inbox knows the callback already. After its database was restored it takes effect again.
"""

from __future__ import annotations

import json

from services.payments.domain.card_verification import apply_verification_report
from services.payments.domain.charge_result import apply_charge_report
from services.payments.domain.operations import ChargeReported, RefundReported
from services.payments.domain.payment import Payment, payments
from services.payments.domain.refund_report import apply_refund_report
from services.payments.domain.verification import VerificationReported
from shared.contracts.payments import PaymentReported
from shared.core import Context, Decision, Report, codec


def as_message(report: Report) -> PaymentReported:
    return PaymentReported(report=type(report).__qualname__, body=json.loads(codec.dump(report)))


@payments.on(PaymentReported)
def reported(payment: Payment, fact: PaymentReported, context: Context) -> Decision[Payment]:
    body = json.dumps(fact.body)
    if fact.report == ChargeReported.__qualname__:
        charge: ChargeReported = codec.load(ChargeReported, body)
        return apply_charge_report(payment, charge, context)
    if fact.report == RefundReported.__qualname__:
        refund: RefundReported = codec.load(RefundReported, body)
        return apply_refund_report(payment, refund, context)
    if fact.report == VerificationReported.__qualname__:
        verification: VerificationReported = codec.load(VerificationReported, body)
        return apply_verification_report(payment, verification, context)
    raise LookupError(f"{fact.report} is not known to this build")
