"""Commands that import their modules when they are called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from deploy.cli.commands import Command, Group, Section
from deploy.cli.errors import UsageError


def group_of(sections: Sequence[Section]) -> SectionedGroup:
    """The whole program."""
    return SectionedGroup(
        sections,
        name="orderbus",
        help="The order back end of a store as message-driven services on Kafka and PostgreSQL.",
    )


WrongArguments: Any = typer.BadParameter.__base__
"""What Typer raises for every kind of wrong arguments; it has no public name for it."""


class SectionedGroup(TyperGroup):
    """A group that lists its commands under headings, and whose wrong arguments have our exit code and words."""

    def __init__(self, sections: Sequence[Section], name: str, help: str) -> None:
        commands = [_placeholder(entry) for section in sections for entry in section.commands]
        super().__init__(name=name, help=help, commands=commands, no_args_is_help=True, rich_markup_mode=None)
        self._sections = sections

    def make_context(self, *args: Any, **extra: Any) -> Any:
        with _wrong_arguments():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        with _wrong_arguments():
            return super().invoke(ctx)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, self.commands))
        for section in self._sections:
            with formatter.section(section.title):
                formatter.write_dl([(f"{entry.name:<{width}}", entry.help) for entry in section.commands])


@contextmanager
def _wrong_arguments() -> Iterator[None]:
    try:
        yield
    except WrongArguments as wrong:
        wrong.exit_code = UsageError.exit_code
        _reword(wrong)
        raise


def _reword(wrong: Any) -> None:
    """Not the words of the library that reads the arguments."""
    if wrong.__cause__ is None:
        return
    from pydantic import ValidationError  # noqa: PLC0415  # the help, the completion and a misspelt name do without

    from shared.contracts.problems import listed, problems_of  # noqa: PLC0415

    if isinstance(wrong.__cause__, ValidationError):
        wrong.message = listed(problems_of(wrong.__cause__))


class PlainCommand(TyperCommand):
    """Its usage names an argument as the list of its arguments does: ORDER, not {ORDER}."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [re.sub(r"^{(.*?)}", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]


class Placeholder(TyperCommand):
    """Stands for a command in its group's list. Called, it loads the command and hands over to it."""

    def __init__(self, entry: Command) -> None:
        super().__init__(entry.name, help=entry.help, rich_markup_mode=None)
        self.entry = entry

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return loaded(self.entry).make_context(info_name, args, parent, **extra)


def _placeholder(entry: Command | Group) -> TyperCommand | TyperGroup:
    if isinstance(entry, Command):
        return Placeholder(entry)
    commands = [Placeholder(one) for one in entry.commands]
    return TyperGroup(name=entry.name, help=entry.help, commands=commands, no_args_is_help=True, rich_markup_mode=None)


def loaded(entry: Command) -> Any:
    """Import the command. Raises UsageError where this installation does not have it."""
    module, _, function = entry.function.partition(":")
    try:
        found = getattr(import_module(f"deploy.cli.{module}"), function)
    except ModuleNotFoundError as missing:
        raise UsageError(
            f"`orderbus {entry.name}` is not part of this installation (no module {missing.name}): run it from a clone."
        ) from missing
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(entry.name, cls=PlainCommand)(found)
    return typer.main.get_command(app)
