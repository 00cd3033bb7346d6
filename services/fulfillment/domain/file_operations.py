"""The call for a file that staff attached to an item."""

from __future__ import annotations

from datetime import datetime

from shared.core import Operation, Outcome


class SignFile(Operation, safe_to_repeat=True, give_up_after=None):
    """Make a link to a file that staff attached to an item. No other system is called."""

    order: str
    item: str
    file: str
    expires: datetime

    def about(self) -> str:
        return f"{self.item} {self.file}"

    class Done(Outcome):
        link: str
