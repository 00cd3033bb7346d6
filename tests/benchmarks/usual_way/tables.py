"""The tables that every service of the usual way has in addition to its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012  # the way SQLAlchemy wants it
        dict[str, Any]: JSONB,
        datetime: sa.DateTime(timezone=True),
        str: sa.Text,
        int: sa.BigInteger,
    }


class ProcessedMessage(Base):
    __tablename__ = "processed_messages"

    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=sa.func.clock_timestamp())


class OutboxMessage(Base):
    __tablename__ = "outbox_messages"

    id: Mapped[int] = mapped_column(sa.Identity(always=True), primary_key=True)
    topic: Mapped[str]
    key: Mapped[str]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes]


async def create_tables(engine: AsyncEngine) -> None:
    """All tables of all services; each service uses its own in its own database."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
