"""How staff is wired: what it consumes and emits, what it reads into read models, its tables."""

from __future__ import annotations

from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.archive_months import keep_months
from services.staff.domain import CORES, PROJECTION
from services.staff.erased_orders import ErasedOrders
from services.staff.http import routes
from services.staff.jobs.jobs import Jobs
from services.staff.jobs.rules import JobRules
from services.staff.owners.client import Owners
from services.staff.owners.sender import OwnersSender
from services.staff.people.open_id import OpenIdProvider
from services.staff.people.people import People
from services.staff.people.rules import PeopleRules
from services.staff.report_query import set_zones
from services.staff.settings import StaffSection, StaffSettings
from services.staff.storage import storage
from services.staff.sums_zones import adopt_zones
from shared.contracts import staff
from shared.shell.http.assertions import assertions_of
from shared.shell.service import Service


def staff_service(settings: StaffSettings, engine: AsyncEngine) -> Service:
    own = settings.staff
    rules = PeopleRules(public_url=own.public_url or f"http://{own.http_host}:{own.http_port}")
    people = People(engine, rules, provider=_provider(own))
    owners = Owners(own.owners(), assertions_of(settings))
    jobs = Jobs(engine, OwnersSender(owners), JobRules(own.keep_exports, own.keep_jobs), zones=set_zones)
    erasing = ErasedOrders(engine, settings.kafka.retention)
    return Service(
        name="staff",
        cores=CORES,
        consumes={staff.COMMANDS: [staff.SaveView, staff.RemoveView]},
        emits={staff.EVENTS: [staff.ViewSaved, staff.ViewRemoved]},
        refusal=staff.StaffRefused,
        storage=storage,
        projection=PROJECTION,
        routes=routes(people, jobs, owners),
        known=people.recognition.find,
        upkeep=[partial(keep_months, engine), partial(adopt_zones, engine), people.upkeep, jobs.upkeep, erasing.upkeep],
        tasks=[jobs.run, erasing.run],
        resources=[people.close, owners.close],
    )


def _provider(own: StaffSection) -> OpenIdProvider | None:
    """It may be inside the network: who sets it is trusted."""
    given = own.open_id()
    return given and OpenIdProvider(given.issuer, given.client_id, given.client_secret.get_secret_value(), private=True)
