"""Small read models for tests: parcels, with what is in them, from two status topics, and a log of scans."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.contracts.envelope import Envelope, encode, to_headers
from shared.core import Event, Topic, derived_id
from shared.core.day_sums import Adds
from shared.core.projection import About, Projection, Row, Shown
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.read_models import Counter, DaySums, KeptTable, PartsTable, ReadModelTables, ShownTable

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
    packed_adds: dict[str, Any] | None = None


class ThingRow(Row):
    parcel: str
    thing: str
    number: int


class RouteRow(Row):
    parcel: str
    route_revision: int = 0
    van: str | None = None
    route_adds: dict[str, Any] | None = None


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
    adds = Adds(record.depot, "EUR")
    adds.add(NOON + timedelta(hours=record.revision % 48), {"parcels": "", "state": record.state}, parcels=1)
    for thing, number in numbers.items():
        adds.add(NOON, {"thing": thing}, things=number)
    return Shown(ParcelRow(about.key, record.revision, record.depot, record.state, tags, note, adds.as_json()), things)


@projection.shows(RouteStatus, blank=RouteRow)
def route_row(record: RouteStatus, about: About) -> Shown:
    adds = Adds("roads")
    adds.add(NOON, {"van": record.van[:2]}, parcels=1)
    return Shown(RouteRow(about.key, record.revision, record.van, adds.as_json()))


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
    sa.Column("packed_adds", postgresql.JSONB),
    sa.Column("route_adds", postgresql.JSONB),
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
depots = sa.Table(
    "depots",
    metadata,
    sa.Column("store", sa.Text, primary_key=True),
    sa.Column("sums_zone", sa.Text, nullable=False, server_default="UTC"),
)
parcel_sums = sa.Table(
    "parcel_sums",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("store", "about")),
    sa.Column("day", sa.Date, primary_key=True),
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("value", "currency")),
    sa.Column("parcels", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("things", sa.Numeric, nullable=False, server_default="0"),
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
            adds="packed_adds",
        ),
        ShownTable(RouteRow, parcels, "parcel", "route_revision", adds="route_adds"),
    ],
    kept=[KeptTable(ScanRow, scans)],
    sums=DaySums(parcel_sums, depots, ("thing",)),
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
