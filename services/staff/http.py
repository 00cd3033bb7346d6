"""Staff's HTTP API, under `/api/v1`."""

from __future__ import annotations

from aiohttp import web

from services.staff.customer_data import add_customer_data
from services.staff.jobs.jobs import Jobs
from services.staff.lists import add_lists
from services.staff.live.routes import add_changes
from services.staff.order_page import add_order_page
from services.staff.owners.client import Owners
from services.staff.owners.explanation import add_explanation
from services.staff.owners.routes import add_owner_commands, add_owner_reads
from services.staff.people.people import People
from services.staff.people.routes import add_people
from services.staff.reports import add_reports
from services.staff.saved_view_routes import add_saved_views
from shared.shell.ports.http_api import HttpApi, Routes


def routes(people: People, jobs: Jobs, owners: Owners) -> Routes:
    def add(application: web.Application, api: HttpApi) -> None:
        add_saved_views(application, api)
        add_people(application, people)
        jobs.add_routes(application)
        add_lists(application, api)  # before the routes of one order: no order has the number `tabs`
        add_order_page(application, api)
        add_changes(application, api)
        add_reports(application, api)
        add_explanation(application, api, owners)
        add_customer_data(application, api, owners, people.writes)
        add_owner_commands(application, api, owners, people.writes)
        add_owner_reads(application, api, owners)

    return add
