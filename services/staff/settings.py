"""Staff's settings: its own section."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from shared.settings import ServiceSettings, Settings


class StaffSection(ServiceSettings):
    keep_exports: timedelta = Field(default=timedelta(days=7), ge=timedelta(hours=1), le=timedelta(days=366))
    """How long an export and its file are kept: it has the names and addresses of customers."""
    keep_jobs: timedelta = Field(default=timedelta(days=90), ge=timedelta(days=1), le=timedelta(days=3660))
    """How long other jobs and their results are kept."""


class StaffSettings(Settings):
    staff: StaffSection
