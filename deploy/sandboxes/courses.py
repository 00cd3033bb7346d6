"""A course platform, of the kind on which an HTTP action grants access: `python -m deploy.sandboxes.courses`.

POST   /access                              {"customer", "product", "grant": true}, with an Idempotency-Key
POST   /access/revoke  ·  DELETE /access    the same, to revoke
GET    /access?customer=
PUT    /control/course                      {"answer": 500, "delay": 1.5, "times": 3, "every": 5};  DELETE ends it
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from deploy.sandboxes.faults import Faults
from deploy.sandboxes.journal import Journal
from deploy.sandboxes.server import arguments_of, fault_routes, parsed, reply, run_alone


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
class AccessResponse:
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

    def change(self, does: Literal["grant", "revoke"], request: AccessRequest, key: str | None) -> AccessResponse:
        fingerprint = f"{does}:{request.fingerprint}"
        if key and key in self._keys:
            if self._keys[key] != fingerprint:
                return AccessResponse(409, {"error": "This Idempotency-Key was used for another request."})
            return AccessResponse(200, {"access": does == "grant", "repeated": True})
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
        return AccessResponse(201 if does == "grant" else 200, {"access": does == "grant", "repeated": False})

    def grants(self, customer: str | None = None) -> list[dict[str, str]]:
        return [
            {"customer": who, "product": product, "since": since}
            for (who, product), since in self._grants.items()
            if customer is None or who == customer
        ]

    def open_routes(self) -> Sequence[web.RouteDef]:
        return [
            web.post("/access", self._grant),
            web.post("/access/revoke", self._revoke),
            web.delete("/access", self._revoke),
        ]

    def guarded_routes(self) -> Sequence[web.RouteDef]:
        return [web.get("/access", self._list), *fault_routes("course", lambda _: self.faults)]

    def health(self) -> dict[str, int]:
        return {"access": self.changes}

    async def _grant(self, request: web.Request) -> web.Response:
        return await self._answer(request, grant=True)

    async def _revoke(self, request: web.Request) -> web.Response:
        return await self._answer(request, grant=False)

    async def _answer(self, request: web.Request, *, grant: bool) -> web.Response:
        status = await self.faults.strike()
        if status is not None:
            return reply({"error": f"Refused with {status}, as the test asked for."}, status)
        asked = await parsed(request, AccessRequest)
        does: Literal["grant", "revoke"] = "grant" if grant and asked.grant else "revoke"
        response = self.change(does, asked, request.headers.get("Idempotency-Key"))
        return reply(response.body, response.status)

    async def _list(self, request: web.Request) -> web.Response:
        return reply({"grants": self.grants(request.query.get("customer"))})


if __name__ == "__main__":
    parser = arguments_of("deploy.sandboxes.courses", "A course platform that grants and revokes access.")
    run_alone(parser, CoursePlatform)
