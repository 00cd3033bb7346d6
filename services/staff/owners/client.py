"""Requests to the owners, for a caller of staff's API: each with an assertion of who that is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

import structlog

from shared.settings import name_of
from shared.shell.http.assertions import Assertions, RequestHead
from shared.shell.http.outbound import NoResponse, Outbound, OutboundError, Response
from shared.shell.http.principals import Principal
from shared.shell.http.problems import ProblemResponse, bad_request
from shared.shell.observability.tracing import CURRENT

TIMEOUT = 25.0
"""Seconds. An owner says itself after 20 that it could not commit in time."""
MOST = 4_000_000
"""Bytes of an answer."""
RETRY_AFTER = 5
TARGET = re.compile(r"/(?:[A-Za-z0-9._~:/?@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})*")
"""Path and query that are sent and signed byte by byte (RFC 3986)."""
DOTS = re.compile(r"(?:\.|%2[Ee]){1,2}")
PROBLEM = "application/problem+json"
log = structlog.get_logger(__name__)


class Owners:
    """`urls`: by service; None: not told. `close()` it."""

    def __init__(self, urls: Mapping[str, str | None], assertions: Assertions | None) -> None:
        self.urls, self._assertions = dict(urls), assertions
        self._outbound = Outbound(private=True, connections=200, per_host=100, most=MOST)

    async def send(
        self, caller: Principal, owner: str, head: RequestHead, body: bytes = b"", *, timeout: float = TIMEOUT
    ) -> Response:
        """What the owner answers, also where it refuses. `caller`: with what they may do for this request. Raises
        ProblemResponse where there is no answer of the owner."""
        url = self.urls.get(owner)
        if url is None or self._assertions is None:
            setting = name_of(("staff", f"{owner}_url"))
            raise _unreachable(f"This staff service does not know where {owner} is. Set {setting}.")
        check_target(head.target)
        headers = {
            "Authorization": self._assertions.make(caller, owner, head, body),
            "Content-Type": head.media,
            "Idempotency-Key": head.idempotency_key,
            "traceparent": CURRENT.get(),
        }
        given = {name: value for name, value in headers.items() if value}
        try:
            answer = await self._outbound.request(
                head.method, url.rstrip("/") + head.target, body or None, given, timeout=timeout
            )
        except NoResponse as trouble:
            log.warning("an owner did not answer", owner=owner, error=str(trouble))
            raise _unreachable(
                f"{owner} did not answer in time, and may have done it. Repeat the request, with the same "
                "Idempotency-Key if it has one: then it is done once."
            ) from None
        except OutboundError as trouble:
            log.warning("an owner cannot be reached", owner=owner, error=str(trouble))
            raise _unreachable(f"{owner} cannot be reached. Nothing was done. Repeat the request.") from None
        return _from_owner(owner, answer)

    async def close(self) -> None:
        await self._outbound.close()


def check_target(target: str) -> None:
    """Raises ProblemResponse for one that could be read in another way than it was signed."""
    path = target.partition("?")[0]
    if not TARGET.fullmatch(target) or any(DOTS.fullmatch(part) for part in path.split("/")):
        raise bad_request("The path or the query has characters that must be percent-encoded, or names no id.")


def media_of(answer: Response) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _from_owner(owner: str, answer: Response) -> Response:
    """Raises ProblemResponse for an answer that is not the owner's, or that tells of what staff does wrong."""
    if answer.status == HTTPStatus.UNAUTHORIZED:
        log.error("an owner does not know the assertions of staff", owner=owner)
        raise _unreachable(
            f"{owner} does not accept what this staff service signs. Nothing was done. Set the same "
            f"{name_of(('assertion_keys',))} for both, and their clocks."
        )
    redirects = HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST
    fails = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and media_of(answer) != PROBLEM
    if (redirects and answer.status != HTTPStatus.NOT_MODIFIED) or fails:
        log.error("not the owner answered", owner=owner, status=answer.status)
        raise _unreachable(
            f"What answers for {owner} is not {owner} (HTTP {answer.status}). Correct its address, or repeat the "
            "request, with the same Idempotency-Key if it has one."
        )
    return answer


def _unreachable(title: str) -> ProblemResponse:
    return ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, title, "unreachable", retry_after=RETRY_AFTER)
