"""A database that was restored to an earlier point, and whose service has not caught up: its workers do not start.

They would go on at the end of their topics, and what the database has forgotten would stand still for good.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import ReportedError
from shared.shell.postgres.identity import Read
from shared.shell.postgres.statements import POSITIONS, UNFINISHED_RESTORE


class NotCaughtUp(ReportedError):
    exit_code = 4

    def __init__(self, service: str, why: str) -> None:
        super().__init__(f"{why} Stop all workers of {service}, and run `orderbus restore {service}`.")


async def check_caught_up(read: Read, service: str, committed: Mapping[tuple[str, int], int]) -> None:
    """`committed`: where Kafka has the service's group, asked before this. A worker tells its database first how far it
    has come, so a database that knows less was restored. Raises NotCaughtUp."""
    for (to,) in await read(UNFINISHED_RESTORE, {}):
        raise NotCaughtUp(service, f"The restore of {service}'s database to {to:%Y-%m-%d %H:%M:%S} UTC was broken off.")
    positions = {(topic, partition): handled for topic, partition, handled in await read(POSITIONS, {})}
    for (topic, partition), read_on in sorted(committed.items()):
        if read_on > (handled := positions.get((topic, partition), 0)):
            raise NotCaughtUp(
                service,
                f"{service}'s database was restored: of {topic}/{partition}, it has handled the records before "
                f"{handled}, but Kafka has those before {read_on} as handled.",
            )
