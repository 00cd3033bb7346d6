"""Tokens of 256 random bits, of which the database has SHA-256 alone."""

from __future__ import annotations

import hashlib
import secrets

SESSION, API, INVITATION, CHALLENGE = "obs_", "obt_", "obi_", "obc_"
"""What tokens begin with, so that one that is found somewhere can be told from others."""


def new_token(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(32)


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def new_id() -> str:
    """Of a user, a session or a token; says nothing of them."""
    return secrets.token_hex(8)
