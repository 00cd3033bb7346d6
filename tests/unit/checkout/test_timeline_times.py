"""When an entry of the timeline happened."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from services.checkout.domain.timeline import entry
from shared.core import Context
from shared.core.scenario import START


def test_an_entry_has_the_time_at_which_it_is_decided() -> None:
    assert entry(Context(START, "o-1", UUID(int=1)), "order.paid", "Paid.").at == START


def test_after_a_restore_it_has_the_time_at_which_it_happened() -> None:
    happened = START - timedelta(days=2)
    assert entry(Context(START, "o-1", UUID(int=1), happened=happened), "order.refunded", "x").at == happened
