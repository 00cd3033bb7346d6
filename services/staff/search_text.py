"""Texts as they are searched: in lower case, without accents, in Latin letters."""

from __future__ import annotations

from anyascii import anyascii


def folded(*texts: str) -> str:
    """`Ärmel`, `Сергей` → `armel`, `sergei`, a line each. In a database with the locale C, PostgreSQL's trigrams are of
    ASCII letters only."""
    return "\n".join(anyascii(text).lower() for text in texts)
