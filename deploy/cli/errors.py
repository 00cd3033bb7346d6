"""How a command fails: the text says what is wrong and what to do.

ReportedError
└── Failure            exit code 1, or the one given
    └── UsageError     exit code 64: the arguments are wrong, or there is nothing to work on
"""

from __future__ import annotations

from shared.errors import ReportedError


class Failure(ReportedError):
    def __init__(self, text: str, exit_code: int | None = None) -> None:
        super().__init__(text)
        if exit_code is not None:
            self.exit_code = exit_code


class UsageError(Failure):
    exit_code = 64
    """EX_USAGE of sysexits.h; no command uses it for a result of its work."""
