"""Fulfillment's settings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from shared.setting_types import DataKeys, HttpUrl, Secret
from shared.settings import ServiceSettings, Settings, name_of


class FulfillmentSection(ServiceSettings):
    link_secret: Secret = Field(
        min_length=16,
        examples=["at-least-16-characters"],
        json_schema_extra={"remedy": "make one with `openssl rand -hex 32`"},
    )
    """Signs download links; at least 16 characters."""
    data_keys: DataKeys = Field(
        examples=["at-least-32-characters-at-random"],
        json_schema_extra={"remedy": "make one with `openssl rand -hex 32`"},
    )
    """Seal secrets in the database, see `orderbus secrets set`: one key of at least 32 characters, or several separated
    by commas. The first seals, all of them open. If they are lost, staff set the secrets again."""
    files: Path | None = None
    """The folder with downloadable files: in it, a folder for each store, named by its id."""
    pool_recheck: timedelta = Field(default=timedelta(seconds=30), gt=timedelta())
    """How often an order that waits for a code checks the pool again."""
    discord_url: HttpUrl = "https://discord.com/api/v10"
    """Discord's HTTP API."""


class FulfillmentSettings(Settings):
    fulfillment: FulfillmentSection

    def problem(self) -> str:
        own = self.fulfillment
        if own.public_url or own.http_port:
            return ""
        name = name_of(("fulfillment", "public_url"))
        return f"{name}: is missing: emails link to downloads by it. Set the URL under which customers reach it"
