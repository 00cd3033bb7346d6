"""What a database belongs to: one service, and one Kafka cluster. With others it is not used.

Another cluster has other records: a worker would find its topics missing and its group new, and what is on its way in
the right one would stand still. Both are entered at the first start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import sqlalchemy as sa

from shared.errors import ReportedError
from shared.settings import name_of
from shared.shell.postgres.statements import Sql

Read = Callable[[Sql, Mapping[str, Any]], Awaitable[list[asyncpg.Record]]]

ENTER_SERVICE = Sql("""
    insert into database_identity (service) values (:service) on conflict (one) do nothing
""")
ENTER_CLUSTER = Sql("""
    update database_identity set cluster = :cluster where cluster is null
""")
IDENTITY = Sql("select service, cluster, cluster_since from database_identity")


class WrongDatabase(ReportedError):
    """It belongs to another service."""

    exit_code = 4

    def __init__(self, service: str, owner: str) -> None:
        setting = name_of((service, "database_url"))
        super().__init__(f"{setting}: this database belongs to {owner}. Name the database of {service} here.")


class WrongCluster(ReportedError):
    """Kafka is not the cluster that a database was used with."""

    exit_code = 4

    def __init__(self, service: str, known: str, met: str) -> None:
        super().__init__(
            f"{name_of(('kafka', 'bootstrap_servers'))}: these brokers are cluster {met}, but the database of "
            f"{service} belongs to cluster {known}. Name the brokers of that cluster; if it is lost for good, follow "
            "“Kafka is lost” in docs/operations.md (in the embedded stack, `orderbus up --fresh` starts over)."
        )


@dataclass(frozen=True)
class DatabaseIdentity:
    """What a database says of itself."""

    service: str = ""
    """Empty before it is entered."""
    cluster: str = ""
    """Kafka's id of it; empty before it is entered."""
    cluster_since: datetime | None = None
    """When this cluster took the place of one that was lost; None where it is the first."""

    def check_service(self, service: str) -> None:
        """Raises WrongDatabase."""
        if self.service not in ("", service):
            raise WrongDatabase(service, self.service)

    def check_cluster(self, service: str, cluster: str) -> None:
        """Raises WrongCluster."""
        if self.cluster not in ("", cluster):
            raise WrongCluster(service, self.cluster, cluster)


async def identity(read: Read) -> DatabaseIdentity:
    for service, cluster, since in await read(IDENTITY, {}):
        return DatabaseIdentity(service, cluster or "", since)
    return DatabaseIdentity()


def service_entered(connection: sa.Connection, service: str) -> None:
    """The same as `enter_service`, for a migration."""
    connection.execute(sa.text(ENTER_SERVICE.source), {"service": service})
    DatabaseIdentity(connection.execute(sa.text(IDENTITY.source)).one().service).check_service(service)


async def enter_service(read: Read, service: str) -> None:
    """Raises WrongDatabase where another one is entered."""
    await read(ENTER_SERVICE, {"service": service})
    (await identity(read)).check_service(service)


async def enter_cluster(read: Read, service: str, cluster: str) -> None:
    """Raises WrongCluster where another one is entered."""
    await read(ENTER_CLUSTER, {"cluster": cluster})
    (await identity(read)).check_cluster(service, cluster)
