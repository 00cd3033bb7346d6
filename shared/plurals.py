"""Singular and plural."""

from __future__ import annotations


def counted(number: int, noun: str, nouns: str = "") -> str:
    """`1 record`, `2 records`; `1 entry`, `2 entries` if that is given."""
    return f"{number} {noun}" if number == 1 else f"{number} {nouns or noun + 's'}"
