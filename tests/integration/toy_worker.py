"""Stands in for a service under the supervisor: answers /ready, or refuses to start as the service `broken`."""

import argparse
import sys

from aiohttp import web


async def ready(_: web.Request) -> web.Response:
    return web.json_response({})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("service")
    parser.add_argument("--worker", type=int)
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    if given.service == "broken":
        sys.exit("ORDERBUS_API_TOKEN: Field required")
    app = web.Application()
    app.router.add_get("/ready", ready)
    web.run_app(app, host="127.0.0.1", port=given.port, print=None, shutdown_timeout=1)
