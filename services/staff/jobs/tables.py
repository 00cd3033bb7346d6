"""The tables of jobs, which a migration creates."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from services.staff.storage import metadata


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _number(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, server_default=None if null else "0")


def _time(name: str, *, null: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def _texts(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, postgresql.ARRAY(sa.Text), nullable=null)


jobs = sa.Table(
    "jobs",
    metadata,
    *(_key("id"), _text("kind"), _text("actor"), _text("token"), _texts("stores"), _text("request"), _text("state")),
    *(_number("total", null=True), _number("done"), _number("refused"), _text("problem")),
    *(_time("created_at", null=False), _time("started_at"), _time("ended_at"), _time("expires_at", null=False)),
    *(_text("file", null=True), _number("file_size", null=True)),
    *(_number("tries"), _time("not_before"), _number("lease"), _text("leased_by"), _time("leased_until")),
    *(sa.Column("identity", sa.Text, nullable=False, unique=True), _text("fingerprint")),
)
"""`token`: the id of the API token by which it was made, or empty. `request`: what is to be done, as JSON. `lease`:
counts who had it; what a runner writes is only written while this is still its own number."""
job_orders = sa.Table(
    "job_orders",
    metadata,
    *(_key("job"), _key("order_id"), _number("position"), _texts("items", null=True)),
    *(_text("state"), _text("code", null=True), _text("text", null=True), _time("at")),
)
"""The orders of a bulk job, as they were found when it was made, and the outcome of each: `pending`, `done`, `refused`
or `unknown`."""
job_parts = sa.Table(
    "job_parts",
    metadata,
    _key("job"),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
"""A job's file, in compressed parts."""
job_schedules = sa.Table(
    "job_schedules",
    metadata,
    *(_key("id"), _text("name"), _text("actor"), _text("token"), _texts("stores", null=True)),
    *(_text("request"), _text("zone")),
    *(_time("next_at", null=False), _time("created_at", null=False), _text("last_job", null=True)),
)
"""Exports that are made each month. `stores`: null is all of them, also those to come."""
