"""Order numbers: short enough to be read over the telephone, and made of the order's id."""

from __future__ import annotations

import hashlib
import string

ALPHABET = string.ascii_uppercase + string.digits
LENGTH = 10
PREFIX = "ORD-"


def looks_like_number(text: str) -> bool:
    """Whether staff could take it for an order's number, in upper or lower case. No order may have such an id."""
    return text[: len(PREFIX)].upper() == PREFIX


def order_number(order: str, candidate: int = 0) -> str:
    """`ORD-` and 10 of A-Z and 0-9, a hash of the order id. Among a million orders, two share one with a probability
    of 1 in 7,000: the second is placed with the next `candidate`."""
    text = f"{order}\x00{candidate}" if candidate else order
    value = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16, person=b"order number").digest())
    signs = []
    for _ in range(LENGTH):
        value, index = divmod(value, len(ALPHABET))
        signs.append(ALPHABET[index])
    return PREFIX + "".join(signs)
