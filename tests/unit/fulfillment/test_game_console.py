"""Commands for game servers: whatever customers write, exactly the commands that staff configured are sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.fulfillment.domain.game_console import LONGEST, CommandTooLong, UnsafeField, console_commands
from shared.contracts.rcon import Game, RconCommands
from shared.contracts.templates import MissingFields

GAMES: tuple[Game, ...] = ("minecraft", "source", "rust")
NASTY = [
    *(
        "a;quit",
        'a";quit;"',
        "a\nop eve",
        "a\r\nop eve",
        "a\0quit",
        "\\",
        '\\"',
        'x\\";quit',
        "a b",
        "@a",
        "@e[type=!x]",
    ),
    *(
        "`id`",
        "$(id)",
        "%x%",
        "{x}",
        "'",
        "''",
        "'; quit",
        "a\u2028op eve",
        "a\x85op eve",
        "＂;quit",
        "；quit",
        "＼",
        "\ud800",
    ),
    *(
        '"',
        '""',
        "a\tb",
        "-x",
        "--all",
        "*",
        "~",
        "#tag",
        "//x",
        "a:b",
        "(a)",
        "\u202equit",
        "\u00a0x",
        "a\vquit",
        "a\fquit",
    ),
    *(
        '","clickEvent":{"action":"run_command","value":"/op eve"},"x":"',
        "\x1b[2J",
        "\x7f",
        "x" * 3000,
        "é" * 700,
        "𝐀;",
    ),
]
FIELD = "custom.player"
TEMPLATES = (
    ("give {{custom.player}} diamond 1", ["give", None, "diamond", "1"]),
    ('say "{{custom.player}}" hello', ["say", None, "hello"]),
    ("lp user {{custom.player}} parent add {{custom.player}}", ["lp", "user", None, "parent", "add", None]),
    ('kick "id {{custom.player}} of" {{custom.player}}', ["kick", ("id ", " of"), None]),
)


def fields(value: str) -> dict[str, str]:
    return {FIELD: value}


def parsed(line: str, game: Game) -> list[list[str]]:
    """As the game's console reads a line: commands, each of its arguments. Written apart from what is tested."""
    commands: list[list[str]] = []
    for part in _commands(line, game):
        commands.append(_arguments(part, game))
    return commands


def _commands(line: str, game: Game) -> Iterator[str]:
    current, quoted = "", False
    for character in line:
        if character == '"' and game == "source":
            quoted = not quoted
        if character in "\n\r\0\v\f\x85\u2028\u2029" or (character == ";" and game == "source" and not quoted):
            yield current
            current, quoted = "", False
        else:
            current += character
    yield current


def _arguments(line: str, game: Game) -> list[str]:
    found: list[str] = []
    at = 0
    while at < len(line):
        character = line[at]
        if character.isspace():
            at += 1
        elif character == '"' or (character == "'" and game != "source"):
            text, at = _quoted(line, at + 1, character, game)
            found.append(text)
        elif game == "source" and character in "{}()':":
            found.append(character)
            at += 1
        else:
            end = at
            while end < len(line) and not line[end].isspace() and not (game == "source" and line[end] in "{}()':"):
                end += 1
            found.append(line[at:end])
            at = end
    return found


def _quoted(line: str, at: int, quote: str, game: Game) -> tuple[str, int]:
    text = ""
    while at < len(line) and line[at] != quote:
        if line[at] == "\\" and game != "source":
            at += 1
        text += line[at] if at < len(line) else ""
        at += 1
    return text, at + 1


def check_value(value: str) -> int:
    """Of one field value: each command is sent as it was configured, or not at all. Returns how many were sent."""
    sent = 0
    for game in GAMES:
        for template, expected in TEMPLATES:
            try:
                (command,) = console_commands((template,), fields(value), game)
            except (UnsafeField, CommandTooLong, MissingFields):
                continue
            sent += 1
            assert len(command.encode()) <= LONGEST[game]
            (arguments,) = parsed(command, game)
            assert len(arguments) == len(expected), (game, template, value, command)
            for argument, literal in zip(arguments, expected, strict=True):
                if literal is None:
                    assert argument == value
                elif isinstance(literal, tuple):
                    assert argument == f"{literal[0]}{value}{literal[1]}"
                else:
                    assert argument == literal
    return sent


