"""A course platform of the kind that an HTTP action grants access on, for the demo and for tests."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from deploy.sandboxes.faults import Faults
from deploy.sandboxes.journal import Journal


class AccessRequest(BaseModel):
    """Unknown fields are let through, as such platforms do."""

    customer: str = Field(min_length=1, max_length=320)
    product: str = Field(min_length=1, max_length=200)
    grant: bool = True
    """False revokes: fulfillment posts both to one URL."""

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.customer}\0{self.product}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]


class CoursePlatform:
    """Who has access to what. Kept in `course.jsonl`; a repeated Idempotency-Key changes nothing."""

    def __init__(self, folder: Path) -> None:
        self.faults = Faults()
        self._journal = Journal(folder / "course.jsonl")
        self._grants: dict[tuple[str, str], str] = {}
        self._keys: dict[str, str] = {}
        self.changes = 0
        for _, record in self._journal.replay():
            self._apply(record)

    def _apply(self, record: dict[str, Any]) -> None:
        access = (record["customer"], record["product"])
        if record["does"] == "grant":
            self._grants.setdefault(access, record["at"])
        else:
            self._grants.pop(access, None)
        if record["key"]:
            self._keys[record["key"]] = record["fingerprint"]
        self.changes += 1

    def change(self, does: Literal["grant", "revoke"], request: AccessRequest, key: str | None) -> Answer:
        fingerprint = f"{does}:{request.fingerprint}"
        if key and key in self._keys:
            if self._keys[key] != fingerprint:
                return Answer(409, {"error": "This Idempotency-Key was used for another request."})
            return Answer(200, {"access": does == "grant", "repeated": True})
        record = {
            "does": does,
            "customer": request.customer,
            "product": request.product,
            "key": key,
            "fingerprint": fingerprint,
            "at": datetime.now(UTC).isoformat(),
        }
        self._journal.append(record)
        self._apply(record)
        return Answer(201 if does == "grant" else 200, {"access": does == "grant", "repeated": False})

    def grants(self, customer: str | None = None) -> list[dict[str, str]]:
        return [
            {"customer": who, "product": product, "since": since}
            for (who, product), since in self._grants.items()
            if customer is None or who == customer
        ]
