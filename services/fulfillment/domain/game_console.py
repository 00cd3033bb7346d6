"""Commands for a game server's console, with what customers wrote put in so that it can never be more than an argument.

| | separates commands | separates arguments | within `"…"` |
|---|---|---|---|
| Source | line breaks, `;` outside quotes | blanks, and `{}()':` outside quotes | all but `"` stands for itself |
| Rust | line breaks | blanks; `"…"` or `'…'` where one begins | `\\"` is a quote |
| Minecraft | line breaks | blanks; `@a` selects players | `\\"` and `\\\\` are escapes, as in its JSON |

Minecraft reads selectors (`@a`, `@e[…]`) also within what `say`, `tell` or `kick` are given, whether quoted or not, and
SourceMod's commands read `@all` and `#5` as players. So in Minecraft no value has `@` before a letter or at its end,
nor follows one, and in Source none begins with `@` or `#`.

So outside quotes a value has letters, digits, `_`, `.`, `+` and `-` only. Within them it is printable; quotes and
backslashes are escaped in Minecraft, unless the template has escapes of its own there, and are refused elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from shared.contracts.rcon import Game
from shared.contracts.templates import CUSTOM, fill, placeholders

LONGEST: Mapping[Game, int] = {"minecraft": 1446, "source": 510, "rust": 1000}
"""Bytes. Minecraft reads requests of 1460 bytes, 14 of which are the packet's own; Source drops longer lines."""
_MARK = "\0"
_OPENING = " [{(,:="
"""Before a quote that begins a text in Minecraft's JSON and NBT."""
_SELECTING: Mapping[Game, re.Pattern[str]] = {
    "minecraft": re.compile(r"@([^\W\d_]|$)"),
    "source": re.compile(r"^[@#]"),
}
_ANY = re.compile("")
_PLAIN = re.compile(r"[\w.+][\w.+-]*")


class UnsafeField(Exception):
    """A field's value cannot be put into a command. `name`: of the field."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class CommandTooLong(Exception):
    """With the fields of this order. `command`: its literal beginning."""

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.command = command


class _Place(NamedTuple):
    """Where a placeholder stands. `quote`: that it is in; empty outside, and where programs could see it otherwise."""

    quote: str = ""
    escapes: bool = False
    """A quote can be escaped there."""
    selecting: re.Pattern[str] | None = None
    """What a value must not have, since it would select players or entities."""


def console_commands(templates: tuple[str, ...], fields: Mapping[str, str], game: Game) -> tuple[str, ...]:
    """The commands as they are sent. Raises UnsafeField, CommandTooLong and `MissingFields`."""
    return tuple(_filled(template, fields, game) for template in templates)


def _filled(template: str, fields: Mapping[str, str], game: Game) -> str:
    names: list[str] = []

    def mark(name: str) -> str:
        names.append(name)
        return _MARK

    skeleton = fill(template, {name: name for name in placeholders(template)}, mark)
    places = zip(names, _places(skeleton, game), strict=True)

    def escaped(value: str) -> str:
        name, place = next(places)
        safe = _escaped(value, place)
        if safe is None:
            raise UnsafeField(name)
        return safe

    command = fill(template, fields, escaped)
    if len(command.encode()) > LONGEST[game]:
        raise CommandTooLong(skeleton.partition(_MARK)[0].strip())
    return command


def _places(skeleton: str, game: Game) -> list[_Place]:
    """Of the placeholders, in order."""
    places: list[_Place] = []
    quote, sure, escape, plain, before = "", True, False, True, " "
    for character in skeleton:
        if character == _MARK:
            selecting = _ANY if before == "@" and game == "minecraft" else _SELECTING.get(game)
            places.append(_Place(quote if sure else "", game == "minecraft" and quote == '"' and plain, selecting))
        elif escape:
            escape = False
        elif quote and character == "\\" and game != "source":
            escape, plain = True, False
        elif quote:
            quote = "" if character == quote else quote
        elif character == '"' or (character == "'" and _opens(before, game)):
            quote, sure, plain = character, _opens(before, game), True
        before = character
    return places


def _opens(before: str, game: Game) -> bool:
    """Whether a quote after this begins an argument, or a text within one."""
    if game == "source":
        return before == " "
    return before in (_OPENING if game == "minecraft" else " ")


def _escaped(value: str, place: _Place) -> str | None:
    """None where it could be more than an argument, or be read as other characters."""
    alike = unicodedata.normalize("NFKC", value)
    if place.selecting and (place.selecting.search(value) or place.selecting.search(alike)):
        return None
    if not place.quote:
        return value if _PLAIN.fullmatch(value) and _PLAIN.fullmatch(alike) else None
    if not value.isprintable() or not alike.isprintable():
        return None
    if place.escapes and value == alike:
        return value.replace("\\", "\\\\").replace('"', '\\"')
    return None if any(character in "\"'\\" for character in value + alike) else value


def unsafe_text(name: str, game: Game) -> str:
    """For staff: what to fix."""
    named = f"custom field {name.removeprefix(CUSTOM)}" if name.startswith(CUSTOM) else name
    how = "in quotes" if game != "minecraft" else "in quotes, if the command takes text there"
    selectors = {"minecraft": " or select players (@ before a letter)", "source": " or select players (@ or # first)"}
    could = f"could change the command{selectors.get(game, '')}"
    return (
        f"The value of {named} has characters that {could}: nothing was sent. Do it by hand and "
        f"settle the item as delivered; or put the placeholder {how}, and retry with the latest configuration."
    )