@pytest.mark.parametrize("value", NASTY)
def test_no_field_can_add_a_command_or_an_argument(value: str) -> None:
    check_value(value)


DANGEROUS = st.sampled_from([*NASTY, *";\n\r\"'\\ \t\0@${}[]()%&|<>`", "quit", "op", "Ada", "٣", "é"])
HOSTILE = st.one_of(st.text(max_size=40), st.lists(DANGEROUS, max_size=8).map("".join))


@settings(max_examples=10_000, deadline=None)
@given(HOSTILE)
@example("Ada_99")
def test_ten_thousand_hostile_values_send_exactly_the_commands_that_were_configured(value: str) -> None:
    check_value(value)


@pytest.mark.parametrize("value", ["Ada", "ada_lovelace", ".Ada99", "76561198000000000", "Ωmega", "a-b"])
def test_ordinary_names_are_sent_as_they_are(value: str) -> None:
    assert check_value(value) == len(GAMES) * len(TEMPLATES)


@pytest.mark.parametrize("game", GAMES)
def test_a_value_that_cannot_be_put_safely_is_refused_and_its_field_named(game: Game) -> None:
    with pytest.raises(UnsafeField) as refused:
        console_commands(("give {{custom.player}} x",), fields("Ada Lovelace"), game)
    assert refused.value.name == FIELD
    assert console_commands(('give "{{custom.player}}" x',), fields("Ada; Lovelace"), game) == (
        'give "Ada; Lovelace" x',
    )


def test_minecraft_escapes_quotes_in_its_texts_but_not_within_texts_of_texts() -> None:
    template = 'tellraw @a {"text":"Hi {{custom.player}}!"}'
    sent = console_commands((template,), fields('A "B" \\ C'), "minecraft")
    assert sent == ('tellraw @a {"text":"Hi A \\"B\\" \\\\ C!"}',)

    nested = r'give Ada book{pages:["{\"text\":\"{{custom.player}}\"}"]}'
    with pytest.raises(UnsafeField):
        console_commands((nested,), fields('","clickEvent":"'), "minecraft")
    assert len(console_commands((nested,), fields("Ada"), "minecraft")) == 1


SELECTING = [
    *(("minecraft", value) for value in ("@a", "@e[type=cow]", "hi @p!", "ada@example.org", "ends with @", "＠a")),
    *(("source", value) for value in ("@all", "#12", "＠all")),
]


@pytest.mark.parametrize(("game", "value"), SELECTING)
def test_no_value_selects_players_or_entities(game: Game, value: str) -> None:
    for template in ('say "{{custom.player}}"', 'tellraw Ada {"text":"{{custom.player}}"}', "say {{custom.player}}"):
        with pytest.raises(UnsafeField):
            console_commands((template,), fields(value), game)


def test_what_selects_nothing_is_sent_and_an_at_sign_of_the_template_selects_by_no_field() -> None:
    for value in ("at 5 @ noon", "@ 5", "#1"):
        assert console_commands(('say "{{custom.player}}"',), fields(value), "minecraft") == (f'say "{value}"',)
    assert console_commands(('say "id {{custom.player}}"',), fields("x @all"), "source") == ('say "id x @all"',)
    for template in ('say "Thanks, @{{custom.player}}"', "kill @{{custom.player}}"):
        with pytest.raises(UnsafeField):
            console_commands((template,), fields("e"), "minecraft")


@pytest.mark.parametrize("game", ["source", "rust"])
def test_a_quote_within_a_word_is_not_relied_on(game: Game) -> None:
    with pytest.raises(UnsafeField):
        console_commands(('say x"{{custom.player}}"',), fields("a b"), game)


def test_what_a_field_holds_is_never_read_as_a_template() -> None:
    with pytest.raises(UnsafeField):
        console_commands(("say {{custom.player}}",), fields("{{customer.email}}"), "minecraft")


@pytest.mark.parametrize(
    "command", ["", " give x", "{{custom.player}} x", "give\nquit", "x{{custom.player}} y", "say \0"]
)
def test_a_command_is_one_line_that_begins_with_its_name(command: str) -> None:
    with pytest.raises(ValidationError):
        RconCommands(server="s", commands=(command,))
