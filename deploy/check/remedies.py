"""What to do about a violated invariant, by its name; and what is wrong with each order, in one place."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

REMEDIES: Mapping[str, str] = {
    "ledger_matches_provider": "Compare `orderbus order NUMBER` with the provider's dashboard. Settle what is open "
    "(`orderbus settle payment`, `settle refund`); what only the provider has is refunded there.",
    "refunds_within_captures": "One of the two services lacks a fact of the other: see `orderbus parked list`, and "
    "`orderbus restore SERVICE --to TIME` for the one whose database was restored.",
    "one_effect_per_key": "Refund what was charged twice in the provider's dashboard.",
    "every_event_published": "Numbers are missing: see `orderbus undeliverable list`. The topic has more than the row: "
    "its service's database was restored, so run `orderbus restore SERVICE --to TIME`.",
    "stock_in_balance": "Count the stock, and correct it with a receipt (`POST /stores/{store}/stock/{sku}`).",
    "delivery_within_payment": "Ask the customer to pay, or revoke it: `orderbus cancel NUMBER`, `refund NUMBER`.",
    "everybody_told": "Notifications lacks the order: see `orderbus parked list --service notifications`, or run "
    "`orderbus restore notifications --to TIME`.",
    "replay_changes_nothing": "Never handled: run `orderbus restore SERVICE --to TIME` with a time before it. Another "
    "status on the topic than in the row: any change of the order publishes it again.",
    "no_order_waits_unseen": "Finish the order by hand: `orderbus retry NUMBER`, `complete` or `refund`.",
    "rows_agree": "The row was changed by hand, or its data is damaged: restore it from a backup.",
    "read_models_as_told": "Run `orderbus staff rebuild`: it writes what differs again, while staff are at work.",
    "rows_keep_their_rules": "Look at `orderbus order NUMBER`. If the row was changed by hand, correct it; otherwise "
    "report the bug.",
}
_ORDER = re.compile(r"\bORD-[0-9A-Z]+\b|\b[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")


def by_order(invariants: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Violations of several invariants that one order has, by its number or id: the invariants' names."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for name, violations in invariants.items():
        for text in violations:
            if named := _ORDER.search(text):
                found[named[0]][name] = None
    return {order: list(names) for order, names in found.items()}
