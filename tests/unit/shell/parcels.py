"""Small read models for tests: parcels, with what is in them, from two status topics, and a log of scans."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.contracts.envelope import Envelope, encode, to_headers
from shared.core import Event, Topic, derived_id
from shared.core.projection import About, Projection, Row, Shown
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.read_models import Counter, KeptTable, PartsTable, ReadModelTables, ShownTable

PACKED = Topic("toy.parcels.status.v1", owner="toy", compacted=True)
ROUTED = Topic("toy.routes.status.v1", owner="toy", compacted=True)
SCANS = Topic("toy.scans.v1", owner="toy")
NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


class ParcelStatus(Event, type="toy.parcel_status", topic=PACKED):
    revision: int
    depot: str
    state: str
    things: tuple[str, ...] = ()


class RouteStatus(Event, type="toy.route_status", topic=ROUTED):
    revision: int
    van: str


class ParcelRow(Row):
    parcel: str
    packed_revision: int = 0
    depot: str = ""
    state: str = ""
    tags: tuple[str, ...] = ()
    note: dict[str, int] | None = None


class ThingRow(Row):
    parcel: str
    thing: str
    number: int


class RouteRow(Row):
    parcel: str
    route_revision: int = 0
    van: str | None = None


class ScanRow(Row):
    parcel: str
    id: UUID
    at: datetime
    type: str
    body: bytes


projection = Projection()


@projection.shows(ParcelStatus, blank=ParcelRow)
def parcel_row(record: ParcelStatus, about: About) -> Shown:
    if record.state == "lost":
        raise ValueError("lost")
    numbers = dict[str, int]()
    for thing in record.things:
        numbers[thing] = numbers.get(thing, 0) + 1
    things = [ThingRow(about.key, thing, number) for thing, number in numbers.items()]
    tags = (f"s:{record.state}", *(f"t:{thing}" for thing in record.things))
    note = {"things": len(record.things)} if record.things else None
    return Shown(ParcelRow(about.key, record.revision, record.depot, record.state, tags, note), things)


@projection.shows(RouteStatus, blank=RouteRow)
def route_row(record: RouteStatus, about: About) -> Shown:
    return Shown(RouteRow(about.key, record.revision, record.van))


@projection.keeps(SCANS)
def scan_row(body: bytes, about: About) -> ScanRow:
    return ScanRow(about.key, about.id, about.at, about.type, body)


metadata = sa.MetaData()
parcels = sa.Table(
    "parcels",
    metadata,
    sa.Column("parcel", sa.Text, primary_key=True),
    sa.Column("packed_revision", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("depot", sa.Text, nullable=False, server_default=""),
    sa.Column("state", sa.Text, nullable=False, server_default=""),
    sa.Column("tags", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("note", postgresql.JSONB),
    sa.Column("route_revision", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("van", sa.Text),
)
things = sa.Table(
    "things",
    metadata,
    sa.Column("parcel", sa.Text, primary_key=True),
    sa.Column("thing", sa.Text, primary_key=True),
    sa.Column("number", sa.SmallInteger, nullable=False),
)
parcel_counts = sa.Table(
    "parcel_counts",
    metadata,
    sa.Column("depot", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
scans = sa.Table(
    "scans",
    metadata,
    sa.Column("parcel", sa.Text, primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
TABLES = ReadModelTables(
    shown=[
        ShownTable(
            *(ParcelRow, parcels, "parcel", "packed_revision"),
            parts=[PartsTable(ThingRow, things)],
            counter=Counter(parcel_counts, ("depot", "state")),
        ),
        ShownTable(RouteRow, parcels, "parcel", "route_revision"),
    ],
    kept=[KeptTable(ScanRow, scans)],
)


def record_of(message: Event, key: str, offset: int, partition: int = 0, seed: int | None = None) -> BusRecord:
    """As the relay writes it. `seed`: another one is another message."""
    at = NOON + timedelta(seconds=offset)
    id = derived_id(UUID(int=7), offset if seed is None else seed, NOON)
    topic = type(message).topic
    headers = to_headers(Envelope(id, type(message).type, topic.owner, key, NOON + timedelta(hours=id.int % 9)))
    return BusRecord(topic.name, partition, offset, key.encode(), tuple(headers), encode(message), at)


def erased(topic: Topic, key: str, offset: int, partition: int = 0) -> BusRecord:
    return BusRecord(topic.name, partition, offset, key.encode(), (), None, NOON)


class Scanned(Event, type="toy.scanned", topic=SCANS):
    place: str
