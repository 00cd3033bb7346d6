"""The outside systems of the embedded stack, in one process and on one HTTP port: SMTP server, webhook receiver, course
platform, Discord server. Each of their modules lists its routes. `python -m deploy.sandboxes.outside`."""

from __future__ import annotations

from deploy.sandboxes.courses import CoursePlatform
from deploy.sandboxes.discord import DiscordServer
from deploy.sandboxes.mailbox import Mailbox
from deploy.sandboxes.server import LOOPBACK, application, arguments_of, serve, token_of
from deploy.sandboxes.smtp import SmtpSink
from deploy.sandboxes.webhooks import Hooks
from shared.shell.event_loop import run


def main() -> None:
    parser = arguments_of(
        "deploy.sandboxes.outside", "SMTP server, webhook receiver, course platform and Discord server in one process."
    )
    parser.add_argument("--smtp-port", type=int, default=2525, help="port for mail (default: %(default)s)")
    given = parser.parse_args()
    token, mailbox = token_of(parser), Mailbox(given.data)
    app = application(token, [mailbox, Hooks(given.data), CoursePlatform(given.data), DiscordServer(given.data)])
    run(serve(app, given.http_port, SmtpSink(mailbox).listening(LOOPBACK, given.smtp_port)))


if __name__ == "__main__":
    main()
