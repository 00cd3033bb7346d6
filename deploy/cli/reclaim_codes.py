"""`orderbus reclaim-codes`: a step of restoring fulfillment's database."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from deploy.check.lost_key import NothingLost
from deploy.check.reclaim import reclaim, vault_of
from deploy.cli import console
from deploy.cli.errors import Failure
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.target import environment_of, use
from deploy.settings import load_process_settings
from shared.settings import name_of
from shared.shell.ports.bus import BusUnavailable
from shared.shell.ports.store import StoreUnavailable
from shared.shell.sealer import CannotOpen

ForgetLostKey = Annotated[
    bool, typer.Option("--forget-lost-key", help="Remove codes whose data key is lost for good. Cannot be undone.")
]


@on_event_loop
async def reclaim_codes(data: Data = None, forget_lost_key: ForgetLostKey = False, as_json: AsJson = False) -> None:
    """Restore step: mark codes that customers have as taken.

    Run it after fulfillment's database was restored to an earlier point, before its workers start. Codes that were
    sent to customers since then are marked as taken, so that no other customer gets them.

    With --forget-lost-key also where the data key that sealed the codes is lost for good: free codes of all pools are
    removed, to be imported again, and those that customers have are kept. Stop fulfillment first.
    """
    use(environment_of(data))
    settings = load_process_settings("fulfillment")
    try:
        database_url = settings.service("fulfillment").database_url.get_secret_value()
        done = await reclaim(settings.kafka, database_url, vault_of(settings), forget_key=forget_lost_key)
    except BusUnavailable as trouble:
        raise Failure(f"The topics cannot be read: {trouble}") from None
    except NothingLost:
        raise Failure(
            "The key of codes can be read: nothing was changed. Single codes come back with their file."
        ) from None
    except CannotOpen as trouble:
        keys = name_of(("fulfillment", "data_keys"))
        raise Failure(
            f"Codes cannot be recognised: {trouble}. Set {keys} as fulfillment's workers have it. If that key is lost "
            "for good: `orderbus reclaim-codes --forget-lost-key`, then import the files of all pools again."
        ) from None
    except StoreUnavailable as trouble:
        raise Failure(f"The database of fulfillment cannot be reached: {trouble}") from None
    if as_json:
        console.show_json(asdict(done))
        return
    console.say(
        f"Of {console.counted(done.told, 'code')} sent to customers, {done.reclaimed} were free and are taken again."
    )
    for pool, count in done.removed.items():
        console.say(f"{console.counted(count, 'free code')} of pool {pool} can be read no more: import its file again.")
    for order, item in done.nowhere:
        console.say(f"The code of order {order}, item {item} is in no pool. An import leaves it out.")
    for order, item in done.unknown:
        console.say(
            f"Not all codes of order {order}, item {item} are known any more: before you import files again, look in "
            "the customer's emails, and take its codes out of them."
        )
