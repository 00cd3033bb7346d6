"""The routes by which staff set the secrets of their deliveries. They are never shown again."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import Field, SecretStr, StringConstraints, TypeAdapter, ValidationError

from services.fulfillment.secrets import SealedSecrets, SetSecret
from shared.contracts.values import Given, Id
from shared.shell.http.access import IN_PATH, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import bad_request, json_response, not_found
from shared.shell.http.requests import body_in
from shared.shell.http.web import actor_of

_name: TypeAdapter[str] = TypeAdapter(Id)
_PATH = "/stores/{store}/secrets/{name}"


class SecretValue(Given):
    """What a secret is. It is sealed at once, and never shown again."""

    value: Annotated[SecretStr, Field(min_length=1, max_length=4000)]
    """The secret itself."""


class SecretChanged(Given):
    """A secret was set or removed."""

    name: Annotated[str, StringConstraints(max_length=64)]
    """The secret's name."""


_CHANGED = (DeclaredResponse(SecretChanged),)
_SET = Declaration("Set a secret that deliveries name", _CHANGED, body=SecretValue)
_REMOVE = Declaration("Remove a secret", _CHANGED, refused=(HTTPStatus.NOT_FOUND,))
_LIST = Declaration("The names of a store's secrets, with who set them and when", (DeclaredResponse(list[SetSecret]),))


def add_secrets(application: web.Application, secrets: SealedSecrets) -> None:
    async def set_one(request: web.Request) -> web.StreamResponse:
        store, name = _named(request)
        given = await body_in(request, SecretValue, "secret")
        await secrets.set(store, name, given.value.get_secret_value(), actor_of(request))
        return json_response({"name": name})

    async def remove(request: web.Request) -> web.StreamResponse:
        store, name = _named(request)
        if not await secrets.remove(store, name):
            raise not_found("secret")
        return json_response({"name": name})

    async def listed(request: web.Request) -> web.StreamResponse:
        return json_response(await secrets.of(request.match_info["store"]))

    add_route(application, "PUT", _PATH, set_one, "secret.set", IN_PATH, _SET)
    add_route(application, "DELETE", _PATH, remove, "secret.set", IN_PATH, _REMOVE)
    add_route(application, "GET", "/stores/{store}/secrets", listed, "secret.read", IN_PATH, _LIST)


def _named(request: web.Request) -> tuple[str, str]:
    """Store and name. Raises ProblemResponse."""
    store, name = request.match_info["store"], request.match_info["name"]
    try:
        return _name.validate_python(store), _name.validate_python(name)
    except ValidationError:
        raise bad_request("Stores and secrets have names of 1 to 64 letters, digits or . _ : @ -") from None
