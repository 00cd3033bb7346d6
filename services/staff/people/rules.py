"""How long sessions, tokens and links last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

LONGEST_TOKEN = 366
"""Days."""


@dataclass(frozen=True, slots=True)
class PeopleRules:
    idle: timedelta = timedelta(hours=12)
    """A session ends when nothing was asked for so long."""
    absolute: timedelta = timedelta(days=7)
    """A session ends after so long whatever was asked."""
    invitation: timedelta = timedelta(days=7)
    remembered: float = 1.0
    """Seconds for which a worker does not ask the database again who a token is of."""
    public_url: str = "http://localhost"
    """What links begin with."""
    issuer: str = "orderbus"
    """What authenticator apps call us."""


def utc_now() -> datetime:
    return datetime.now(UTC)
