"""Order numbers: short enough to be read over the telephone, the same for an order id wherever they are made."""

from __future__ import annotations

import hashlib
import string

ALPHABET = string.ascii_uppercase + string.digits
LENGTH = 10


def order_number(order: str) -> str:
    """`ORD-` and 10 of A-Z and 0-9, a hash of the order id. Two of a million orders share one with a chance of
    1 : 7,000; the database's unique index would then set the second order aside for staff."""
    value = int.from_bytes(hashlib.blake2b(order.encode(), digest_size=16, person=b"order number").digest())
    signs = []
    for _ in range(LENGTH):
        value, index = divmod(value, len(ALPHABET))
        signs.append(ALPHABET[index])
    return "ORD-" + "".join(signs)
