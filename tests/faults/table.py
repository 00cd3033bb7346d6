"""How long the fault tests are, the seed of their choices, and the table of what each fault came to."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field

import pytest

LONG = bool(os.environ.get("ORDERBUS_LONG"))
AT_LENGTH = pytest.mark.skipif(not LONG, reason="takes minutes: make faults runs it")


@dataclass
class Table:
    """One row per fault; printed when all tests have run."""

    seed: int
    rows: list[str] = field(default_factory=list)

    def add(self, fault: str, orders: int, lost: int, twice: int, seconds: float, remark: str = "") -> None:
        self.rows.append(f"{fault:<45} {orders:>6} {lost:>5} {twice:>6} {seconds:>8.0f}  {remark}".rstrip())

    def lines(self) -> list[str]:
        version = "ORDERBUS_LONG=1 " if LONG else ""
        head = f"{'fault':<45} {'orders':>6} {'lost':>5} {'twice':>6} {'seconds':>8}  remark"
        return [f"Faults, {version}ORDERBUS_SEED={self.seed}", head, *self.rows]


TABLE = Table(int(os.environ.get("ORDERBUS_SEED") or random.randrange(1_000_000)))
