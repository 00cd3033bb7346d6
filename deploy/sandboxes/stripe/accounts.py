"""Stripe accounts: each has API keys, books, idempotency keys, faults, a clock and a webhook endpoint of its own.

What exists in one account does not exist in another. The default account is that of the settings; the control API adds
others, which are kept in `accounts/NAME/` of the data folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from deploy.sandboxes.stripe.books import Transaction
from deploy.sandboxes.stripe.errors import unauthorised
from deploy.sandboxes.stripe.faults import Faults
from deploy.sandboxes.stripe.restriction import ChargesRefused
from deploy.sandboxes.stripe.store import Claim, Reply, Store
from deploy.sandboxes.stripe.webhooks import Endpoint, Webhooks

DEFAULT = "default"
ANY_KEY = ("sk_test_", "rk_test_")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """`api_key` None: whatever key of test mode is no other account's. `webhook_url` empty: no webhooks."""

    api_key: str | None = None
    webhook_url: str = ""
    webhook_secret: str = ""


class Account:
    """One account, in a folder of its own."""

    def __init__(self, name: str, folder: Path, settings: AccountSettings, endpoint: Endpoint | None) -> None:
        self.name = name
        self.id = f"acct_{'sandbox' if name == DEFAULT else name}"
        self.settings = settings
        self.store = Store(folder, endpoint.subscribed if endpoint else frozenset())
        self.faults = Faults()
        self.webhooks = Webhooks(self.store, self.faults, endpoint)
        self.charges_refused: ChargesRefused | None = None
        """Set while Stripe has paused the account. Not kept across a restart."""

    def transaction(self, base: str = "", request_id: str | None = None, key: str | None = None) -> Transaction:
        clock, refused = self.store.clock, self.charges_refused
        refusal = refused.error if refused else None
        return Transaction(self.store.books, clock.now(), base, request_id, key, clock.exact(), refusal)

    def commit(self, tx: Transaction, claim: Claim | None = None, answer: Reply | None = None) -> None:
        self.webhooks.announce(self.store.commit(tx, claim, answer))


class Accounts:
    """All accounts. Those that were added are there again after a restart."""

    def __init__(self, folder: Path, default: AccountSettings, endpoint: Endpoint) -> None:
        """`endpoint`: the pauses between deliveries and the types of event of every account's endpoint."""
        self._folder = folder / "accounts"
        self._endpoint = endpoint
        self._running = False
        self._by_name = {DEFAULT: self._opened(DEFAULT, folder, default)}
        for kept in sorted(self._folder.glob("*/account.json")):
            settings = AccountSettings(**orjson.loads(kept.read_bytes()))
            self._by_name[kept.parent.name] = self._opened(kept.parent.name, kept.parent, settings)

    def __iter__(self) -> Iterator[Account]:
        return iter(tuple(self._by_name.values()))

    @property
    def default(self) -> Account:
        return self._by_name[DEFAULT]

    def named(self, name: str) -> Account | None:
        return self._by_name.get(name)

    def of_key(self, key: str) -> Account:
        """Raises Stripe's error for a key that is of no account."""
        for account in self._by_name.values():
            if account.settings.api_key == key:
                return account
        if self.default.settings.api_key is None and key.startswith(ANY_KEY):
            return self.default
        raise unauthorised(key)

    async def add(self, name: str, settings: AccountSettings) -> Account:
        """Raises ValueError for a name or a key that cannot be, or is another account's."""
        if not _NAME.fullmatch(name) or name in self._by_name:
            raise ValueError("name must be new, of at most 32 lower-case letters, digits, - and _")
        key = settings.api_key or ""
        if not key.startswith(ANY_KEY) or any(account.settings.api_key == key for account in self):
            raise ValueError("api_key must be new, and begin with sk_test_ or rk_test_")
        if settings.webhook_url and not settings.webhook_secret:
            raise ValueError("webhook_url needs webhook_secret")
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        _write_private(folder / "account.json", orjson.dumps(asdict(settings)))
        account = self._opened(name, folder, settings)
        self._by_name[name] = account
        if self._running:
            await account.webhooks.start()
        return account

    async def start(self) -> None:
        self._running = True
        for account in self:
            await account.webhooks.start()

    async def stop(self) -> None:
        self._running = False
        for account in self:
            await account.webhooks.stop()
            account.store.close()

    def _opened(self, name: str, folder: Path, settings: AccountSettings) -> Account:
        wanted = self._endpoint.at(settings.webhook_url, settings.webhook_secret) if settings.webhook_url else None
        return Account(name, folder, settings, wanted)


def _write_private(path: Path, content: bytes) -> None:
    """It has secrets in it. Whole or not at all: a kill leaves no half of it."""
    half = path.with_suffix(".half")
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    half.replace(path)
