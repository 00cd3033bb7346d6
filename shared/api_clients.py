"""API clients as settings, and what is wrong with them: all of it at once, before a worker starts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from shared.permissions import PERMISSIONS

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
EVERYTHING = "*"
"""All stores, all permissions."""
OPERATOR = "staff"
"""The client of `ORDERBUS_API_TOKEN`, which may do everything."""
STORE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")
"""An id that a store can have."""
STORE_SHAPE = "1 to 64 letters, digits or . _ : @ -, beginning with a letter or digit"


class ApiClientSettings(BaseModel):
    """A caller of the HTTP APIs."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$")
    """The actor of what it does, as in an order's timeline."""
    token_sha256: tuple[Sha256, ...] = Field(min_length=1, max_length=2)
    """SHA-256 of its bearer token, in hexadecimal; of two while one replaces the other."""
    stores: tuple[str, ...] = Field(min_length=1)
    """The stores that it may act for; `*`: all."""
    permissions: tuple[str, ...] = Field(min_length=1)
    """What it may do: wire types of commands and `<what>.read`. `*` stands for any characters."""

    @field_validator("name")
    @classmethod
    def _no_other_actor(cls, name: str) -> str:
        if name.lower() in ("customer", "system", OPERATOR) or name.lower().startswith(("provider:", "user:")):
            raise ValueError("is the name of another actor")
        return name

    @field_validator("stores")
    @classmethod
    def _possible(cls, stores: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [store for store in stores if store != EVERYTHING and not STORE.fullmatch(store)]:
            raise ValueError(f"no store can have the id {', '.join(map(repr, wrong))}; name ids, or * alone for all")
        if EVERYTHING in stores and len(stores) > 1:
            raise ValueError("* is all stores: name ids, or * alone")
        return stores

    @field_validator("permissions")
    @classmethod
    def _known(cls, permissions: tuple[str, ...]) -> tuple[str, ...]:
        patterns = [one for one in permissions if one not in PERMISSIONS]
        if unknown := [one for one in patterns if not any(fnmatchcase(name, one) for name in PERMISSIONS)]:
            close = get_close_matches(unknown[0], PERMISSIONS, 1)
            hint = f"did you mean {close[0]}?" if close else "docs/security.md lists those that there are"
            raise ValueError(f"no permission is called {', '.join(map(repr, unknown))}; {hint}")
        return permissions


def checked(given: Any, validate: Any, token: SecretStr | None) -> tuple[ApiClientSettings, ...]:
    """The clients, next to that of `ORDERBUS_API_TOKEN`. Raises ValidationError with everything that is wrong, with
    each and with several together."""
    problems: list[InitErrorDetails] = []
    clients: tuple[ApiClientSettings, ...] = ()
    try:
        clients = validate(given)
    except ValidationError as wrong:
        for error in wrong.errors(include_url=False):
            known = InitErrorDetails(type=error["type"], loc=error["loc"], input=None)
            problems.append(known if "ctx" not in error else {**known, "ctx": error["ctx"]})
    raw = given if isinstance(given, Sequence) and not isinstance(given, str) else ()
    for place, text in _repeated(raw, token):
        problems.append(
            InitErrorDetails(type=PydanticCustomError("repeated", "{text}", {"text": text}), loc=place, input=None)
        )
    if problems:
        raise ValidationError.from_exception_data("api_clients", problems, hide_input=True)
    return clients


def _repeated(clients: Sequence[Any], token: SecretStr | None) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Names and tokens that are of two clients: the place of the second, and what is wrong."""
    names: dict[str, int] = {}
    tokens: dict[str, str] = {}
    if token is not None:
        tokens[hashlib.sha256(token.get_secret_value().encode()).hexdigest()] = "ORDERBUS_API_TOKEN"
    for index, client in enumerate(clients):
        name = _field(client, "name")
        if isinstance(name, str) and names.setdefault(name.lower(), index) != index:
            yield (index, "name"), f"two clients have the same name, {name}"
        given = _field(client, "token_sha256")
        for digest in given if isinstance(given, list | tuple) else ():
            owner = f"client {index}"
            if not isinstance(digest, str):
                continue
            if digest in tokens:
                whose = "twice in this client" if tokens[digest] == owner else f"also that of {tokens[digest]}"
                yield (index, "token_sha256"), f"a token is {whose}; each client needs its own"
            tokens.setdefault(digest, owner)


def _field(client: Any, name: str) -> Any:
    return client.get(name) if isinstance(client, dict) else getattr(client, name, None)
