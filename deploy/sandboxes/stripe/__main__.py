"""`STRIPE_SANDBOX_CONTROL_TOKEN=… python -m deploy.sandboxes.stripe --data DIR [--port P] [--webhook-url URL]`.

Secrets come from the environment, so that they are not seen in the list of processes: the token of the control API, the
only API key that is accepted (`STRIPE_SANDBOX_API_KEY`; default: any) and that which signs events
(`STRIPE_SANDBOX_WEBHOOK_SECRET`).
Prints one line of JSON, `{"ready": true, "url": "http://127.0.0.1:12111"}`, when it answers; ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import orjson
from aiohttp import web

from deploy.sandboxes.stripe.app import Settings, create_app
from deploy.sandboxes.stripe.journal import JournalInUseError
from shared.shell.event_loop import run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.sandboxes.stripe",
        description="Stripe's API on the loopback interface. Prints a line of JSON when it is ready.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--data", type=Path, required=True, help="folder for what it remembers")
    parser.add_argument("--webhook-url", help="where events are posted (default: nowhere)")
    given = parser.parse_args()
    given.webhook_secret = os.environ.get("STRIPE_SANDBOX_WEBHOOK_SECRET", "")
    given.control_token = os.environ.get("STRIPE_SANDBOX_CONTROL_TOKEN", "")
    given.api_key = os.environ.get("STRIPE_SANDBOX_API_KEY")
    if not given.control_token:
        parser.error("set STRIPE_SANDBOX_CONTROL_TOKEN in the environment")
    if given.webhook_url and not given.webhook_secret:
        parser.error("--webhook-url needs STRIPE_SANDBOX_WEBHOOK_SECRET in the environment")
    return given


async def _serve(given: argparse.Namespace) -> None:
    settings = Settings(
        data=given.data,
        control_token=given.control_token,
        webhook_url=given.webhook_url,
        webhook_secret=given.webhook_secret,
        api_key=given.api_key,
    )
    runner = web.AppRunner(create_app(settings), access_log=None, handle_signals=False, shutdown_timeout=2)
    await runner.setup()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        site = web.TCPSite(runner, given.host, given.port)
        await site.start()
        port = runner.addresses[0][1]
        print(orjson.dumps({"ready": True, "url": f"http://{given.host}:{port}"}).decode(), flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> int:
    given = _arguments()
    try:
        run(_serve(given))
    except (JournalInUseError, OSError) as problem:
        print(f"stripe sandbox: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
