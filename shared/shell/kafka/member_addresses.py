"""Where the HTTP API of each worker is: members say it to their group, in what they tell of themselves when they join
(the place where Kafka Streams says its `application.server`, too)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocol, ConsumerProtocolMemberMetadata

EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  # compared, not bound
"""Hosts of a worker that listens on all its addresses: it is where the broker sees it."""


def announcing(place: Callable[[], tuple[str, int] | None]) -> type[RoundRobinPartitionAssignor]:
    """The usual way to share partitions out, for a member whose host and port this gives; None as long as it has
    none."""

    class Announcing(RoundRobinPartitionAssignor):  # type: ignore[misc]  # aiokafka is untyped
        @classmethod
        def metadata(cls, topics: Iterable[str]) -> Any:
            found = place()
            said = "{} {}".format(*found).encode() if found else b""
            return ConsumerProtocolMemberMetadata(cls.version, list(topics), said)

    return Announcing


def address_of(metadata: bytes, seen_at: str) -> str:
    """The URL that a member said; empty where it said none, as one of an older build. `seen_at`: the host that the
    broker sees, `/10.0.0.7`."""
    said = ConsumerProtocol.METADATA.decode(metadata).user_data if metadata else b""
    host, _, port = (said or b"").decode(errors="replace").partition(" ")
    if not port.isdecimal():
        return ""
    host = seen_at.removeprefix("/") if host in EVERYWHERE else host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
