"""All routes about people, below `/api/v1`."""

from __future__ import annotations

from aiohttp import web

from services.staff.people.people import People
from services.staff.people.sign_in import add_sessions


def add_people(application: web.Application, people: People) -> None:
    """`people` is also what recognises the callers: `Service.known` is its `recognition.find`."""
    add_sessions(application, people)
