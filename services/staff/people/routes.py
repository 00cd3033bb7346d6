"""All routes about people, below `/api/v1`."""

from __future__ import annotations

from aiohttp import web

from services.staff.people.audit import add_audit
from services.staff.people.invitations import add_invitations
from services.staff.people.open_id_sign_in import add_open_id
from services.staff.people.own_account import add_own_account
from services.staff.people.passkeys import add_passkeys
from services.staff.people.people import People
from services.staff.people.roles import add_roles
from services.staff.people.second_factor import add_second_factor
from services.staff.people.sign_in import add_sessions
from services.staff.people.tokens import add_tokens
from services.staff.people.users import add_users


def add_people(application: web.Application, people: People) -> None:
    """`people` is also what recognises the callers: `Service.known` is its `recognition.find`."""
    for add in (
        *(add_sessions, add_second_factor, add_own_account, add_tokens, add_users, add_invitations, add_roles),
        *(add_passkeys, add_open_id, add_audit),
    ):
        add(application, people)
