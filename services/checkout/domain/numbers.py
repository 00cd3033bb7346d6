"""Order numbers: short enough to be read over the telephone, and made of the order's id."""

from __future__ import annotations

import hashlib
import string

ALPHABET = string.ascii_uppercase + string.digits
LENGTH = 10


def order_number(order: str, candidate: int = 0) -> str:
    """`ORD-` and 10 of A-Z and 0-9, a hash of the order id. Among a million orders, two share one with a probability
    of 1 in 7,000: the second is placed with the next `candidate`."""
    text = f"{order}\x00{candidate}" if candidate else order
    value = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16, person=b"order number").digest())
    signs = []
    for _ in range(LENGTH):
        value, index = divmod(value, len(ALPHABET))
        signs.append(ALPHABET[index])
    return "ORD-" + "".join(signs)
