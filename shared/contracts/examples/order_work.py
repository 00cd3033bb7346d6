"""What staff do to orders."""

from shared.contracts import order_work
from shared.contracts.examples.order import ITEMS, NUMBER, STORE
from shared.core import Message

EXAMPLES: tuple[Message, ...] = (
    order_work.OrderPaidElsewhere(
        attempt=2,
        number=NUMBER,
        store=STORE,
        amount=5380,
        currency="GBP",
        items=ITEMS,
        method="bank_transfer",
        reference="SEPA-2026-0305",
        note="On the statement of March 5.",
        by="staff:anna",
    ),
)
