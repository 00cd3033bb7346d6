"""What every call to Stripe needs: its turn, an answer for each failure, and keys under which it is made once."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp

from services.payments.gateways.limits import CircuitBreaker
from services.payments.gateways.stripe.api import METHODS, NoTurnError, StripeApi, UnreadError
from services.payments.gateways.stripe.errors import code_of, is_replayed, not_an_outcome
from services.payments.gateways.stripe.objects import Json
from services.payments.gateways.stripe.sdk import stripe
from services.payments.gateways.stripe.settings import StripeSettings
from shared.core import NoOutcome, NotDone, NotTried, OperatorFault, Outcome, Retry, Unknown
from shared.shell.operations.rate_limit import RateLimiter

Found = TypeVar("Found", bound=Outcome | NotDone | NotTried | Retry)
KEYS_PER_OPERATION = 3
CLOCKS_DIFFER = 300.0
"""Seconds by which the worker's clock and Stripe's may differ."""
DESCRIPTOR_LENGTH = 22
DESCRIPTOR_FORBIDDEN = str.maketrans("", "", "<>\\'\"*")


class StripeCalls(StripeApi):
    """`now` gives Unix seconds."""

    def __init__(
        self,
        settings: StripeSettings,
        *,
        limiter: RateLimiter | None = None,
        breaker: CircuitBreaker | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(settings, limiter)
        self._breaker = breaker or CircuitBreaker(clock=now)
        self.now = now

    async def guarded(
        self, refused: Callable[[stripe.StripeError], Outcome | NoOutcome], call: Callable[[], Awaitable[Found]]
    ) -> Found | Outcome | NoOutcome:
        """Make a call unless Stripe is down, and turn every failure into an answer. `refused` gives the answer if
        Stripe refused this very request."""
        if wait := self._breaker.wait():
            return NotTried("Stripe does not answer. Calls to it are paused.", after=wait)
        try:
            answer = await call()
        except NoTurnError as late:
            return NotTried("The call waits for its turn: Stripe limits the rate of calls.", after=late.seconds)
        except UnreadError as unread:
            self._note(unread.__cause__)
            return Unknown(f"{unread} was made under this key before, and cannot be read now.")
        except stripe.StripeError as error:
            self._note(error)
            return not_an_outcome(error) or refused(error)
        except (aiohttp.ClientError, TimeoutError, OSError) as lost:
            self._note(lost)
            return Unknown(f"The connection to Stripe was lost ({type(lost).__name__}).")
        if not isinstance(answer, NotTried):
            self._breaker.succeeded()
        return answer

    def _note(self, error: BaseException | None) -> None:
        """Whether Stripe answered. A request that waits for its turn was not made, which says nothing of Stripe."""
        if isinstance(error, NoTurnError):
            return
        status = error.http_status if isinstance(error, stripe.StripeError) else None
        if status is None or status == 0 or status >= 500:
            self._breaker.failed()
        else:
            self._breaker.succeeded()

    async def method_of(self, token: str, key: str) -> str:
        """The payment method of a card token, since an intent accepts no token. A token works once, hence the key."""

        card = {"type": "card", "card": {"token": token}}
        made = await self.make_once(METHODS, card, f"{key}.method", nothing_to_find)
        return str(made["id"])

    async def make_once(
        self, path: str, params: Mapping[str, Any], key: str, look_up: Callable[[], Awaitable[Json | None]]
    ) -> Json:
        """Make something under `key`. Where the answer does not say what was done (an old server error, or the key was
        used with other parameters: the first call has ended), look it up, and then call under the next key."""
        for number in range(1, KEYS_PER_OPERATION + 1):
            try:
                return await self.make(path, params, key if number == 1 else f"{key}.{number}")
            except (stripe.APIError, stripe.IdempotencyError) as error:
                silent = isinstance(error, stripe.IdempotencyError) or is_replayed(error.headers)
                if not silent or error.http_status == HTTPStatus.CONFLICT or number == KEYS_PER_OPERATION:
                    raise
                if found := await _found(look_up, error):
                    return found
        raise AssertionError("the last key's answer is returned or raised")


async def nothing_to_find() -> None:
    """What is not in any list of Stripe's is made again."""


async def looked_up(look_up: Callable[[], Awaitable[Outcome | NotDone]]) -> Outcome | NotDone | NotTried:
    """What the records show before a call. Where they cannot be read, no call is made."""
    try:
        return await look_up()
    except stripe.StripeError as error:
        if isinstance(not_an_outcome(error), OperatorFault):
            raise
        return NotTried(f"Stripe's records cannot be read ({code_of(error)}).")
    except (aiohttp.ClientError, TimeoutError, OSError) as lost:
        return NotTried(f"Stripe's records cannot be read ({type(lost).__name__}).")


async def _found(look_up: Callable[[], Awaitable[Json | None]], cause: stripe.StripeError) -> Json | None:
    """What the records show; when they cannot be read, the outcome stays unknown because of `cause`."""
    try:
        return await look_up()
    except (stripe.StripeError, NoTurnError):
        raise cause from None


def descriptor_suffix(text: str) -> str:
    """What Stripe accepts as a suffix: https://docs.stripe.com/get-started/account/statement-descriptors."""
    printable = "".join(letter for letter in text.translate(DESCRIPTOR_FORBIDDEN) if " " <= letter <= "~")
    suffix = printable[:DESCRIPTOR_LENGTH].strip()
    return suffix if any(letter.isalpha() for letter in suffix) else ""
