"""Staff's settings: its own section."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from pydantic import Field, SecretStr

from shared.setting_types import HttpUrl, Secret
from shared.settings import ServiceSettings, Settings, name_of

OPEN_ID = ("openid_issuer", "openid_client_id", "openid_client_secret")


class OpenIdSettings(NamedTuple):
    issuer: str
    client_id: str
    client_secret: SecretStr


class StaffSection(ServiceSettings):
    checkout_url: HttpUrl | None = None
    """Where staff's API sends what its callers may do to checkout: a URL that staff's workers reach. The four of them
    are set together, with `ORDERBUS_ASSERTION_KEYS`; without them nothing is sent."""
    payments_url: HttpUrl | None = None
    """The same for payments."""
    fulfillment_url: HttpUrl | None = None
    """The same for fulfillment."""
    notifications_url: HttpUrl | None = None
    """The same for notifications."""

    keep_exports: timedelta = Field(default=timedelta(days=7), ge=timedelta(hours=1), le=timedelta(days=366))
    """How long an export and its file are kept: it has the names and addresses of customers."""
    keep_jobs: timedelta = Field(default=timedelta(days=90), ge=timedelta(days=1), le=timedelta(days=3660))
    """How long other jobs and their results are kept."""

    openid_issuer: HttpUrl | None = None
    """An OpenID provider by which users sign in who have joined: its issuer, whose `/.well-known/openid-configuration`
    staff's workers reach. Set with the id and the secret of the client that staff is there; its redirect URI is the
    public URL and `/api/v1/session/openid/callback`."""
    openid_client_id: str | None = Field(default=None, min_length=1)
    """Staff's id at the provider."""
    openid_client_secret: Secret | None = None
    """Staff's secret at the provider."""

    def open_id(self) -> OpenIdSettings | None:
        """None: there is no provider."""
        if self.openid_issuer is None or self.openid_client_id is None or self.openid_client_secret is None:
            return None
        return OpenIdSettings(self.openid_issuer, self.openid_client_id, self.openid_client_secret)

    def owners(self) -> Mapping[str, str | None]:
        """By service: where it is."""
        return {
            "checkout": self.checkout_url,
            "payments": self.payments_url,
            "fulfillment": self.fulfillment_url,
            "notifications": self.notifications_url,
        }


class StaffSettings(Settings):
    staff: StaffSection

    def problem(self) -> str:
        given = {name for name in OPEN_ID if getattr(self.staff, name) is not None}
        if given and (missing := [name for name in OPEN_ID if name not in given]):
            return f"{name_of(('staff', missing[0]))}: is missing: an OpenID provider has issuer, client id and secret"
        owners = self.staff.owners()
        if not any(owners.values()):
            return ""
        for name, url in owners.items():
            if url is None:
                return f"{name_of(('staff', f'{name}_url'))}: is missing: set those of all four services, or of none"
        return "" if self.assertion_keys else f"{name_of(('assertion_keys',))}: is missing: what is sent is signed"
