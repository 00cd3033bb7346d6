"""The outside world of both systems in a benchmark: answers in the same process, at once or 10 ms later."""

from __future__ import annotations

import asyncio
import signal

from shared.contracts.values import Card

CARD = Card(brand="visa", last4="4242", exp_month=12, exp_year=2031)
SLOWER = signal.SIGUSR2
"""Makes a process's outside take `SECONDS` for each answer from now on."""
SECONDS = 0.010
_slow = False


def listen() -> None:
    """Let this process be told to become slower. Called in its event loop."""

    def become_slower() -> None:
        global _slow  # noqa: PLW0603  # one outside per process
        _slow = True

    asyncio.get_running_loop().add_signal_handler(SLOWER, become_slower)


async def answer() -> None:
    """As long as the outside takes."""
    if _slow:
        await asyncio.sleep(SECONDS)


def link(order: str, item: str) -> str:
    return f"https://files.example/{order}/{item}"


def code(order: str, item: str) -> str:
    return f"CODE-{order[-12:]}-{item}"
