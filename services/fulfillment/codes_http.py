"""`POST /stores/{store}/pools/{pool}/codes`: some codes as a command, or a whole file."""

from __future__ import annotations

from dataclasses import asdict, replace
from http import HTTPStatus
from uuid import uuid4

from aiohttp import web

from services.fulfillment.domain.keys import row_key
from services.fulfillment.gateways.code_import import MAX_BYTES, SHOWN, BadFile, CodeImport, CodesOfFile
from services.fulfillment.gateways.code_vault import LOST_KEY
from shared.contracts.codes import AddCodes, CodesImported
from shared.contracts.envelope import read_key
from shared.core import Problem, Refused
from shared.shell.http.access import IN_PATH, RequestHandler, add_route
from shared.shell.http.declaration import DeclaredResponse
from shared.shell.http.problems import ProblemResponse, bad_request, json_response
from shared.shell.http.requests import read_file
from shared.shell.http.web import actor_of, command_declaration, command_handler, identity_of, joined
from shared.shell.ports.http_api import HttpApi
from shared.shell.sealer import CannotOpen

CSV = "text/csv"
PATH = "/stores/{store}/pools/{pool}/codes"
_commands = command_declaration(AddCodes)
CODES = replace(
    _commands,
    summary="Send `codes.add`, or import a file of codes",
    responses=(*_commands.responses, DeclaredResponse(CodesOfFile, description="The file was imported.")),
    file_media=CSV,
    refused=(*_commands.refused, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.SERVICE_UNAVAILABLE),
)


def add_code_routes(application: web.Application, api: HttpApi, imports: CodeImport) -> None:
    as_command = command_handler(api, AddCodes, joined)
    as_file = _import_of(api, imports)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await (as_file if request.content_type == CSV else as_command)(request)

    add_route(application, "POST", PATH, handle, AddCodes.type, IN_PATH, CODES)


def _import_of(api: HttpApi, imports: CodeImport) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        store, pool = request.match_info["store"], request.match_info["pool"]
        key, wrong = read_key(row_key(store, pool).encode())
        if wrong or "/" in pool:
            raise bad_request(f"The path does not name a pool: {wrong or 'a / is not allowed'}.")
        identity = identity_of(request)
        if imports.turn.locked():
            title = "Another file is being imported. Repeat the request in a moment."
            raise ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, title, "busy", retry_after=5, close=True)
        async with imports.turn:
            try:
                result = await imports.run(key, await read_file(request, MAX_BYTES))
            except BadFile as bad:
                raise _refusal(bad) from None
            except CannotOpen as trouble:
                title = f"Nothing was added: {trouble}. {LOST_KEY}"
                raise ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, title, "unreadable") from None
            # Orders that wait are woken; if this is lost, they recheck the pool by themselves.
            filled = CodesImported(added=result.added, left=result.left)
            answer = await api.submit(filled, key, identity=f"{identity} {uuid4()}", actor=actor_of(request))
            assert not isinstance(answer, Refused)
        return json_response(asdict(result))

    return handle


def _refusal(bad: BadFile) -> ProblemResponse:
    lines = "1 line is" if bad.count == 1 else f"{bad.count} lines are"
    more = f" The first {SHOWN} are named." if bad.count > len(bad.problems) else ""
    problems = [
        Problem(field=f"lines.{one.line}", code="bad_line", text=f"line {one.line} {one.text}") for one in bad.problems
    ]
    return bad_request(f"{lines} wrong; nothing was added.{more}", problems)
