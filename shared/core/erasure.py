"""That the personal data of a key was erased: a row by which all else that is kept under the key is erased, too."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.core.decision import Context, Record


class Erasure(Record):
    key: str
    id: UUID
    at: datetime


def erasure(context: Context) -> Erasure:
    return Erasure(key=context.key, id=context.named_id("erasure"), at=context.at)
