"""Download links (`<public_url>/downloads/<signed token>`): valid until they expire, dead when the item is revoked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from services.fulfillment.domain.file_operations import SignFile
from services.fulfillment.domain.operations import SignDownload
from shared.core import NoOutcome, NotDone, Outcome
from shared.shell.signed_tokens import SignedTokens


class BadLink(Exception):
    """The link was not made here, or was changed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a link says: which item of which order, and until when."""

    order: str
    item: str
    expires: datetime
    file: str = ""
    """One that staff attached to the item; empty: what was bought."""


class Links:
    """Makes and reads links. A gateway of `SignDownload` and `SignFile`; nothing leaves the process."""

    def __init__(self, secret: str, public_url: str) -> None:
        self._tokens = SignedTokens(secret, "download")
        self._root = public_url.rstrip("/")

    def url(self, claim: Claim) -> str:
        content = {"o": claim.order, "i": claim.item, "e": int(claim.expires.timestamp())} | (
            {"f": claim.file} if claim.file else {}
        )
        return f"{self._root}/downloads/{self._tokens.make(content)}"

    def read(self, token: str) -> Claim:
        """Raises BadLink. The caller checks whether it has expired or is revoked."""
        try:
            content = self._tokens.read(token)
            return Claim(content["o"], content["i"], datetime.fromtimestamp(content["e"], UTC), content.get("f", ""))
        except (ValueError, KeyError, TypeError) as wrong:
            raise BadLink from wrong

    async def perform(self, operation: SignDownload | SignFile, key: str) -> Outcome | NoOutcome:
        if isinstance(operation, SignFile):
            claim = Claim(operation.order, operation.item, operation.expires, operation.file)
            return SignFile.Done(self.url(claim))
        return SignDownload.Done(self.url(Claim(operation.order, operation.item, operation.expires)))

    async def find(self, operation: SignDownload | SignFile, key: str) -> Outcome | NotDone | NoOutcome:
        return NotDone()
