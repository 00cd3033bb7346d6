"""A circuit breaker: stops calls to a provider that is down."""

from __future__ import annotations

import time
from collections.abc import Callable


class CircuitBreaker:
    """Opens after `threshold` failures in a row; after `pause` seconds one call may try (half open).

    Its success closes the breaker, its failure opens it for another pause.
    """

    def __init__(
        self,
        threshold: int = 8,
        pause: float = 5.0,
        timeout: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = threshold
        self._pause = pause
        self._timeout = timeout
        self._clock = clock
        self._failures = 0
        self._closed_until = 0.0

    def wait(self) -> float:
        """Seconds until the next call; 0 means now. While one call tries, the others wait."""
        if self._failures < self._threshold:
            return 0.0
        left = self._closed_until - self._clock()
        if left > 0:
            return min(left, self._pause)
        self._closed_until = self._clock() + self._timeout
        return 0.0

    def succeeded(self) -> None:
        """The provider answered, yes or no."""
        self._failures = 0

    def failed(self) -> None:
        """The provider did not answer, or answered with a server error."""
        self._failures += 1
        self._closed_until = self._clock() + self._pause
