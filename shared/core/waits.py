"""Waits between tries."""

from __future__ import annotations

from datetime import timedelta


def growing_wait(first: timedelta, longest: timedelta, tries: int) -> timedelta:
    """How long to wait after so many tries: doubled by each further one."""
    return min(first * (1 << min(tries - 1, 16)), longest)
