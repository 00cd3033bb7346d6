"""The outside world of the embedded stack in one process: SMTP sink, webhook receiver and course platform.

One HTTP port for all three. What other systems would call is open; what tests and the command line ask needs the token.

    POST   /hooks/NAME                          anything; answered 204, 401 when wrongly signed, or as planted
    POST   /access                              {"customer", "product", "grant": true}, with an Idempotency-Key
    POST   /access/revoke  ·  DELETE /access    the same, to revoke
    GET    /health

    GET    /mails?to=&after=&limit=             {"count", "mails": [{"id", "to", "subject", "message_id", …}]}
    GET    /mails/ID  ·  /mails/ID.eml          decoded, or as it came
    GET    /hooks  ·  /hooks/NAME/received?after=&limit=
    GET    /access?customer=
    PUT    /control/hooks/NAME/secret           {"secret": "whsec_…"}
    PUT    /control/{smtp | course | hooks/NAME}    {"answer": 500, "delay": 1.5, "times": 3, "every": 5}
                                                DELETE ends it
"""

import argparse
import asyncio
import hmac
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError
from standardwebhooks.webhooks import Webhook

from deploy.devstack.ports import LOOPBACK
from deploy.sandboxes.courses import AccessRequest, CoursePlatform
from deploy.sandboxes.faults import Fault, Faults
from deploy.sandboxes.smtp import Mailbox, SmtpSink
from deploy.sandboxes.webhooks import Hook, Hooks

Model = TypeVar("Model", bound=BaseModel)
LARGEST_REQUEST = 2_000_000
TOKEN_VARIABLE = "ORDERBUS_OUTSIDE_TOKEN"  # noqa: S105  (the variable's name, not a token)
"""The token comes by environment: a command line can be read by everybody on the machine."""


class Outside:
    """Routes over the three servers' state."""

    def __init__(self, folder: Path, token: str) -> None:
        self._token = token
        self.mailbox = Mailbox(folder)
        self.hooks = Hooks(folder)
        self.course = CoursePlatform(folder)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_REQUEST, middlewares=[self._plain_errors])
        app.router.add_get("/health", self.health)
        app.router.add_post("/hooks/{name}", self.receive_hook)
        app.router.add_post("/access", self.grant)
        app.router.add_post("/access/revoke", self.revoke)
        app.router.add_delete("/access", self.revoke)
        for method, path, handler in (
            ("GET", "/mails", self.list_mails),
            ("GET", "/mails/{id:[0-9]+}.eml", self.raw_mail),
            ("GET", "/mails/{id:[0-9]+}", self.read_mail),
            ("GET", "/hooks", self.list_hooks),
            ("GET", "/hooks/{name}/received", self.list_received),
            ("GET", "/access", self.list_grants),
            ("PUT", "/control/hooks/{name}/secret", self.set_secret),
            ("PUT", "/control/{target:smtp|course|hooks/.+}", self.plant_fault),
            ("DELETE", "/control/{target:smtp|course|hooks/.+}", self.end_fault),
        ):
            app.router.add_route(method, path, self._guarded(handler))
        return app

    @web.middleware
    async def _plain_errors(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except (ValidationError, ValueError) as wrong:
            return reply({"error": str(wrong)}, 400)

    def _guarded(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        expected = f"Bearer {self._token}".encode()

        async def checked(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, expected):
                return reply({"error": "Authorization: Bearer TOKEN is missing or wrong."}, 401)
            return await handler(request)

        return checked

    async def health(self, _: web.Request) -> web.Response:
        return reply({"mails": len(self.mailbox), "hooks": len(self.hooks.by_name), "access": self.course.changes})

    async def receive_hook(self, request: web.Request) -> web.Response:
        hook = self._hook(request)
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        return web.Response(status=hook.keep(headers, body, await hook.faults.strike()))

    async def grant(self, request: web.Request) -> web.Response:
        return await self._change_access(request, grant=True)

    async def revoke(self, request: web.Request) -> web.Response:
        return await self._change_access(request, grant=False)

    async def _change_access(self, request: web.Request, *, grant: bool) -> web.Response:
        status = await self.course.faults.strike()
        if status is not None:
            return reply({"error": f"Refused with {status}, as the test asked for."}, status)
        wanted = await parsed(request, AccessRequest)
        does: Literal["grant", "revoke"] = "grant" if grant and wanted.grant else "revoke"
        answer = self.course.change(does, wanted, request.headers.get("Idempotency-Key"))
        return reply(answer.body, answer.status)

    async def list_mails(self, request: web.Request) -> web.Response:
        mails = self.mailbox.list(request.query.get("to"), *window(request))
        return reply({"count": len(self.mailbox), "mails": mails})

    async def read_mail(self, request: web.Request) -> web.Response:
        mail = self.mailbox.read(request.match_info["id"])
        return reply(mail, 200) if mail else reply({"error": "There is no such mail."}, 404)

    async def raw_mail(self, request: web.Request) -> web.StreamResponse:
        path = self.mailbox.path(request.match_info["id"])
        return web.FileResponse(path) if path.is_file() else reply({"error": "There is no such mail."}, 404)

    async def list_hooks(self, _: web.Request) -> web.Response:
        return reply({name: hook.summary() for name, hook in self.hooks.by_name.items()})

    async def list_received(self, request: web.Request) -> web.Response:
        hook = self._hook(request)
        return reply(hook.summary() | {"requests": hook.received(*window(request))})

    async def list_grants(self, request: web.Request) -> web.Response:
        return reply({"grants": self.course.grants(request.query.get("customer"))})

    async def set_secret(self, request: web.Request) -> web.Response:
        secret = orjson.loads(await request.read()).get("secret")
        self._hook(request).secret = Webhook(secret) if secret else None
        return reply({})

    async def plant_fault(self, request: web.Request) -> web.Response:
        self._faults(request).inject(await parsed(request, Fault))
        return reply({})

    async def end_fault(self, request: web.Request) -> web.Response:
        self._faults(request).inject(None)
        return reply({"struck": self._faults(request).struck})

    def _hook(self, request: web.Request) -> Hook:
        return self.hooks.get(request.match_info["name"])

    def _faults(self, request: web.Request) -> Faults:
        target = request.match_info["target"]
        if target == "smtp":
            return self.mailbox.faults
        if target == "course":
            return self.course.faults
        return self.hooks.get(target.removeprefix("hooks/")).faults


def reply(body: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


async def parsed(request: web.Request, model: type[Model]) -> Model:
    return model.model_validate_json(await request.read())


def window(request: web.Request) -> tuple[int, int]:
    return int(request.query.get("after", "0")), min(int(request.query.get("limit", "100")), 10_000)


async def serve(folder: Path, smtp_port: int, http_port: int, token: str) -> None:
    outside = Outside(folder, token)
    sink = SmtpSink(outside.mailbox)
    runner = web.AppRunner(outside.application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, http_port).start()
    await sink.start(LOOPBACK, smtp_port)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await sink.stop()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description="SMTP sink, webhook receiver and course platform in one process.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    given = parser.parse_args()
    work = serve(given.data, given.smtp_port, given.http_port, os.environ[TOKEN_VARIABLE])
    try:
        import uvloop  # noqa: PLC0415  (not there on every platform)
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    main()
