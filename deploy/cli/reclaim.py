"""`orderbus reclaim-codes`: a step of restoring fulfillment's database."""

from __future__ import annotations

from dataclasses import asdict

from deploy.cli import console
from deploy.cli.place import settings_of


def reclaim_codes(data: console.Data = None, as_json: console.AsJson = False) -> None:
    """After fulfillment's database was restored to an earlier point, and before its workers start: mark the codes that
    customers were told since as taken, so that nobody else gets them."""
    settings = settings_of(data)

    async def work() -> None:
        from deploy.check.reclaim import reclaim  # noqa: PLC0415
        from shared.shell.ports.bus import BusUnavailable  # noqa: PLC0415

        try:
            done = await reclaim(settings.kafka, settings.service("fulfillment").database_url)
        except BusUnavailable as trouble:
            raise console.Failure(f"The topics cannot be read: {trouble}") from None
        if as_json:
            console.show_json(asdict(done))
            return
        console.say(
            f"{done.told} codes were told to customers; {done.reclaimed} of them were free and are theirs again."
        )
        for order, item in done.nowhere:
            console.say(f"The code of order {order}, item {item} is in no pool: do not add it again.")

    console.run(work())
