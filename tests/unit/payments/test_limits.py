"""The breaker."""

from __future__ import annotations

from services.payments.gateways.limits import CircuitBreaker


def test_the_breaker_opens_tries_once_and_closes() -> None:
    now = [0.0]
    breaker = CircuitBreaker(threshold=3, pause=5, clock=lambda: now[0])
    breaker.failed()
    breaker.failed()
    breaker.succeeded()
    for _ in range(3):
        assert breaker.wait() == 0
        breaker.failed()
    assert breaker.wait() == 5
    now[0] = 5.1
    assert breaker.wait() == 0
    assert breaker.wait() > 0, "one call tries, the others wait"
    breaker.failed()
    assert breaker.wait() == 5
    now[0] = 11
    assert breaker.wait() == 0
    breaker.succeeded()
    assert breaker.wait() == 0


def test_a_trial_that_never_reports_does_not_block_for_ever() -> None:
    now = [0.0]
    breaker = CircuitBreaker(threshold=1, pause=5, timeout=60, clock=lambda: now[0])
    breaker.failed()
    now[0] = 6
    assert breaker.wait() == 0
    now[0] = 67
    assert breaker.wait() == 0
