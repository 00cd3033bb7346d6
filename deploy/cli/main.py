"""The command line: `orderbus --help`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer.completion

from deploy.cli.commands import COMMANDS
from deploy.cli.errors import UsageError
from deploy.cli.group import group_of
from shared.errors import ReportedError

program = group_of(COMMANDS)
NAME, COMPLETES = "orderbus", "_ORDERBUS_COMPLETE"


def main() -> None:
    if COMPLETES in os.environ:  # a shell asks what fits
        shells: Any = typer.completion
        shells.get_completion_inspect_parameters()  # makes Typer know them
    try:
        check_text(sys.argv[1:])
        program.main()
    except ReportedError as error:
        _exit(error)
    except BaseExceptionGroup as errors:
        reported, others = errors.split(ReportedError)
        if reported is None or others is not None:
            raise
        _exit(_first(reported))


def check_text(arguments: Sequence[str]) -> None:
    """Raises UsageError for what is no UTF-8: no name, reason or file can be sent so."""
    for argument in arguments:
        if not argument.isascii() and any("\ud800" <= c <= "\udfff" for c in argument):
            raise UsageError(f"{argument!a} is not valid UTF-8.")


def _first(errors: BaseExceptionGroup[ReportedError]) -> ReportedError:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _exit(error: ReportedError) -> None:
    print(error, file=sys.stderr, flush=True)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
