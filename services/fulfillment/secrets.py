"""Secrets that deliveries need at other systems: passwords of game servers, tokens of bots, keys of signatures.

Staff set them by name, per store; configurations name them, and gateways ask for them. They are sealed in fulfillment's
database, never travel in messages, and are never shown again. Changing one needs no new configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.storage import metadata
from shared.shell.sealer import CannotOpen, Sealer

log = structlog.get_logger(__name__)

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("store", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("set_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("set_by", sa.Text, nullable=False),
)


class Secrets(Protocol):
    """What gateways ask."""

    async def secret(self, store: str, name: str) -> str | None:
        """None: staff have not set it. Raises CannotOpen, and what databases raise."""
        ...


@dataclass(frozen=True, slots=True)
class SetSecret:
    """What is shown of one."""

    name: str
    """The secret's name."""
    set_at: datetime
    """When it was set last."""
    set_by: str
    """Who set it last."""


class SealedSecrets:
    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine, self._sealer = engine, sealer

    async def secret(self, store: str, name: str) -> str | None:
        statement = sa.select(secrets.c.sealed).where(secrets.c.store == store, secrets.c.name == name)
        async with self._engine.connect() as connection:
            sealed: bytes | None = (await connection.execute(statement)).scalar_one_or_none()
        return None if sealed is None else self._sealer.open(sealed, _about(store, name))

    async def set(self, store: str, name: str, value: str, actor: str) -> None:
        """In place of the former one."""
        sealed = self._sealer.seal(value, _about(store, name))
        new = insert(secrets).values(store=store, name=name, sealed=sealed, set_by=actor)
        changed = {"sealed": sealed, "set_by": actor, "set_at": sa.func.clock_timestamp()}
        async with self._engine.begin() as connection:
            await connection.execute(new.on_conflict_do_update(index_elements=["store", "name"], set_=changed))

    async def remove(self, store: str, name: str) -> bool:
        """Whether there was one."""
        statement = sa.delete(secrets).where(secrets.c.store == store, secrets.c.name == name)
        async with self._engine.begin() as connection:
            return bool((await connection.execute(statement)).rowcount)

    async def of(self, store: str) -> Sequence[SetSecret]:
        """Without their values, by name."""
        statement = sa.select(secrets.c.name, secrets.c.set_at, secrets.c.set_by).where(secrets.c.store == store)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement.order_by(secrets.c.name))).all()
        return [SetSecret(*row) for row in rows]

    async def seal_again(self, at: datetime) -> None:
        """All that an older key has sealed, so that this key can be removed. What no key opens stays as it is."""
        done = 0
        async with self._engine.begin() as connection:
            rows = (await connection.execute(sa.select(secrets).with_for_update())).all()
            old = [row for row in rows if not self._sealer.is_newest(row.sealed)]
            for row in old:
                about = _about(row.store, row.name)
                try:
                    sealed = self._sealer.seal(self._sealer.open(row.sealed, about), about)
                except CannotOpen as trouble:
                    log.error("secret cannot be opened", store=row.store, secret=row.name, reason=str(trouble))
                    continue
                where = sa.and_(secrets.c.store == row.store, secrets.c.name == row.name)
                await connection.execute(sa.update(secrets).where(where).values(sealed=sealed))
                done += 1
        if done:
            log.info("secrets sealed again with the newest key", secrets=done)


def _about(store: str, name: str) -> str:
    return f"secret {store}/{name}"
