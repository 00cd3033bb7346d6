"""Staff's settings: its own section."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import Field

from shared.setting_types import HttpUrl
from shared.settings import ServiceSettings, Settings, name_of


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
        owners = self.staff.owners()
        if not any(owners.values()):
            return ""
        for name, url in owners.items():
            if url is None:
                return f"{name_of(('staff', f'{name}_url'))}: is missing: set those of all four services, or of none"
        return "" if self.assertion_keys else f"{name_of(('assertion_keys',))}: is missing: what is sent is signed"
