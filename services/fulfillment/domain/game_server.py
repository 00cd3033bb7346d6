"""A store's game servers: how they are reached, and whether they are. Tested after each change, on request, and again
while they fail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.fulfillment.domain.rcon_operations import CheckServer, RetestServer
from shared.contracts.connections import ConfigureServer, TestServer
from shared.contracts.rcon import Game
from shared.core import Change, Context, Core, Decision, Refused
from shared.core.fast_dataclasses import replace
from shared.core.waits import growing_wait

FIRST_RETEST, LONGEST_RETEST = timedelta(minutes=1), timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Health:
    """The latest test. `text`: what the server said, or what to fix."""

    at: datetime
    """When it was tested."""
    ok: bool
    """It answered, and the login was accepted."""
    text: str
    """What the server said, or what to fix."""
    code: str = ""
    """Why the test failed, machine-readable; empty: it did not."""


@dataclass(frozen=True, slots=True)
class GameServer:
    """Key: `<store>/server/<id>`."""

    name: str
    game: Game
    host: str
    port: int
    password: str
    """The name of the store's secret."""
    health: Health | None = None
    """None: not tested yet since it was changed."""
    tests: int = 0
    """How many were begun."""
    failures: int = 0
    """Tests in a row that failed."""
    failing_since: datetime | None = None
    """Of the first of them."""

    @property
    def is_failing(self) -> bool:
        return self.health is not None and not self.health.ok


def server_name(server: str) -> str:
    """The key after the store."""
    return f"server/{server}"


servers = Core(
    GameServer, missing=Refused("unknown_server", "The store has no game server of this name. Configure it first.")
)


@servers.begins(ConfigureServer)
def configured(server: GameServer | None, command: ConfigureServer, context: Context) -> Decision[GameServer] | Refused:
    store, _, rest = context.key.partition("/")
    name = rest.removeprefix("server/")
    if not store or not name or name == rest or "/" in name:
        return Refused("wrong_key", "The key must be <store>/server/<id>.")
    tests = server.tests if server else 0
    latest = GameServer(command.name, command.game, command.host, command.port, command.password, tests=tests)
    return _tested(latest, context)


@servers.on(TestServer)
def test_requested(server: GameServer, command: TestServer, context: Context) -> Decision[GameServer]:
    return _tested(server, context)


@servers.on(RetestServer)
def retest_due(server: GameServer, message: RetestServer, context: Context) -> Decision[GameServer]:
    return _tested(server, context) if server.is_failing else Decision(server)


def _tested(server: GameServer, context: Context) -> Decision[GameServer]:
    server = replace(server, tests=server.tests + 1)
    check = CheckServer(context.key, server.tests, server.game, server.host, server.port, server.password)
    return Decision(server, operations=[check])


@servers.answers(CheckServer.Done)
def answered(
    server: GameServer, check: CheckServer, outcome: CheckServer.Done, context: Context
) -> Decision[GameServer]:
    if check.number != server.tests:
        return Decision(server)
    health = Health(context.at, True, outcome.text[:1000])
    return Decision(replace(server, health=health, failures=0, failing_since=None), cancel=[RetestServer])


@servers.answers(CheckServer.Failed, CheckServer.Unresolved)
def failed(
    server: GameServer,
    check: CheckServer,
    outcome: CheckServer.Failed | CheckServer.Unresolved,
    context: Context,
) -> Decision[GameServer]:
    if check.number != server.tests:
        return Decision(server)
    change = Change(server, context)
    code = outcome.code if isinstance(outcome, CheckServer.Failed) else "unresolved"
    failures = server.failures + 1
    health = Health(context.at, False, outcome.text[:2000], code[:200])
    change.set(health=health, failures=failures, failing_since=server.failing_since or context.at)
    change.timer(context.at + growing_wait(FIRST_RETEST, LONGEST_RETEST, failures), RetestServer())
    return change.decision()
