"""Users, their roles, sessions and tokens; the audit log, to which rows are only added."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

TABLES = (
    *("users", "grants", "roles", "sessions", "api_tokens", "invitations", "sign_in_attempts"),
    *("passkeys", "challenges", "identities", "audit", "audit_head"),
)


def upgrade() -> None:
    op.create_table(
        "users",
        *(_key("id"), sa.Column("email", sa.Text, nullable=False, unique=True), _text("name")),
        *(_text("password", null=True), _bytes("totp_secret", null=True), sa.Column("totp_step", sa.BigInteger)),
        *(_time("created_at"), _time("disabled_at", null=True)),
    )
    op.create_table("grants", _key("user_id"), _key("role"), _key("store"))
    op.create_table("roles", _key("name"), _texts("permissions", null=True), _flag("second_factor"))
    op.create_table(
        "sessions",
        *(_digest(), _id(), _text("user_id"), _text("agent"), _flag("second_factor"), _time("created_at")),
        *(_time("seen_at"), _time("expires_at"), _bytes("totp_secret", null=True)),
    )
    op.create_index("sessions_user", "sessions", ["user_id"])
    op.create_table(
        "api_tokens",
        *(_digest(), _id(), _text("user_id"), _text("name"), _texts("permissions"), _texts("stores")),
        *(_flag("second_factor"), _time("created_at"), _time("expires_at"), _time("seen_at", null=True)),
    )
    op.create_index("api_tokens_user", "api_tokens", ["user_id"])
    op.create_table(
        "invitations",
        *(_digest(), _id(), _text("email"), _text("role", null=True), _texts("stores"), _text("invited_by")),
        *(_time("created_at"), _time("expires_at"), _text("user_id", null=True)),
    )
    op.create_table(
        "sign_in_attempts",
        *(_digest(), sa.Column("failures", sa.Integer, nullable=False), _time("last_at"), _time("next_at")),
    )
    _passkeys()
    _audit()


def _passkeys() -> None:
    op.create_table(
        "passkeys",
        *(sa.Column("credential", sa.LargeBinary, primary_key=True), _id(), _text("user_id"), _text("name")),
        *(_bytes("data"), sa.Column("counter", sa.BigInteger, nullable=False), _time("created_at")),
        _time("seen_at", null=True),
    )
    op.create_index("passkeys_user", "passkeys", ["user_id"])
    op.create_table("challenges", _digest(), _text("state"), _text("user_id", null=True), _time("expires_at"))
    op.create_table("identities", _key("issuer"), _key("subject"), _text("user_id"))
    op.create_index("identities_user", "identities", ["user_id"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        *(_time("at"), _text("actor"), _text("kind"), _text("subject"), _text("detail"), _bytes("hash")),
    )
    op.create_index("audit_actor", "audit", ["actor", "number"])
    op.create_index("audit_kind", "audit", ["kind", "number"])
    op.create_index("audit_at", "audit", ["at"])
    op.create_table(
        "audit_head",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column("number", sa.BigInteger, nullable=False), _bytes("hash")),
    )
    op.execute("insert into audit_head values (1, 0, decode(repeat('00', 32), 'hex'))")
    op.execute(
        "create function audit_is_kept() returns trigger language plpgsql as "
        "$$ begin raise exception 'entries of the audit log are kept as they are'; end $$"
    )
    op.execute(
        "create trigger audit_is_kept before update or delete or truncate on audit "
        "for each statement execute function audit_is_kept()"
    )


def downgrade() -> None:
    for name in reversed(TABLES):
        op.drop_table(name)
    op.execute("drop function audit_is_kept")


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _id() -> sa.Column[str]:
    return sa.Column("id", sa.Text, nullable=False, unique=True)


def _digest() -> sa.Column[bytes]:
    return sa.Column("digest", sa.LargeBinary, primary_key=True)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _bytes(name: str, *, null: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=null)


def _texts(name: str, *, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, postgresql.ARRAY(sa.Text), nullable=null)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _time(name: str, *, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)
