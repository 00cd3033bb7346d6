"""All lists: orders and their numbers, what belongs to them, customers, queues."""

from __future__ import annotations

from aiohttp import web

from services.staff.customer_list import add_customer_list
from services.staff.order_counts import add_order_counts
from services.staff.order_list import add_order_list
from services.staff.part_lists import add_part_lists
from services.staff.queues import add_queues
from shared.shell.ports.http_api import HttpApi


def add_lists(application: web.Application, api: HttpApi) -> None:
    for add in (add_order_list, add_order_counts, add_part_lists, add_customer_list, add_queues):
        add(application, api)
