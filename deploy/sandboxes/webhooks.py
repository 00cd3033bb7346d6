"""A receiver of webhooks for the demo and for tests: `python -m deploy.sandboxes.webhooks`.

POST   /hooks/NAME                            anything; answered 204, 401 when wrongly signed, or as injected
GET    /hooks  ·  /hooks/NAME/received?after=&limit=
PUT    /control/hooks/NAME/secret             {"secret": "whsec_…"}: from now on signatures are checked
PUT    /control/hooks/NAME                    {"answer": 500, "delay": 1.5, "times": 3, "every": 5};  DELETE ends it
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from deploy.sandboxes.faults import Faults
from deploy.sandboxes.journal import Journal
from deploy.sandboxes.server import arguments_of, fault_routes, reply, run_alone, window

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")


@dataclass
class Hook:
    """One endpoint's record: `hooks/NAME.jsonl`, of every request with its headers, its body and the verdict."""

    journal: Journal
    faults: Faults = field(default_factory=Faults)
    secret: Webhook | None = None
    places: list[int] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    wrongly_signed: int = 0
    refused: int = 0

    def remember(self, place: int, record: dict[str, Any]) -> None:
        self.places.append(place)
        self.wrongly_signed += record["verified"] is False
        if record["answer"] >= 400:
            self.refused += 1
        elif (webhook_id := record["headers"].get("webhook-id")) is not None:
            self.ids.add(webhook_id)

    def keep(self, headers: dict[str, str], body: bytes, answer: int | None) -> int:
        """Record a request, and return the status to answer with: 401 where the signature is wrong, else 204."""
        verified = self.verdict(headers, body)
        answer = answer or (401 if verified is False else 204)
        record = {
            "received": datetime.now(UTC).isoformat(),
            "headers": headers,
            "body": body.decode("utf-8", "replace"),
            "verified": verified,
            "answer": answer,
        }
        self.remember(self.journal.append(record), record)
        return answer

    def verdict(self, headers: dict[str, str], body: bytes) -> bool | None:
        """None while no secret is known."""
        if self.secret is None:
            return None
        try:
            self.secret.verify(body, headers)
        except (WebhookVerificationError, ValueError):
            return False
        return True

    def summary(self) -> dict[str, int]:
        return {
            "received": len(self.places),
            "distinct": len(self.ids),
            "wrongly_signed": self.wrongly_signed,
            "refused": self.refused,
        }

    def received(self, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Oldest first, from the one numbered `after` on."""
        return [self.journal.read(place) for place in self.places[after : after + limit]]


class Hooks:
    """All endpoints; one exists as soon as something is posted to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "hooks"
        self.by_name: dict[str, Hook] = {}
        for path in sorted(self._folder.glob("*.jsonl")):
            hook = self.get(path.stem)
            for place, record in hook.journal.replay():
                hook.remember(place, record)

    def get(self, name: str) -> Hook:
        """Raises ValueError when the name could not be a file's."""
        if not NAME.fullmatch(name):
            raise ValueError(name)
        if name not in self.by_name:
            self.by_name[name] = Hook(Journal(self._folder / f"{name}.jsonl"))
        return self.by_name[name]

    def open_routes(self) -> Sequence[web.RouteDef]:
        return [web.post("/hooks/{name}", self._receive)]

    def guarded_routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/hooks", self._list),
            web.get("/hooks/{name}/received", self._received),
            web.put("/control/hooks/{name}/secret", self._set_secret),
            *fault_routes("hooks/{name}", lambda request: self._named(request).faults),
        ]

    def health(self) -> dict[str, int]:
        return {"hooks": len(self.by_name)}

    def _named(self, request: web.Request) -> Hook:
        return self.get(request.match_info["name"])

    async def _receive(self, request: web.Request) -> web.Response:
        hook = self._named(request)
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        return web.Response(status=hook.keep(headers, body, await hook.faults.strike()))

    async def _list(self, _: web.Request) -> web.Response:
        return reply({name: hook.summary() for name, hook in self.by_name.items()})

    async def _received(self, request: web.Request) -> web.Response:
        hook = self._named(request)
        return reply(hook.summary() | {"requests": hook.received(*window(request))})

    async def _set_secret(self, request: web.Request) -> web.Response:
        secret = orjson.loads(await request.read()).get("secret")
        self._named(request).secret = Webhook(secret) if secret else None
        return reply({})


if __name__ == "__main__":
    run_alone(arguments_of("deploy.sandboxes.webhooks", "A receiver that keeps every webhook posted to it."), Hooks)
