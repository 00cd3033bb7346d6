"""What Stripe says too late: the order is paid, or the money is refunded."""

from __future__ import annotations

import pytest

from deploy.simulation.fault_profile import LEVELS, Level
from deploy.simulation.run import Result, simulate


def runs(monkeypatch: pytest.MonkeyPatch, level: Level, seeds: int) -> list[Result]:
    monkeypatch.setitem(LEVELS, "late", level)
    return [simulate(seed, 20, "late") for seed in range(1, seeds + 1)]


def ends(result: Result, cause: str) -> dict[str, list[str]]:
    """What followed a message of this type, by order."""
    found: dict[str, list[str]] = {}
    for line in result.lines():
        _, _, who, key, *words = line.split()
        if who == "bus" and (words[0] == cause or key in found):
            found.setdefault(key, []).append(words[0])
    return found


def test_a_payment_that_is_confirmed_when_its_time_is_over_is_kept_or_was_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = runs(monkeypatch, Level(confirms_late=1.0), 6)

    assert [violation for result in results for violation in result.violations] == []
    closing = [after for result in results for after in ends(result, "order.payment_closing").values()]
    paid = [after for after in closing if "order.paid" in after]
    expired = [after for after in closing if "order.expired" in after]
    cancelled = [after for after in closing if "order.cancelled" in after and "order.paid" not in after]
    assert paid and expired
    assert len(paid) + len(expired) + len(cancelled) == len(closing), "no order is stuck"
    assert not any("payment.captured" in after for after in expired)
    assert all("payment.refunded" in after for after in cancelled if "payment.captured" in after)


def test_what_was_declined_and_is_captured_after_all_pays_the_order_or_is_refunded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = runs(monkeypatch, Level(false_decline=1.0, refund_bounces=0.5), 6)

    assert [violation for result in results for violation in result.violations] == []
    told = [line for result in results for line in result.lines()]
    assert any("payment.surplus_refunded" in line for line in told), "another attempt had paid it"
    assert any("payment.refund_failed" in line for line in told), "the bank sent a refund back"
    paid_by_it = [after for result in results for after in ends(result, "order.payment_declined").values()]
    assert any("order.paid" in after for after in paid_by_it)
