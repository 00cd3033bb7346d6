"""Links to an order's pay page, `<url>/pay/<signed token>`: payments serves it, and emails lead there. Both have the
same settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from shared.setting_types import DataKeys, HttpUrl, keys_in
from shared.settings import Section
from shared.shell.signed_tokens import SignedTokens

READABLE_FOR = timedelta(days=30)
"""After the time to pay, for who wants to know how the order ended."""


class PayPageSettings(Section):
    url: HttpUrl | None = None
    """The URL under which customers reach payments' pay page: links in emails are `<URL>/pay/…`. Without it there is no
    such page, and emails link to the order's page in the shop."""
    keys: DataKeys | None = Field(
        default=None, validate_default=True, json_schema_extra={"remedy": "make one with `openssl rand -hex 32`"}
    )
    """Sign the links: one key of at least 32 characters, or several separated by commas, the same for payments and
    notifications. The first signs, all of them are right."""

    @field_validator("keys")
    @classmethod
    def _with_a_url(cls, keys: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        if keys is None and others.data.get("url") is not None:
            raise ValueError("is missing: the links to the pay page are signed")
        return keys


class BadLink(Exception):
    """The link was not made here, or was changed."""


@dataclass(frozen=True, slots=True)
class PayClaim:
    """What a link says: which order, and until when it is read."""

    order: str
    expires: datetime


class PayLinks:
    """Makes and reads links."""

    def __init__(self, url: str, keys: tuple[str, ...]) -> None:
        self._root = url.rstrip("/")
        self._tokens = SignedTokens(keys[0], "pay", keys[1:])

    @classmethod
    def of(cls, settings: PayPageSettings) -> Self | None:
        """None where the settings name no page."""
        if settings.url is None or settings.keys is None:
            return None
        return cls(settings.url, keys_in(settings.keys))

    def url(self, order: str, until: datetime) -> str:
        """`until`: when the time to pay is over."""
        expires = int((until + READABLE_FOR).timestamp())
        return self.url_of(self._tokens.make({"o": order, "e": expires}))

    def url_of(self, token: str) -> str:
        return f"{self._root}/pay/{token}"

    def read(self, token: str) -> PayClaim:
        """Raises BadLink. The caller checks whether it has expired."""
        try:
            content = self._tokens.read(token)
            return PayClaim(content["o"], datetime.fromtimestamp(content["e"], UTC))
        except (ValueError, KeyError, TypeError, OverflowError) as wrong:
            raise BadLink from wrong
