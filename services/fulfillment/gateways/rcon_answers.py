"""What game servers answer: who is online, and that a command was refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import orjson

from services.fulfillment.gateways.shown_answers import bare
from shared.contracts.rcon import Game

ASKED: Mapping[Game, str] = {"minecraft": "list", "source": "status", "rust": "playerlist"}
"""The command that says who is online."""
KEPT = 300
"""Characters of an answer."""
_COLOURS = re.compile("§.")
_REFUSALS: Mapping[Game, tuple[str, ...]] = {
    "minecraft": (
        "unknown or incomplete command",
        "unknown command",
        "incorrect argument for command",
        "expected whitespace to end one argument",
        "no player was found",
        "that player does not exist",
        "player not found",
        "no entity was found",
        "an unexpected error occurred",
    ),
    "source": ("unknown command",),
    "rust": ("command '", "unknown command", "player not found", "couldn't find player", "invalid player"),
}
"""How answers begin that say that a command was not carried out, in small letters."""


def without_password(answer: str, password: str) -> str:
    """Nothing but stars, where only colours or characters that cannot be seen are between the password's own."""
    hidden = answer.replace(password, "***")
    return "***" if bare(password, " ") in bare(_COLOURS.sub("", hidden), " ") else hidden


def shortened(answer: str) -> str:
    """One line, as it is kept and shown."""
    printable = "".join(c if c.isprintable() else " " for c in _COLOURS.sub("", answer))
    return " ".join(printable.split())[:KEPT]


def is_refusal(answer: str, game: Game) -> bool:
    text = shortened(answer).lower()
    if game == "rust" and text.startswith("command '"):
        return text.endswith("not found")
    return text.startswith(_REFUSALS[game])


def is_online(player: str, answer: str, game: Game) -> bool:
    """By name or, where the game has it, Steam id."""
    wanted = player.strip().casefold()
    return any(name.casefold() == wanted for name in _online(answer, game))


def _online(answer: str, game: Game) -> Iterator[str]:
    if game == "minecraft":
        yield from _of_list(answer)
    elif game == "rust":
        yield from _of_playerlist(answer)
    else:
        yield from _of_status(answer)


def _of_list(answer: str) -> Iterator[str]:
    """`There are 2 of a max of 20 players online: Ada, Bob`; plugins add lines by group and marks in brackets."""
    for line in _COLOURS.sub("", answer).splitlines():
        _, colon, names = line.partition(":")
        if colon:
            yield from (word for word in re.split(r"[,\s]+", names) if word)


def _of_status(answer: str) -> Iterator[str]:
    """`#  2 1 "Ada" STEAM_1:0:123 05:12 …`, of Source and of Rust."""
    for line in answer.splitlines():
        if found := re.search(r'"(.*)"', line):
            yield found[1]
            before, after = line[: found.start()].split(), line[found.end() :].split()
            yield from before[-1:]
            yield from after[:1]


def _of_playerlist(answer: str) -> Iterator[str]:
    try:
        players = orjson.loads(answer)
    except ValueError:
        yield from _of_status(answer)
        return
    for player in players if isinstance(players, list) else ():
        if isinstance(player, dict):
            yield from (str(player[name]) for name in ("SteamID", "DisplayName") if player.get(name))
