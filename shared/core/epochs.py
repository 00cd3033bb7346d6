"""Numbers that readers compare, and that never go back although a database was restored to an earlier point.

Each restore begins an epoch, and each epoch has a range of its own: readers compare whole numbers only.
"""

from __future__ import annotations

SPAN = 1_000_000_000
"""Numbers of one epoch. JSON's readers are exact below 2 to the 53rd, which nine million epochs stay under."""


def following(number: int, epoch: int) -> int:
    """The number after this one, in the present epoch."""
    return max(number, epoch * SPAN) + 1


def epoch_of(number: int) -> int:
    return number // SPAN
