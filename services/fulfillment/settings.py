"""Fulfillment's settings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from shared.setting_types import DataKeys, HttpUrl, Secret, Token
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
    """Seal secrets (`orderbus secrets set`) and redemption codes in the database: one key of at least 32 characters, or
    several separated by commas. The first seals, all of them open. If they are lost, so are the codes that are in no
    file, and staff set the secrets again."""
    files: Path | None = None
    """The folder with downloadable files: in it, a folder for each store, named by its id. Instead of `S3_BUCKET`."""
    s3_bucket: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{1,254})?$")
    """The bucket with downloadable files, in S3-compatible storage: `<store>/<name>`. Instead of `FILES`."""
    s3_endpoint: HttpUrl | None = None
    """Where the storage is, without the bucket."""
    s3_region: str = Field(default="us-east-1", pattern=r"^[A-Za-z0-9-]{1,64}$")
    """What requests are signed for; other storage than Amazon's mostly takes any."""
    s3_access_key: Token | None = None
    """The id of the key that may read, write, delete and list the bucket's objects."""
    s3_secret_key: Token | None = None
    """The key itself; it signs and is never sent."""
    upload_bytes: int = Field(default=2_000_000_000, ge=1_000_000, le=50_000_000_000)
    """The most bytes of a file that staff upload."""
    pool_recheck: timedelta = Field(default=timedelta(seconds=30), gt=timedelta())
    """How often an order that waits for a code checks the pool again."""
    discord_url: HttpUrl = "https://discord.com/api/v10"
    """Discord's HTTP API."""


class FulfillmentSettings(Settings):
    fulfillment: FulfillmentSection

    def problem(self) -> str:
        own = self.fulfillment
        problems = _storage_problems(own)
        if not (own.public_url or own.http_port):
            name = name_of(("fulfillment", "public_url"))
            text = "is missing: emails link to downloads by it. Set the URL under which customers reach it"
            problems.append(f"{name}: {text}")
        return "\n".join(problems)


def _storage_problems(own: FulfillmentSection) -> list[str]:
    """Files are in one place, and S3 needs all of its settings."""
    given = {
        "s3_bucket": own.s3_bucket,
        "s3_endpoint": own.s3_endpoint,
        "s3_access_key": own.s3_access_key and own.s3_access_key.get_secret_value(),
        "s3_secret_key": own.s3_secret_key and own.s3_secret_key.get_secret_value(),
    }
    if not any(given.values()):
        return []
    names = {each: name_of(("fulfillment", each)) for each in ("files", *given)}
    problems = [f"{names[each]}: is missing: files are in S3" for each, value in given.items() if not value]
    if own.files:
        set_too = ", ".join(names[each] for each, value in given.items() if value)
        problems.append(
            f"{names['files']}: is set, and so is {set_too}: files are in a folder or in S3, so set one of them"
        )
    return problems
