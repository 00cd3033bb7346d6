"""Passkeys (WebAuthn): users sign in by their device, which has verified them. That is both factors at once."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import orjson
import sqlalchemy as sa
from aiohttp import web
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from pydantic import Field
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.people import audit_log
from services.staff.people.accounts import Account, account_of
from services.staff.people.credentials import CHALLENGE, digest_of, new_id, new_token
from services.staff.people.people import People
from services.staff.people.rules import PeopleRules
from services.staff.people.second_factor import locked_account, require_free
from services.staff.people.sign_in import GONE, begin_session, session_of, wrong
from services.staff.people.tables import challenges, passkeys, sessions
from services.staff.people.views import PersonName, SessionView
from shared.contracts.values import Given
from shared.shell.http.access import OWN_STORES, SIGNED_IN, add_public, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import ProblemResponse, bad_request, json_response, not_found
from shared.shell.http.requests import agent_of, body_in, check_no_other_site

LASTS = timedelta(minutes=5)
MOST = 20
VERIFIED = UserVerificationRequirement.REQUIRED


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What a browser's `navigator.credentials` needs."""

    challenge: str
    """Names what was begun: send it with the credential, within five minutes."""
    options: dict[str, Any]
    """`PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON`, under `publicKey`."""


@dataclass(frozen=True, slots=True)
class PasskeyView:
    """A passkey of the caller."""

    id: str
    """The passkey's id here."""
    name: str
    """What its user calls it."""
    created_at: datetime
    """When it was added."""
    seen_at: datetime | None
    """When it was last used; null: never."""


@dataclass(frozen=True, slots=True)
class PasskeyList:
    """Passkeys."""

    passkeys: list[PasskeyView]
    """The caller's own, oldest first."""


class PasskeySignIn(Given):
    """The body of `POST /api/v1/session/passkey`."""

    challenge: str = Field(min_length=10, max_length=100)
    """Of what was begun."""
    credential: dict[str, Any]
    """What the browser answered, as JSON (`credential.toJSON()`)."""


class NewPasskey(PasskeySignIn):
    """The body of `POST /api/v1/session/passkeys`."""

    name: PersonName
    """What its user calls it."""


BEGUN = (DeclaredResponse(Ceremony, HTTPStatus.CREATED),)
ADD_BEGIN = Declaration("Begin to add a passkey", BEGUN, refused=(HTTPStatus.CONFLICT,))
ADD = Declaration(
    "Add a passkey",
    (DeclaredResponse(PasskeyView, HTTPStatus.CREATED),),
    body=NewPasskey,
    refused=(HTTPStatus.CONFLICT,),
)
LIST = Declaration("The caller's passkeys", (DeclaredResponse(PasskeyList),))
REMOVE = Declaration("Remove a passkey", (GONE,), refused=(HTTPStatus.CONFLICT,))
SIGN_IN_BEGIN = Declaration("Begin to sign in by passkey", BEGUN, refused=(HTTPStatus.FORBIDDEN,))
SIGN_IN = Declaration(
    "Sign in by passkey",
    (DeclaredResponse(SessionView, HTTPStatus.CREATED, description="Its cookie is set."),),
    body=PasskeySignIn,
    refused=(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN),
)


def add_passkeys(application: web.Application, people: People) -> None:
    routes, add = PasskeyRoutes(people), functools.partial(add_route, application)
    add("POST", "/api/v1/session/passkeys/begin", routes.begin_adding, SIGNED_IN, OWN_STORES, ADD_BEGIN)
    add("POST", "/api/v1/session/passkeys", routes.add, SIGNED_IN, OWN_STORES, ADD)
    add("GET", "/api/v1/session/passkeys", routes.list, SIGNED_IN, OWN_STORES, LIST)
    add("DELETE", "/api/v1/session/passkeys/{passkey}", routes.remove, SIGNED_IN, OWN_STORES, REMOVE)
    add_public(application, "POST", "/api/v1/session/passkey/begin", routes.begin_sign_in, SIGN_IN_BEGIN)
    add_public(application, "POST", "/api/v1/session/passkey", routes.sign_in, SIGN_IN)


def relying_party(rules: PeopleRules) -> Fido2Server:
    url = urlsplit(rules.public_url)
    entity = PublicKeyCredentialRpEntity(name=rules.issuer, id=url.hostname)
    return Fido2Server(entity, verify_origin=lambda origin: origin == f"{url.scheme}://{url.netloc}")


