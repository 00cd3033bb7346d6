"""Order numbers of which there are few, so that two orders often meet at the same one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

from services.checkout.domain import placement
from services.checkout.domain.numbers import order_number


@contextmanager
def few_numbers(orders: int) -> Iterator[None]:
    """For a run with so many orders: half as many first candidates, for all of them together."""

    def number(order: str, candidate: int = 0) -> str:
        return order_number(order if candidate else f"shared {crc32(order.encode()) % max(1, orders // 2)}", candidate)

    setattr(placement, "order_number", number)  # noqa: B010  # a name that the module only imports
    try:
        yield
    finally:
        setattr(placement, "order_number", order_number)  # noqa: B010
