"""`orderbus order --as-of`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.cli.errors import UsageError
from deploy.cli.order_as_of import moment, page_of
from shared.contracts.examples import EXAMPLES
from shared.contracts.order_status import OrderStatusRecord

AT = "2026-03-03T14:05:00+00:00"


def test_a_time_needs_its_offset() -> None:
    assert moment("2026-03-03T14:05:00Z") == datetime(2026, 3, 3, 14, 5, tzinfo=UTC)
    for wrong in ("2026-03-03T14:05:00", "yesterday"):
        with pytest.raises(UsageError, match="with its offset"):
            moment(wrong)


def test_the_order_is_shown_as_it_was_with_what_had_happened_by_then() -> None:
    record = EXAMPLES[OrderStatusRecord].model_dump(mode="json")
    entry = {"at": AT, "actor": "system", "what": "order.paid", "text": "Paid in full. Delivery started."}
    found: dict[str, Any] = {"order_id": "o-1", "as_of": AT, "order": record, "timeline": [entry]}
    shown = page_of(found)
    assert shown[0].startswith("As of 2026-03-03")
    assert shown[1].startswith(f"{record['number']}  {record['status']}")
    assert shown[-1].endswith("Paid in full. Delivery started.")
    assert page_of(found | {"order": None})[1:] == ["Checkout had told nothing of it yet."]
