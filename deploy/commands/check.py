"""`orderbus check`: the invariants, against databases, topics and the provider's records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.commands import console
from deploy.commands.place import settings_of

if TYPE_CHECKING:
    from shared.settings import Settings


async def invariants_of(settings: Settings) -> dict[str, bool]:
    """Name by name, whether it holds."""
    return {}


def check(data: console.Data = None, as_json: console.AsJson = False) -> None:
    """Check every invariant against databases, topics and the provider's records; exit code 1 where one fails."""
    settings_of(data)
