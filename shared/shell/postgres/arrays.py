"""Arrays of values on their way to PostgreSQL, without a slow question that asyncpg asks of each element.

asyncpg asks each element of an array whether it is an `Iterable` and a `Sized`, and so an array of its own. An abstract
base class answers in Python, which takes longer than to encode the element, and a worker sends hundreds of elements per
order. The builtin containers, which are all that anyone gives as an array here, answer in C.
"""

from __future__ import annotations

from asyncpg.protocol import protocol

CONTAINERS: tuple[type, ...] = (list, tuple, set, frozenset, type({}.keys()), type({}.values()))
ASKED = ("IterableABC", "SizedABC")
"""Names in asyncpg's protocol/codecs/array.pyx, `_is_array_iterable`."""


def ask_builtin_classes() -> bool:
    """From now on, for all connections of this process. False where this asyncpg has other names: then it asks as it
    always did."""
    if not all(hasattr(protocol, name) for name in ASKED):
        return False
    for name in ASKED:
        setattr(protocol, name, CONTAINERS)
    return True
