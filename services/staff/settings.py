"""Staff's settings: its own section."""

from __future__ import annotations

from shared.settings import ServiceSettings, Settings


class StaffSection(ServiceSettings):
    pass


class StaffSettings(Settings):
    staff: StaffSection
