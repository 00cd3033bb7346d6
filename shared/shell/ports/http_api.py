"""What a service's HTTP routes may use of the running worker. `http/api.py` is production's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.core import Command, Refused, Report


@dataclass(frozen=True, slots=True)
class Accepted:
    """The command is committed. `duplicate` when an earlier request with the same key had done it."""

    id: str
    duplicate: bool = False


class HttpApi(Protocol):
    """What a service's routes may use of the running shell."""

    @property
    def engine(self) -> AsyncEngine:
        """The service's own database, for reading."""
        ...

    async def submit(
        self,
        message: Command | Report,
        key: str,
        *,
        identity: UUID | str,
        actor: str,
        store: str = "",
        occurred: datetime | None = None,
        compared_by: Command | None = None,
    ) -> Accepted | Refused:
        """Hand a message to the core and wait for the commit. `identity`: the same one again changes nothing and gets
        the first reply. `occurred`: when it happened, the same in each repetition. `compared_by`: what is the same in
        each repetition; by default the message. Raises ProblemResponse (422) if the identity was used for another
        message."""
        ...


Routes = Callable[[Any, HttpApi], None]
"""Adds a service's own routes: (aiohttp's application, the running worker)."""
