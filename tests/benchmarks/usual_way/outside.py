"""The outside world of a benchmark: answers at once, or after a set time, in the same process. Both systems use it."""

from __future__ import annotations

import asyncio
import os

from shared.contracts.values import Card

CARD = Card(brand="visa", last4="4242", exp_month=12, exp_year=2031)
VARIABLE = "BENCHMARK_GATEWAY_SECONDS"


async def answer() -> None:
    """As long as the outside takes."""
    seconds = float(os.environ.get(VARIABLE, "0"))
    if seconds:
        await asyncio.sleep(seconds)


def link(order: str, item: str) -> str:
    return f"https://files.example/{order}/{item}"


def code(order: str, item: str) -> str:
    return f"CODE-{order[-12:]}-{item}"
