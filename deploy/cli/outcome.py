"""What is said when it is not known whether a command was carried out: where to look, and how to repeat it safely."""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploy.cli.errors import Failure, UsageError
from deploy.client.http import OutcomeUnknown

KEY = re.compile(r"[!-~]{1,150}")


@dataclass(frozen=True)
class Attempt:
    """One command, under its Idempotency-Key."""

    what: str
    """What may have happened: "the refund was made"."""
    look: str
    """The command that shows whether it was."""
    key: str = ""
    """Empty: the command may be repeated as it is."""
    options: Mapping[str, object] | None = None
    """The options by which a repetition is the same command, where they were not given."""

    @contextlib.contextmanager
    def reported(self) -> Iterator[None]:
        """Around the sending. Raises Failure if the outcome is unknown, because of Ctrl-C, too."""
        try:
            yield
        except OutcomeUnknown as unknown:
            raise self._unknown(unknown.reason) from unknown
        except asyncio.CancelledError:
            raise self._unknown("interrupted before the answer came.") from None

    def _unknown(self, reason: str) -> Failure:
        key = {"--idempotency-key": self.key} if self.key else {}
        options = " ".join(f"{name} {value}" for name, value in ({**(self.options or {}), **key}).items())
        repeat = f"repeat it with `{options}`: it then takes effect once" if options else "repeat it: that does no harm"
        text = f"It is not known whether {self.what}: {reason}\nLook at `{self.look}`, or {repeat}."
        return Failure(text, OutcomeUnknown.exit_code)


def new_key(given: str) -> str:
    """The Idempotency-Key of a command: the one given, or a new one. Raises UsageError."""
    if given and not KEY.fullmatch(given):
        raise UsageError("--idempotency-key is 1 to 150 characters of ASCII, without spaces.")
    return given or str(uuid.uuid4())
