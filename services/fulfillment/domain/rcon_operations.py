"""The calls to game servers, and the timers by which they are tried again."""

from __future__ import annotations

from datetime import timedelta

from services.fulfillment.domain.delivery import UNKNOWN_SERVER
from shared.contracts.fulfillment import ItemDelivered
from shared.contracts.rcon import Game
from shared.core import FailedOutcome, Operation, Outcome, TimerMessage

SERVER_OFFLINE = "server_offline"
PLAYER_OFFLINE = "player_offline"
WRONG_PASSWORD = "wrong_password"  # noqa: S105  (a code, not a password)
NO_PASSWORD = "no_password"  # noqa: S105
ADDRESS_REFUSED = "address_refused"
NOT_NEEDED = "not_needed"
"""It was cancelled, settled or requested again meanwhile."""
TRIED_AGAIN = (SERVER_OFFLINE, PLAYER_OFFLINE, WRONG_PASSWORD, NO_PASSWORD, ADDRESS_REFUSED, UNKNOWN_SERVER)
"""Nothing was sent to the console, and it may be possible later, when the text's remedy has been followed."""


class RconOperation(Operation, timeout=75.0, longest_retry=600.0, give_up_after=timedelta(hours=2)):
    """Commands for a game server's console. What is sent is made of the templates and fields where the server's game is
    known: at the call."""

    server: str
    """Key: `<store>/server/<id>`."""
    order: str
    item: str
    commands: tuple[str, ...]
    """Templates."""
    fields: tuple[tuple[str, str], ...]
    """Those that the templates need, by name."""
    number: int
    """Of the item's calls. An earlier one is not made any more."""
    player: str = ""
    """Who must be online."""

    def destination(self) -> str:
        return server_destination(self.server)

    def about(self) -> str:
        return self.item

    class Done(Outcome):
        said: tuple[str, ...] = ()
        """The server, to each command, shortened."""

    class Failed(FailedOutcome):
        carried_out: int = 0
        """How many commands were, before the one that was refused."""


class RunCommands(RconOperation):
    """What must not be run twice: a call that broke off is not repeated."""


class RunRepeatableCommands(RconOperation, safe_to_repeat=True):
    pass


class RevokeByCommands(RconOperation, give_up_after=timedelta(days=3)):
    """It waits by itself for a server that is offline."""


class RevokeByRepeatableCommands(RconOperation, safe_to_repeat=True, give_up_after=timedelta(days=3)):
    pass


def told_before(call: RconOperation, fact: ItemDelivered) -> RconOperation.Done | None:
    """Before the database was restored: a console has no records of what was run."""
    is_same = (fact.execution or fact.item) == call.item and fact.instructions.kind == "manual"
    return type(call).Done() if is_same else None


GRANTS = (RunCommands, RunRepeatableCommands)
REVOCATIONS = (RevokeByCommands, RevokeByRepeatableCommands)


class CheckServer(Operation, safe_to_repeat=True, timeout=30.0, give_up_after=timedelta(minutes=2)):
    """Connect to a game server, log in and ask who is online."""

    server: str
    """Key."""
    number: int
    """Of its tests."""
    game: Game
    host: str
    port: int
    password: str
    """The secret's name."""

    def destination(self) -> str:
        """Not held up by what holds up the deliveries: it says why."""
        return f"test of {server_destination(self.server)}"

    class Done(Outcome):
        text: str


class TryAgain(TimerMessage):
    """Time to try again what waits for what is outside."""

    item: str

    def about(self) -> str:
        return self.item


class RetestServer(TimerMessage):
    """Time to look at a game server again that failed its test."""


def server_destination(key: str) -> str:
    store, _, server = key.partition("/server/")
    return f"game server {store}/{server}"
