"""Secrets that deliveries need at other systems: set over HTTP, sealed on PostgreSQL, never shown again."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from services.fulfillment.secrets import SealedSecrets, secrets
from shared.shell.sealer import Sealer
from tests.integration.test_fulfillment_service import SECRET, Running, running  # noqa: F401  (the fixture)

OLD, NEW, PASSWORD = SECRET * 4, "another-key" * 4, "rcon-p4ssword-ü"


async def sealed_in(engine: AsyncEngine) -> list[bytes]:
    async with engine.connect() as connection:
        return list((await connection.execute(sa.select(secrets.c.sealed))).scalars())


async def test_a_secret_is_set_used_and_never_shown(running: Running) -> None:  # noqa: F811
    path, ours = "/stores/acme/secrets/rcon", SealedSecrets(running.engine, Sealer([OLD]))
    assert await ours.secret("acme", "rcon") is None

    assert await running.ask("PUT", path, {"value": "before"}) == (200, {"name": "rcon"})
    assert await running.ask("PUT", path, {"value": PASSWORD}) == (200, {"name": "rcon"})

    assert await ours.secret("acme", "rcon") == PASSWORD
    assert await ours.secret("other", "rcon") is None
    status, listed = await running.ask("GET", "/stores/acme/secrets")
    assert (status, [one.keys() for one in listed]) == (200, [{"name", "set_at", "set_by"}])
    assert listed[0]["set_by"] == "staff"
    assert not any(PASSWORD.encode() in sealed for sealed in await sealed_in(running.engine))

    assert (await running.ask("DELETE", path))[0] == 200
    assert (await running.ask("DELETE", path))[0] == 404
    assert await ours.secret("acme", "rcon") is None


async def test_what_is_no_secret_is_refused_without_repeating_it(running: Running) -> None:  # noqa: F811
    for path, body in (
        ("/stores/acme/secrets/rcon", {"value": ""}),
        ("/stores/acme/secrets/rcon", {"value": PASSWORD * 400}),
        ("/stores/acme/secrets/rcon", {"value": PASSWORD, "valeu": PASSWORD}),
        ("/stores/acme/secrets/-rcon", {"value": PASSWORD}),
    ):
        status, problem = await running.ask("PUT", path, body)
        assert (status, PASSWORD in str(problem)) == (400, False)
    assert await sealed_in(running.engine) == []


async def test_a_new_key_seals_what_the_older_ones_have(running: Running) -> None:  # noqa: F811
    older, both, newer = (SealedSecrets(running.engine, Sealer(keys)) for keys in ([OLD], [NEW, OLD], [NEW]))
    await older.set("acme", "rcon", PASSWORD, "staff")
    await SealedSecrets(running.engine, Sealer(["a-key-that-was-lost" * 4])).set("acme", "lost", "x", "staff")

    with capture_logs() as first:
        await both.seal_again(datetime.now(UTC))
    once = await sealed_in(running.engine)
    with capture_logs() as second:
        await both.seal_again(datetime.now(UTC))

    said = {"event": "secrets sealed again with the newest key", "secrets": 1, "log_level": "info"}
    assert said in first and said not in second
    assert [line["secret"] for line in (*first, *second) if line["log_level"] == "error"] == ["lost", "lost"]
    assert await newer.secret("acme", "rcon") == PASSWORD
    assert await sealed_in(running.engine) == once
