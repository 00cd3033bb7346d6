"""Order numbers: short enough to be read over the telephone, and always the same for the same order id."""

from __future__ import annotations

import hashlib
import string

ALPHABET = string.ascii_uppercase + string.digits
LENGTH = 10


def order_number(order: str) -> str:
    """`ORD-` and 10 of A-Z and 0-9, a hash of the order id. Among a million orders, two share one with a probability
    of 1 in 7,000; the database's unique index then has the second order parked."""
    value = int.from_bytes(hashlib.blake2b(order.encode(), digest_size=16, person=b"order number").digest())
    signs = []
    for _ in range(LENGTH):
        value, index = divmod(value, len(ALPHABET))
        signs.append(ALPHABET[index])
    return "ORD-" + "".join(signs)
