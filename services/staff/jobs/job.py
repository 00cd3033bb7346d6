"""A job as a row: made once for each Idempotency-Key, read, and changed by what staff ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import orjson
import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.domain.jobs import ENDED, JobKind, JobRequest, JobState, after_request
from services.staff.jobs.tables import jobs


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    kind: JobKind
    actor: str
    token: str
    """The id of the API token by which it was made; empty: none."""
    stores: frozenset[str]
    """Those of its orders."""
    request: Mapping[str, Any]
    state: JobState
    total: int | None
    """How many orders it is about; None until they are counted."""
    done: int
    refused: int
    problem: str
    """What is wrong with it, for staff."""
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime
    file: str | None
    file_size: int | None
    tries: int
    lease: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a job."""

    identity: str
    """The same one again makes no second job."""
    fingerprint: str
    """Of what was asked for."""

    @classmethod
    def of(cls, kind: JobKind, identity: str, request: BaseModel) -> Self:
        fingerprint = hashlib.sha256(f"{kind}\x00{request.model_dump_json()}".encode()).hexdigest()
        return cls(hashlib.sha256(identity.encode()).hexdigest(), fingerprint)


@dataclass(frozen=True, slots=True)
class NewJob:
    id: str
    kind: JobKind
    actor: str
    token: str
    stores: Sequence[str]
    request: Mapping[str, Any]
    asked: Asked
    keep: timedelta
    total: int | None = None


class KeyReused(Exception):
    """The identity is that of another request."""


async def earlier_job(connection: AsyncConnection, asked: Asked) -> Job | None:
    """The job that was made for the same identity. Raises KeyReused if something else was asked for."""
    query = sa.select(jobs).where(jobs.c.identity == asked.identity)
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is not None and row["fingerprint"] != asked.fingerprint:
        raise KeyReused
    return None if row is None else job_of(row)


async def make_job(connection: AsyncConnection, new: NewJob, now: datetime) -> Job | None:
    """None if one was made for the same identity at the same time."""
    values = {
        "id": new.id,
        "kind": new.kind.value,
        "actor": new.actor,
        "token": new.token,
        "stores": sorted(new.stores),
        "request": orjson.dumps(new.request).decode(),
        "state": JobState.WAITING.value,
        "total": new.total,
        "problem": "",
        "created_at": now,
        "expires_at": now + new.keep,
        "leased_by": "",
        "identity": new.asked.identity,
        "fingerprint": new.asked.fingerprint,
    }
    made = insert(jobs).values(values).on_conflict_do_nothing(index_elements=["identity"]).returning(jobs)
    row = (await connection.execute(made)).mappings().one_or_none()
    return None if row is None else job_of(row)


async def find_job(connection: AsyncConnection, id: str, *, locked: bool = False) -> Job | None:
    query = sa.select(jobs).where(jobs.c.id == id)
    row = (await connection.execute(query.with_for_update() if locked else query)).mappings().one_or_none()
    return None if row is None else job_of(row)


async def jobs_before(
    connection: AsyncConnection, stores: frozenset[str] | None, before: tuple[datetime, str] | None, most: int
) -> list[Job]:
    """The newest first. `stores`: only those of which all orders are in these; None: all."""
    query = sa.select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(most)
    if stores is not None:
        query = query.where(jobs.c.stores.contained_by(sorted(stores)), jobs.c.stores != [])
    if before is not None:
        query = query.where(sa.tuple_(jobs.c.created_at, jobs.c.id) < sa.tuple_(*map(sa.literal, before)))
    return [job_of(row) for row in (await connection.execute(query)).mappings()]


async def change_job(connection: AsyncConnection, job: Job, request: JobRequest, now: datetime) -> JobState | None:
    """Of a job that is locked: the state that follows; None where the request is refused."""
    state = after_request(job.kind, job.state, request)
    if state is None or state is job.state:
        return state
    values: dict[str, Any] = {"state": state.value, "ended_at": now if state in ENDED else None}
    if request == "resume":
        values |= {"tries": 0, "not_before": None, "problem": ""}
    await connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(values))
    return state


def job_of(row: sa.RowMapping) -> Job:
    given = {name: row[name] for name in Job.__dataclass_fields__}
    given |= {"kind": JobKind(row["kind"]), "state": JobState(row["state"]), "stores": frozenset(row["stores"])}
    return Job(**given | {"request": orjson.loads(row["request"])})
