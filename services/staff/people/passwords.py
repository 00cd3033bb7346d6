"""Passwords, kept as Argon2id. It takes memory and time on purpose, so few are computed at once, in threads."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from shared.shell.http.problems import ProblemResponse

AT_ONCE = 2
WAITING = 20
"""More than so many that wait are refused: each waits for those before it."""
SHORTEST, LONGEST = 10, 200
T = TypeVar("T")


class Passwords:
    """19 MiB, two passes: the least of RFC 9106 and OWASP's cheat sheet that workers bear along with messages."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="passwords")
        self._most, self._pending = at_once + waiting, 0
        self._of_no_one = self._hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """Raises ProblemResponse (503)."""
        return await self._computed(lambda: self._hasher.hash(_normal(password)))

    async def matches(self, kept: str | None, password: str) -> bool:
        """None: there is no such account, or it has no password; it takes as long. Raises ProblemResponse (503)."""
        right = await self._computed(lambda: self._verified(kept or self._of_no_one, password))
        return right and kept is not None

    def is_outdated(self, kept: str) -> bool:
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verified(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, _normal(password))
        except (Argon2Error, InvalidHashError):
            return False

    async def _computed(self, compute: Callable[[], T]) -> T:
        if self._pending >= self._most:
            title = "Too many passwords are being checked. Try again shortly."
            raise ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, title, "busy", retry_after=2)
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, compute)
        finally:
            self._pending -= 1


def _normal(password: str) -> str:
    """The same, however a keyboard composes its letters."""
    return unicodedata.normalize("NFC", password)
