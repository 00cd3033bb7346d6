"""A callback's copy on the topic has the effects of the callback."""

from __future__ import annotations

import orjson
import pytest

from services.payments.domain.reported import as_message
from shared.contracts.envelope import decode
from shared.contracts.payments import PaymentReported
from shared.core import Report
from tests.unit.payments.examples import PaymentScenario, refund_reported, reported, requested


@pytest.mark.parametrize("report", [reported("succeeded"), reported("failed"), reported("cancelled")])
def test_of_a_charge(report: Report) -> None:
    at_once, later = PaymentScenario(requested()).ask_for_3ds(), PaymentScenario(requested()).ask_for_3ds()
    at_once.hear(report)
    later.hear(as_read_again(report))
    assert later.published == at_once.published
    assert later.state == at_once.state


def test_of_a_refund_that_is_not_known() -> None:
    scenario = PaymentScenario(requested()).pay()
    before = scenario.state
    scenario.hear(as_read_again(refund_reported("unknown", "succeeded")))
    assert scenario.state == before


def as_read_again(report: Report) -> PaymentReported:
    body = as_message(report).model_dump_json(exclude_unset=True).encode()
    message = decode(PaymentReported, orjson.dumps(orjson.loads(body)))
    assert isinstance(message, PaymentReported)
    return message
