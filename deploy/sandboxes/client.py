"""Clients of the sandboxes: what tests and the demo ask of them and do to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from deploy.client.http import Http, Place, Problem, mapping

PAGE = 1000


class OutsideWorld(Http):
    """The embedded stack's mailbox, webhook receiver, course platform and Discord server."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__()
        self._place = Place("the outside world", url, token)

    def hook_url(self, hook: str) -> str:
        """Where a receiver of that name takes posts."""
        return f"{self._place.url}/hooks/{hook}"

    async def mails(self, to: str = "", after: int = 0, limit: int = 1000) -> dict[str, Any]:
        """`{"count", "mails"}`, oldest first."""
        query = f"to={quote(to)}&after={after}&limit={limit}"
        return mapping(await self.request(self._place, "GET", f"/mails?{query}"))

    async def mail(self, mail: str) -> dict[str, Any]:
        """With headers, text and html."""
        return mapping(await self.request(self._place, "GET", f"/mails/{mail}"))

    async def hooks(self) -> dict[str, Any]:
        """Counts by receiver."""
        return mapping(await self.request(self._place, "GET", "/hooks"))

    async def received(self, hook: str) -> list[dict[str, Any]]:
        """All requests, oldest first. In pages: thousands at once keep it from answering others."""
        found: list[dict[str, Any]] = []
        while True:
            path = f"/hooks/{hook}/received?after={len(found)}&limit={PAGE}"
            page = mapping(await self.request(self._place, "GET", path))["requests"]
            found += page
            if len(page) < PAGE:
                return found

    async def grants(self, customer: str) -> list[str]:
        """Products that a customer has access to."""
        answer = await self.request(self._place, "GET", f"/access?customer={quote(customer)}")
        return [grant["product"] for grant in mapping(answer)["grants"]]

    async def all_grants(self) -> dict[str, list[str]]:
        """Products by the customer who has access to them."""
        found: dict[str, list[str]] = {}
        for grant in mapping(await self.request(self._place, "GET", "/access"))["grants"]:
            found.setdefault(grant["customer"], []).append(grant["product"])
        return found

    async def console(self) -> dict[str, Any]:
        """The game server: `{"port", "players", "ranks", "commands"}`."""
        return mapping(await self.request(self._place, "GET", "/rcon"))

    async def change_console(self, **changes: object) -> None:
        """`offline=True`, `hangs=True`, `password="other"`, `players=["Ada_1"]`, `long=10_000`."""
        await self.request(self._place, "PUT", "/control/rcon", changes)

    async def restore_console(self) -> None:
        """As at the beginning; what was run stays."""
        await self.request(self._place, "DELETE", "/control/rcon")

    async def discord_roles(self, user: str) -> list[str]:
        """Ids of the roles that a member of the Discord server has."""
        found = mapping(await self.request(self._place, "GET", "/discord/members"))["members"]
        return list(found.get(user, ()))

    async def set_discord_server(self, **changes: object) -> None:
        """`has_left=["80351110224678912"], may_manage_roles=False, bot_position=2`; the rest is as at the start."""
        await self.request(self._place, "PUT", "/control/discord/server", changes)

    async def set_secret(self, hook: str, secret: str) -> None:
        """From now on the receiver checks signatures."""
        await self.request(self._place, "PUT", f"/control/hooks/{hook}/secret", {"secret": secret})

    async def inject(self, target: str, **fault: object) -> None:
        """Have `smtp`, `course`, `discord` or `hooks/NAME` answer badly: `answer=500, delay=1.5, times=3, every=5`."""
        await self.request(self._place, "PUT", f"/control/{target}", fault)

    async def clear_fault(self, target: str) -> None:
        await self.request(self._place, "DELETE", f"/control/{target}")


class StripeSandbox(Http):
    """The control side of the embedded Stripe sandbox, for one of its accounts."""

    def __init__(self, url: str, token: str, account: str = "default") -> None:
        super().__init__()
        self._place = Place("the Stripe sandbox", url, token)
        self._root = f"/_control/accounts/{account}"

    async def add_account(self, name: str, api_key: str, webhook_url: str = "", webhook_secret: str = "") -> None:
        """An account of its own, for a client or a provider with that key."""
        account = {"name": name, "api_key": api_key, "webhook_url": webhook_url, "webhook_secret": webhook_secret}
        await self.request(self._place, "POST", "/_control/accounts", account)

    async def books(self, **metadata: str) -> dict[str, Any]:
        """Every payment intent and the totals; narrowed by metadata."""
        query = "&".join(f"{name}={quote(value)}" for name, value in metadata.items())
        return mapping(await self.request(self._place, "GET", f"{self._root}/books" + (f"?{query}" if query else "")))

    async def pause_account(self, **refusal: object) -> None:
        """Stripe makes no charges for the account; `status`, `code`, `message`, `saved` say how it refuses them."""
        await self.request(self._place, "POST", f"{self._root}/account", {"charges_enabled": False} | refusal)

    async def resume_account(self) -> None:
        await self.request(self._place, "POST", f"{self._root}/account", {"charges_enabled": True})

    async def charge(self, amount: int, currency: str, **metadata: str) -> str:
        """Take money that orderbus did not ask for, in Stripe's minor units. Returns the payment intent's id."""
        charge = {"amount": amount, "currency": currency, "metadata": metadata}
        return str(mapping(await self.request(self._place, "POST", f"{self._root}/charges", charge))["id"])

    async def refund(self, intent: str, amount: int | None = None) -> str:
        """Refund a payment in Stripe's dashboard: no metadata says whose it is. Minor units; None: all that is left.
        Returns the refund's id."""
        refund = {"payment_intent": intent} | ({} if amount is None else {"amount": amount})
        return str(mapping(await self.request(self._place, "POST", f"{self._root}/refunds", refund))["id"])

    async def settle_refund(self, refund: str, *, bounced: bool = False) -> None:
        """A pending refund has succeeded now, or the bank returns a refund."""
        status = "failed" if bounced else "succeeded"
        await self.request(self._place, "POST", f"{self._root}/refunds/{refund}", {"status": status})

    async def authenticate(self, page: str, *, passed: bool) -> None:
        """Press the button on the bank's 3-D Secure page, as the customer."""
        assert self._session is not None
        button = "complete" if passed else "fail"
        async with self._session.post(f"{page}/{button}", allow_redirects=False) as response:
            if response.status >= 400:
                raise Problem(Place("the bank's page", page, ""), response.status, {})

    async def inject(self, fault: Mapping[str, object]) -> None:
        await self.request(self._place, "POST", f"{self._root}/faults", dict(fault))

    async def clear_fault(self) -> None:
        """No more faults."""
        await self.request(self._place, "DELETE", f"{self._root}/faults")

    async def hold_webhooks(self) -> None:
        await self.request(self._place, "POST", f"{self._root}/webhooks/hold")

    async def release_webhooks(self, order: str = "kept") -> None:
        await self.request(self._place, "POST", f"{self._root}/webhooks/release", {"order": order})
