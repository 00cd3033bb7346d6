"""The columns that every table of states has, and what such a row holds."""

from __future__ import annotations

from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.dialects import postgresql

from shared.core import codec
from shared.shell.ports.tables import WrittenByNewer

S = TypeVar("S")


def state_table(name: str, metadata: sa.MetaData, *columns: sa.Column[Any] | sa.schema.SchemaItem) -> sa.Table:
    """A table for states, with the columns that the shell needs; `columns` are the service's own, all nullable."""
    return sa.Table(
        name,
        metadata,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        *columns,
        sa.Column("data", postgresql.JSONB),
        sa.Column("shape", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )


def read_state(kind: type[S], data: str | bytes) -> S:
    """What a row holds, for those who only look. Raises WrittenByNewer."""
    try:
        state: S = codec.load(kind, data)
    except ValidationError:  # its text has the data
        raise WrittenByNewer(f"a {kind.__qualname__} was written by a newer build") from None
    return state
