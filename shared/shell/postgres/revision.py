"""Whether a database's schema is new enough for this build. One that a newer build has migrated is: migrations only add
what older builds do without, and what is removed is removed by a later release."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from shared.errors import ReportedError

SERVICES = Path(__file__).parents[3] / "services"
_THERE = sa.text("select to_regclass('alembic_version') is not null")
_REVISION = sa.text("select version_num from alembic_version")


class OldSchema(ReportedError):
    """It was migrated by an older build."""

    exit_code = 5

    def __init__(self, revision: str, needed: str) -> None:
        super().__init__(
            f"The schema is at {revision or 'no revision'}, this build needs {needed}: run `orderbus migrate` of this "
            "build before its workers."
        )


def newest_revision(service: str) -> str:
    """By the migrations' file names: `0001_first.py`."""
    return max(revisions(service))


def revisions(service: str) -> set[str]:
    """Those that this build knows."""
    return {path.name.split("_")[0] for path in versions(service).glob("[0-9]*.py")}


def versions(service: str) -> Path:
    return SERVICES / service / "migrations" / "versions"


def too_old(service: str, revision: str) -> bool:
    """Whether this build knows the revision, and needs a later one. An unknown one is of a newer build."""
    known = revisions(service)
    return revision != max(known) and (not revision or revision in known)


def check_revision(connection: sa.Connection, service: str) -> None:
    """Raises OldSchema."""
    there = connection.execute(_THERE).scalar_one()
    revision = str(connection.execute(_REVISION).scalar() or "") if there else ""
    if too_old(service, revision):
        raise OldSchema(revision, newest_revision(service))
