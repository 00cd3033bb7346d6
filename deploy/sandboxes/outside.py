"""The outside systems of the embedded stack, in one process and on one HTTP port: SMTP server, webhook receiver, course
platform, Discord server. Each of their modules lists its routes. `python -m deploy.sandboxes.outside`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.sandboxes.courses import CoursePlatform
from deploy.sandboxes.discord import DiscordServer
from deploy.sandboxes.mailbox import Mailbox
from deploy.sandboxes.rcon import GameServer
from deploy.sandboxes.server import LOOPBACK, application, arguments_of, serve, token_of
from deploy.sandboxes.smtp import SmtpSink
from deploy.sandboxes.webhooks import Hooks
from shared.shell.event_loop import run


def main() -> None:
    parser = arguments_of(
        "deploy.sandboxes.outside",
        "Mail, webhook receiver, course platform, Discord and game server in one process.",
    )
    parser.add_argument("--smtp-port", type=int, default=2525, help="port for mail (default: %(default)s)")
    parser.add_argument("--rcon-port", type=int, default=0, help="port of the game server (default: a free one)")
    given = parser.parse_args()
    token, mailbox, games = token_of(parser), Mailbox(given.data), GameServer(given.data)
    app = application(token, [mailbox, Hooks(given.data), CoursePlatform(given.data), DiscordServer(given.data), games])
    run(serve(app, given.http_port, listening(mailbox, games, given.smtp_port, given.rcon_port)))


@asynccontextmanager
async def listening(mailbox: Mailbox, games: GameServer, smtp_port: int, rcon_port: int) -> AsyncIterator[None]:
    """What speaks something else than HTTP."""
    async with SmtpSink(mailbox).listening(LOOPBACK, smtp_port), games.listening(rcon_port):
        yield


if __name__ == "__main__":
    main()
