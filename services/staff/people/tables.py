"""The tables of users and of the audit log, which a migration creates. Names and addresses are in `users` and
`invitations` alone."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from services.staff.storage import metadata


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _time(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def _bytes(name: str, *, null: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=null)


def _texts(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, postgresql.ARRAY(sa.Text), nullable=null)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _digest() -> sa.Column[bytes]:
    """SHA-256 of a token, which itself is stored nowhere."""
    return sa.Column("digest", sa.LargeBinary, primary_key=True)


users = sa.Table(
    "users",
    metadata,
    _key("id"),
    *(sa.Column("email", sa.Text, nullable=False, unique=True), _text("name"), _text("password", null=True)),
    *(_bytes("totp_secret", null=True), sa.Column("totp_step", sa.BigInteger, nullable=True)),
    *(_time("created_at"), _time("disabled_at", null=True)),
)
grants = sa.Table("grants", metadata, _key("user_id"), _key("role"), _key("store"))
roles = sa.Table("roles", metadata, _key("name"), _texts("permissions", null=True), _flag("second_factor"))
"""Those that were made here; of a built-in one, without permissions, what was changed of it."""
sessions = sa.Table(
    "sessions",
    metadata,
    _digest(),
    *(sa.Column("id", sa.Text, nullable=False, unique=True), _text("user_id"), _text("agent"), _flag("second_factor")),
    *(_time("created_at"), _time("seen_at"), _time("expires_at"), _bytes("totp_secret", null=True)),
)
"""`totp_secret`: one that is being set up."""
api_tokens = sa.Table(
    "api_tokens",
    metadata,
    _digest(),
    *(sa.Column("id", sa.Text, nullable=False, unique=True), _text("user_id"), _text("name"), _texts("permissions")),
    *(_texts("stores"), _flag("second_factor"), _time("created_at"), _time("expires_at"), _time("seen_at", null=True)),
)
invitations = sa.Table(
    "invitations",
    metadata,
    _digest(),
    *(sa.Column("id", sa.Text, nullable=False, unique=True), _text("email"), _text("role", null=True)),
    *(_texts("stores"), _text("invited_by"), _time("created_at"), _time("expires_at"), _text("user_id", null=True)),
)
"""`user_id`: of a user who is to choose a new password."""
sign_in_attempts = sa.Table(
    "sign_in_attempts",
    metadata,
    *(_digest(), sa.Column("failures", sa.Integer, nullable=False), _time("last_at"), _time("next_at")),
)
"""By SHA-256 of an account or an address: how many wrong sign-ins there were, and when the next may come."""
passkeys = sa.Table(
    "passkeys",
    metadata,
    sa.Column("credential", sa.LargeBinary, primary_key=True),
    *(sa.Column("id", sa.Text, nullable=False, unique=True), _text("user_id"), _text("name"), _bytes("data")),
    *(sa.Column("counter", sa.BigInteger, nullable=False), _time("created_at"), _time("seen_at", null=True)),
)
"""By the id that the device gave it. `data`: its public key, as WebAuthn writes it."""
challenges = sa.Table(
    "challenges", metadata, _digest(), _text("state"), _text("user_id", null=True), _time("expires_at")
)
"""Sign-ins and passkeys that were begun."""
identities = sa.Table("identities", metadata, _key("issuer"), _key("subject"), _text("user_id"))
"""Who a user is for an OpenID provider."""
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    *(_time("at"), _text("actor"), _text("kind"), _text("subject"), _text("detail"), _bytes("hash")),
)
audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
    *(sa.Column("number", sa.BigInteger, nullable=False), _bytes("hash")),
)
"""One row: the last entry. Writers lock it, so that there is one chain."""