class PasskeyRoutes:
    def __init__(self, people: People) -> None:
        self._people, self._server = people, relying_party(people.rules)

    async def begin_adding(self, request: web.Request) -> web.StreamResponse:
        caller = session_of(request)
        async with self._people.writes.begin() as connection:
            account = await locked_account(connection, caller)
            require_free(account, caller)
            query = sa.select(passkeys.c.data).where(passkeys.c.user_id == account.id)
            known = [AttestedCredentialData(data) for data in (await connection.execute(query)).scalars()]
            entity = PublicKeyCredentialUserEntity(
                id=account.id.encode(), name=account.email, display_name=account.name
            )
            options, state = self._server.register_begin(
                entity, known, resident_key_requirement=ResidentKeyRequirement.REQUIRED, user_verification=VERIFIED
            )
            ceremony = await self._begun(connection, options, state, account.id)
        return json_response(ceremony, HTTPStatus.CREATED)

    async def add(self, request: web.Request) -> web.StreamResponse:
        caller, given = session_of(request), await body_in(request, NewPasskey, "passkey")
        now = self._people.now()
        async with self._people.writes.begin() as connection:
            account = await locked_account(connection, caller)
            require_free(account, caller)
            state = await self._state(connection, given.challenge, account.id)
            try:
                made = self._server.register_complete(state, given.credential)
                data = made.credential_data
            except Exception:  # whatever its parsers raise for what they cannot read
                data = None
            if state is None or data is None:
                raise bad_request("The passkey is invalid, or took longer than five minutes. Begin again.")
            mine = sa.select(sa.func.count()).select_from(passkeys).where(passkeys.c.user_id == account.id)
            if (await connection.execute(mine)).scalar_one() >= MOST:
                title = f"You have {MOST} passkeys already. Remove one that is not used."
                raise ProblemResponse(HTTPStatus.CONFLICT, title, "too_many_passkeys")
            view = PasskeyView(new_id(), given.name, now, None)
            values: dict[str, Any] = {
                "credential": data.credential_id,
                "id": view.id,
                "user_id": account.id,
                "name": given.name,
            }
            values |= {"data": bytes(data), "counter": made.counter, "created_at": now}
            insert = postgresql.insert(passkeys).values(values).on_conflict_do_nothing()
            if not (await connection.execute(insert)).rowcount:
                raise bad_request("This passkey is known already.")
            await connection.execute(
                sa.update(sessions).where(sessions.c.id == caller.session).values(second_factor=True)
            )
            await audit_log.record(connection, caller.name, "passkey.added", view.id)
        self._people.recognition.forget()
        return json_response(view, HTTPStatus.CREATED)

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = sa.select(passkeys).where(passkeys.c.user_id == session_of(request).user)
        async with self._people.writes.connect() as connection:
            rows = (await connection.execute(query.order_by(passkeys.c.created_at, passkeys.c.id))).all()
        return json_response(PasskeyList([PasskeyView(row.id, row.name, row.created_at, row.seen_at) for row in rows]))

    async def remove(self, request: web.Request) -> web.StreamResponse:
        caller, id = session_of(request), request.match_info["passkey"]
        async with self._people.writes.begin() as connection:
            require_free(await locked_account(connection, caller), caller)
            of_it = sa.and_(passkeys.c.id == id, passkeys.c.user_id == caller.user)
            if not (await connection.execute(sa.delete(passkeys).where(of_it))).rowcount:
                raise not_found("passkey")
            await audit_log.record(connection, caller.name, "passkey.removed", id)
        self._people.recognition.forget()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def begin_sign_in(self, request: web.Request) -> web.StreamResponse:
        check_no_other_site(request)
        options, state = self._server.authenticate_begin(user_verification=VERIFIED)
        async with self._people.writes.begin() as connection:
            ceremony = await self._begun(connection, options, state, None)
        return json_response(ceremony, HTTPStatus.CREATED)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        check_no_other_site(request)
        people, given = self._people, await body_in(request, PasskeySignIn, "sign-in")
        async with people.writes.begin() as connection:
            state = await self._state(connection, given.challenge, None)
            account = await self._verified(connection, state, given.credential) if state is not None else None
            if account is not None:
                agent = agent_of(request)
                return await begin_session(connection, people, account, agent, second_factor=True)
        raise wrong()  # the challenge is used up

    async def _verified(
        self, connection: AsyncConnection, state: Mapping[str, Any], credential: Mapping[str, Any]
    ) -> Account | None:
        try:
            response = AuthenticationResponse.from_dict(credential)
        except Exception:  # whatever its parser raises for what it cannot read
            return None
        query = sa.select(passkeys).where(passkeys.c.credential == response.raw_id).with_for_update()
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        try:
            self._server.authenticate_complete(state, [AttestedCredentialData(row.data)], response)
        except Exception:  # a wrong signature, origin or challenge, or a key that it cannot read
            return None
        counter, handle = response.response.authenticator_data.counter, response.response.user_handle
        if handle not in (None, row.user_id.encode()) or (counter <= row.counter and (counter or row.counter)):
            return None  # another user's, or a copy of the device
        account = await account_of(connection, id=row.user_id, locked=True)
        if account is None or account.disabled_at is not None:
            return None
        used = {"counter": counter, "seen_at": self._people.now()}
        await connection.execute(sa.update(passkeys).where(passkeys.c.id == row.id).values(used))
        return account

    async def _begun(self, connection: AsyncConnection, options: Any, state: Any, user: str | None) -> Ceremony:
        token, written = new_token(CHALLENGE), orjson.dumps(state).decode()
        values = {"digest": digest_of(token), "state": written, "user_id": user}
        insert = sa.insert(challenges).values(**values, expires_at=self._people.now() + LASTS)
        await connection.execute(insert)
        return Ceremony(token, orjson.loads(orjson.dumps(dict(options), default=dict)))

    async def _state(self, connection: AsyncConnection, challenge: str, user: str | None) -> dict[str, Any] | None:
        """What was begun, once; for this user, or for no one in particular."""
        of_it = challenges.c.digest == digest_of(challenge)
        query = sa.delete(challenges).where(of_it).returning(challenges)
        row = (await connection.execute(query)).one_or_none()
        if row is None or row.expires_at <= self._people.now() or row.user_id != user:
            return None
        state: dict[str, Any] = orjson.loads(row.state)
        return state
