"""An in-app notification bell: a store's back end mints the customer's token, the browser reads the feed live.

eval "$(orderbus env)"
python examples/in_app/backend.py        # http://127.0.0.1:8099/?customer=ada
"""

import os
import re
import sys
from pathlib import Path

from aiohttp import ClientSession, ClientTimeout, web

STORE = "lighthouse"
NOTIFICATIONS = os.environ["NOTIFICATIONS_URL"]
API = {"Authorization": f"Bearer {os.environ['ORDERBUS_API_TOKEN']}"}
"""May do everything: it stays on the server."""
PAGE = Path(__file__).parent / "page.html"


def signed_in(request: web.Request) -> str:
    """The customer's id, as your orders carry it (`customer.id`). Take it from your own session, never from the
    address as here."""
    customer = request.query.get("customer", "")
    if not re.fullmatch(r"[A-Za-z0-9]{1,40}", customer):
        raise web.HTTPUnauthorized(text="Sign in first.")
    return customer


async def token(request: web.Request) -> web.Response:
    """A token with which the browser reads this customer's feed, and marks entries as read: nothing else. It expires;
    the page then asks for another one."""
    feed = f"{STORE}~customer~{signed_in(request)}"
    session: ClientSession = request.app[SESSION]
    async with session.post(f"{NOTIFICATIONS}/feeds/{feed}/token", headers=API, json={"seconds": 900}) as answer:
        answer.raise_for_status()
        return web.json_response({"feed": feed, **await answer.json()})


async def forward(request: web.Request) -> web.StreamResponse:
    """The browser's requests to the feed, under the page's own origin: in production your reverse proxy does this. The
    token that is passed on is the browser's, so it may do no more through here."""
    session: ClientSession = request.app[SESSION]
    names = ("Authorization", "Last-Event-ID", "Content-Type")
    headers = {name: request.headers[name] for name in names if name in request.headers}
    url = f"{NOTIFICATIONS}{request.rel_url}"
    async with session.request(request.method, url, headers=headers, data=await request.read()) as answer:
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
        await response.prepare(request)
        async for part in answer.content.iter_any():
            await response.write(part)
        return response


async def page(_: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE)


async def session_of(application: web.Application):
    async with ClientSession(timeout=ClientTimeout(total=None, sock_connect=10)) as session:
        application[SESSION] = session
        yield


SESSION: web.AppKey[ClientSession] = web.AppKey("session", ClientSession)


def application() -> web.Application:
    made = web.Application()
    made.cleanup_ctx.append(session_of)
    made.add_routes([web.get("/", page), web.post("/token", token), web.route("*", "/feeds/{rest:.*}", forward)])
    return made


if __name__ == "__main__":
    web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8099)
