"""What a route takes and gives. Routes read their requests by it, and the OpenAPI document is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema

Json = dict[str, Any]
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Holds:
    """`Annotated[list[Json], Holds(list[Row])]`: what JSON that is made elsewhere holds, for the OpenAPI document."""

    kind: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(self.kind)


class Query(BaseModel):
    """The parameters of a query. Unknown ones are ignored, and so is one without a value; of a repeated one, the first
    counts."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class StrictQuery(Query):
    """A query in which a parameter that is not declared, and a repeated one that is no list, are problems. Of a list,
    each value is a parameter of its own: `?status=paid&status=failed`."""


@dataclass(frozen=True, slots=True)
class Header:
    name: str
    description: str
    required: bool = False
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class DeclaredResponse:
    """One that is no error."""

    gives: object = Json
    """The type of its JSON; None: it has another body, or none."""
    status: HTTPStatus = HTTPStatus.OK
    media: str = JSON
    """Empty: it has no body."""
    description: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """What another service's OpenAPI document says of a route that is sent on to it."""

    operation: Json
    """Its parameters, body and responses, without those that are problems."""
    schemas: Mapping[str, Json]
    """What these refer to."""
    note: str
    """For the description: who answers."""


@dataclass(frozen=True, slots=True, eq=False)
class Declaration:
    summary: str
    responses: tuple[DeclaredResponse, ...] = (DeclaredResponse(),)
    query: type[Query] | None = None
    body: type[BaseModel] | None = None
    from_path: tuple[str, ...] = ()
    """Fields of the body that the path gives."""
    headers: tuple[Header, ...] = ()
    refused: tuple[HTTPStatus, ...] = ()
    """What the route itself answers as problem+json, besides what every route may answer."""
    raw_body: str = ""
    """Describes a body whose form another system declares: a provider's event."""
    form: Mapping[str, str] | None = None
    """Its body is a form of a page: the fields, and what they are."""
    file_media: str = ""
    """It takes a file of this type, which is read in parts; also instead of `body`, where there is one."""
    described: Described | None = None
    """It is answered by another service."""

    @property
    def has_body(self) -> bool:
        return bool(self.body or self.raw_body or self.form or self.file_media)

    @property
    def body_media(self) -> tuple[str, ...]:
        """The content types that a body may have. Empty: any, of a file or of what another system declares."""
        if self.body:
            return (JSON, self.file_media) if self.file_media else (JSON,)
        return (FORM,) if self.form else ()


def declare(handler: object, declaration: Declaration) -> None:
    handler.declaration = declaration  # type: ignore[attr-defined]  # a mark on a function


def declaration_of(handler: object) -> Declaration | None:
    found = getattr(handler, "declaration", None)
    return found if isinstance(found, Declaration) else None


def declared_in(request: web.Request) -> Declaration:
    """Raises TypeError for a route that declares nothing: what it reads would be in no document."""
    found = declaration_of(request.match_info.handler)
    if found is None:
        raise TypeError("a route without a declaration")
    return found
