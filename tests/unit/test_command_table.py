"""The command line without a running orderbus: what it loads, its help, its exit codes."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from deploy.cli import main as command_line
from deploy.cli import top
from deploy.cli.commands import COMMANDS, Command, Group, single
from deploy.cli.errors import Failure, UsageError
from deploy.cli.group import loaded
from shared.contracts import storefront
from shared.core import MESSAGES
from shared.settings import WrongSettings

HEAVY = {
    *("aiohttp", "aiokafka", "alembic", "asyncio", "asyncpg", "faust", "httpx", "opentelemetry", "orjson"),
    *("prometheus_client", "pydantic", "rich", "sqlalchemy", "stripe", "structlog"),
}
ENTRIES = [entry for section in COMMANDS for entry in section.commands]


def calls() -> list[tuple[str, Command]]:
    """Every command, by the words that call it."""
    found = []
    for entry in ENTRIES:
        group = f"{entry.name} " if isinstance(entry, Group) else ""
        found += [(f"{group}{command.name}", command) for command in single([entry])]
    return found


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "argv", ["orderbus", *arguments])
    with pytest.raises(SystemExit) as exit:
        command_line.main()
    return exit.value.code


def loaded_by(*arguments: str) -> list[str]:
    """The modules of a process that ran `orderbus` with these arguments."""
    program = (
        "import sys\nfrom deploy.cli.main import main\n"
        f"sys.argv = ['orderbus', *{arguments}]\n"
        "try: main()\nexcept SystemExit: print('modules:', *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.partition("modules:")[2].split()


def test_help_loads_nothing_heavy() -> None:
    assert {name.partition(".")[0] for name in loaded_by("--help")} & HEAVY == set()


@pytest.mark.parametrize("arguments", ["--help", "parked --help", "oders"])
def test_a_list_of_commands_loads_none_of_them(arguments: str) -> None:
    ours = {name for name in loaded_by(*arguments.split()) if name.startswith(("deploy.", "services.", "shared."))}
    itself = {f"deploy.cli.{name}" for name in ("main", "commands", "errors", "group")}
    assert ours == {"deploy.cli", "shared.errors", *itself}


@pytest.mark.parametrize(("words", "command"), calls())
def test_a_command_explains_itself_and_each_option_and_the_table_agrees(
    words: str, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words.split(), "--help"], monkeypatch) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: orderbus {words} ")
    itself = loaded(command)
    assert itself.help.splitlines()[0] == command.help
    assert command.help in shown
    assert [parameter.name for parameter in itself.params if not parameter.help] == []


@pytest.mark.parametrize("words", ["cancel", "publish", "delivery parcel-delivered", "lost", "replay", "order"])
def test_its_usage_names_arguments_as_they_are_named_below(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words.split(), "--help"], monkeypatch) == 0
    shown = capsys.readouterr().out
    assert "{" not in shown.partition("\n\n")[0] and "[[" not in shown


def test_the_help_of_publish_names_each_type_and_where_their_fields_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["publish", "--help"], monkeypatch) == 0
    shown = capsys.readouterr().out
    types = {kind.type for kind in MESSAGES.values() if kind.topic is storefront.CHECKOUTS}
    assert {name for name in types if name not in shown} == set()
    assert "docs/messages" in shown and "orderbus shop --cards" in " ".join(shown.split())


def test_the_help_of_top_explains_each_heading(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["top", "--help"], monkeypatch) == 0
    shown = capsys.readouterr().out
    for title in (*(title for title, *_ in top.COLUMNS), "MB"):
        assert re.search(rf"^ +{re.escape(title)}  +\w.* .*$", shown, re.MULTILINE), title


def test_a_line_of_help_is_never_cut() -> None:
    assert [entry.help for entry in (*ENTRIES, *single(ENTRIES)) if len(entry.help) > 58] == []


def test_names_are_used_once() -> None:
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("oders", "Did you mean 'orders', 'order', 'codes'?"),
        ("parked lst", "Did you mean 'list'?"),
        ("refund", "Missing argument 'ORDER'"),
        ("orders --limit none", "Invalid value for '--limit'"),
        ("lost", "Missing argument 'STORE'"),
        ("--loud", "No such option: --loud"),
        ("check --ful", "No such option: --ful"),
        ("check --since yesterday", "is not a time"),
        ("check --since 2099-01-01", "has yet to come"),
        ("check --since 1h --full", "Choose --since or --full"),
        ("check --since 1h --checkpoint x.db", "Choose --since or --checkpoint"),
    ],
)
def test_a_wrong_call_has_an_exit_code_that_no_result_has(
    arguments: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments.split(), monkeypatch) == 64
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Failure("What was wrong."), 1),
        (Failure("What was wrong.", 130), 130),
        (UsageError("What was wrong."), 64),
        (WrongSettings("What was wrong."), 2),
        (ExceptionGroup("", [ExceptionGroup("", [UsageError("What was wrong.")])]), 64),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_expected_error_is_its_text_and_its_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(command_line.program, "main", fail)
    assert run([], monkeypatch) == code
    assert capsys.readouterr().err == "What was wrong.\n"


@pytest.mark.parametrize("error", [ValueError(), ExceptionGroup("", [ValueError(), UsageError("What was wrong.")])])
def test_an_unexpected_error_is_shown_whole(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(command_line.program, "main", fail)
    with pytest.raises(type(error)):
        command_line.main()


def test_a_command_that_is_not_installed_says_so() -> None:
    with pytest.raises(UsageError, match="not part of this installation"):
        loaded(Command("kitchen", "kitchen:kitchen", "Cook."))
